"""Captures and probes at another host: a worker that connects to the server with certificates and signed orders."""

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from acme import LIMITS

from linewarden.v1 import capture_pb2, probe_pb2
from tests.deadlines import FACTOR, HANG_S
from tests.integration.branches import Branch, capture_processes, client_of, prepare, until, worker_process
from tests.integration.captures import SECRET, ended, evidence, send, written
from tests.integration.conftest import Site, processes
from tests.integration.diagnosing import Diagnosing, asked, customer, open_again
from tests.integration.sweeps import sweep_until_lost
from tests.rights import live


@pytest.fixture
async def branch(sqlite_site: Site) -> AsyncIterator[Branch]:
    """Yield a customer that has permitted captures, with a listener for workers."""
    async with customer(sqlite_site, **prepare(sqlite_site)) as (acme, running):
        await acme.permit()
        yield Branch(sqlite_site, acme, running)


@live
async def test_a_capture_at_another_host(branch: Branch) -> None:
    """A worker reports live counters, masks and seals the evidence at its host, and delivers it whole."""
    enrolment = branch.enrol()
    async with branch.attending(enrolment):
        id = await branch.started()
        send(20)
        async with asyncio.timeout(HANG_S):
            while (await branch.acme.capture(id)).state == capture_pb2.CAPTURE_STATE_RUNNING:
                looks = [one async for one in _watch(branch.acme, id, 1)]
                if looks[0].counters.written == 20:
                    break
                await asyncio.sleep(0.1)
        await branch.acme.ask("StopCapture", capture_id=id)
        capture = await ended(branch.acme, id)
        assert (capture.state, capture.stop_reason) == (
            capture_pb2.CAPTURE_STATE_SEALED,
            capture_pb2.CAPTURE_STOP_REASON_REQUESTED,
        )
        assert (capture.worker, capture.interface) == ("branch", "lo")
        assert (capture.counters.written, capture.counters.dropped) == (20, 0)
        plain = await evidence(branch.acme, id)
        assert b"MESSAGE sip:bob@example" in plain
        assert b"worker: branch" in plain
        assert SECRET not in plain
        sealed = (branch.evidence / f"{id}.pcapng.age").read_bytes()
        assert hashlib.sha256(sealed).hexdigest() == capture.evidence.sealed_sha256
        await until(lambda: not list(enrolment.spool.iterdir()))
    await until(lambda: branch.kinds().count("worker.left") == 1)
    assert branch.kinds().count("worker.attended") == 1
    requested = next(entry for entry in branch.site.entries() if entry["kind"] == "capture.requested")
    assert requested["worker"] == "branch"


@live
async def test_a_pause_reaches_another_host(branch: Branch) -> None:
    """A paused capture at another host stores no packets."""
    async with branch.attending():
        id = await branch.started()
        send(2)
        await branch.acme.ask("PauseCapture", capture_id=id)
        await asyncio.sleep(1 * FACTOR)
        send(30)
        await asyncio.sleep(0.5 * FACTOR)
        await branch.acme.ask("ResumeCapture", capture_id=id)
        await asyncio.sleep(1 * FACTOR)
        send(3)
        await written(branch.acme, id, 5)
        await branch.acme.ask("StopCapture", capture_id=id)
        assert (await ended(branch.acme, id)).counters.written == 5


@live
async def test_a_withdrawal_stops_a_capture_at_another_host(branch: Branch) -> None:
    """The server stops a capture at another host when its attestation is withdrawn."""
    attestations = (await branch.acme.ask("ListAttestations")).attestations
    async with branch.attending():
        id = await branch.started()
        await branch.acme.ask("WithdrawAttestation", attestation_id=attestations[0].id)
        capture = await ended(branch.acme, id)
    assert capture.stop_reason == capture_pb2.CAPTURE_STOP_REASON_ATTESTATION_WITHDRAWN
    assert capture.state == capture_pb2.CAPTURE_STATE_SEALED


@live
async def test_a_limit_ends_a_capture_at_another_host(branch: Branch) -> None:
    """The worker stops at the first limit, and names it."""
    limits = capture_pb2.CaptureLimits()
    limits.CopyFrom(LIMITS)
    limits.packets = 4
    async with branch.attending():
        id = await branch.started(limits=limits)
        send(20)
        capture = await ended(branch.acme, id)
    assert (capture.stop_reason, capture.counters.written) == (capture_pb2.CAPTURE_STOP_REASON_PACKETS, 4)


async def test_without_its_worker_a_session_stays_armed(branch: Branch) -> None:
    """A capture whose worker is not connected cannot start, and stays armed."""
    id = await branch.armed()
    assert await branch.acme.refused("StartCapture", capture_id=id) == "DIAGNOSIS_UNAVAILABLE"
    assert (await branch.acme.capture(id)).state == capture_pb2.CAPTURE_STATE_ARMED
    probe = {"kind": probe_pb2.PROBE_KIND_REACHABILITY, "target": "127.0.0.1", "timeout_ms": 500, "worker": "branch"}
    assert await branch.acme.refused("RunProbe", **probe) == "DIAGNOSIS_UNAVAILABLE"


@pytest.mark.parametrize(
    ("fields", "detail"),
    [({"worker": "elsewhere"}, "worker"), ({"worker": "branch", "interface": "eth0"}, "interface")],
    ids=["worker", "interface"],
)
async def test_other_workers_and_interfaces_are_refused(branch: Branch, fields: dict[str, Any], detail: str) -> None:
    """The server refuses hosts and interfaces that the operator has not permitted to the tenant."""
    assert await branch.acme.refused("RequestCapture", **asked(**fields)) == "SELECTOR_NOT_PERMITTED"
    refused = [entry for entry in branch.site.entries() if entry["kind"] == "diagnostics.refused"]
    assert refused[-1]["detail"] == detail


async def test_the_worker_has_the_last_word_on_its_interfaces(branch: Branch) -> None:
    """The worker refuses an interface that its configuration does not permit, and the capture fails."""
    async with branch.attending():
        id = await branch.armed(interface="eth7")
        assert await branch.acme.refused("StartCapture", capture_id=id) == "DIAGNOSIS_UNAVAILABLE"
        capture = await branch.acme.capture(id)
    assert (capture.state, capture.stop_reason) == (
        capture_pb2.CAPTURE_STATE_FAILED,
        capture_pb2.CAPTURE_STOP_REASON_ERROR,
    )


async def test_a_probe_from_another_host(branch: Branch) -> None:
    """A worker runs a probe from its host, and the server records the result as evidence."""
    async with branch.attending():
        where = {
            "target": "127.0.0.1",
            "port": branch.port,
            "transport": capture_pb2.TRANSPORT_TCP,
            "timeout_ms": 2_000,
        }
        found = await branch.acme.ask("RunProbe", kind=probe_pb2.PROBE_KIND_REACHABILITY, worker="branch", **where)
        assert found.succeeded
        assert float(found.findings["connect_ms"]) < 2_000
    probes = [entry for entry in branch.site.entries() if entry["kind"] == "probe.run"]
    assert [(entry["done"], entry.get("worker")) for entry in probes] == [(False, "branch"), (True, None)]


@live
async def test_a_worker_that_is_lost_fails_its_session(branch: Branch) -> None:
    """A capture whose worker is killed fails for that reason, and has no evidence."""
    enrolment = branch.enrol()
    worker = worker_process(enrolment)
    await branch.attended(1)
    id = await branch.started()
    send(5)
    worker.send_signal(signal.SIGKILL)
    worker.wait(HANG_S)
    capture = await ended(branch.acme, id)
    assert (capture.state, capture.stop_reason) == (
        capture_pb2.CAPTURE_STATE_FAILED,
        capture_pb2.CAPTURE_STOP_REASON_WORKER_LOST,
    )
    assert branch.files() == []
    await until(lambda: not capture_processes(id))
    again = worker_process(enrolment)
    await branch.attended(2)
    assert not list(enrolment.spool.iterdir())
    again.send_signal(signal.SIGTERM)
    assert again.wait(HANG_S) == 0


@live
async def test_a_worker_that_is_told_to_stop_delivers_first(branch: Branch) -> None:
    """A worker ends its captures on SIGTERM and delivers their evidence."""
    worker = worker_process(branch.enrol())
    await branch.attended(1)
    id = await branch.started()
    send(5)
    await written(branch.acme, id, 5)
    worker.send_signal(signal.SIGTERM)
    capture = await ended(branch.acme, id)
    assert (capture.state, capture.stop_reason) == (
        capture_pb2.CAPTURE_STATE_SEALED,
        capture_pb2.CAPTURE_STOP_REASON_LEASE_LOST,
    )
    assert b"MESSAGE sip:bob@example" in await evidence(branch.acme, id)
    assert await asyncio.to_thread(worker.wait, HANG_S) == 0


@live
async def test_a_server_that_is_gone_ends_the_capture_at_the_worker(sqlite_site: Site) -> None:
    """A worker whose server is killed stops capturing and keeps nothing, and the next server records the loss.

    The next server takes the capture for lost after more than a minute; here that time passes on the sweeper's clock.
    """
    settings = prepare(sqlite_site)
    async with customer(sqlite_site, **settings) as (acme, running):
        await acme.permit()
    environment = {
        "LINEWARDEN_CAPTURE_LISTEN": "localhost:0",
        "LINEWARDEN_PLACES_FILE": str(settings["places_file"]),
        "LINEWARDEN_CAPTURE_MIN_DISK_FREE": "0",
    }
    async with processes(sqlite_site, 1, **environment) as (server,):
        port = int(server.stderr().partition("connect to localhost:")[2].split()[0])
        enrolment = Branch(sqlite_site, acme, replace(running, worker_address=f"localhost:{port}")).enrol()
        worker = worker_process(enrolment)
        acme = Diagnosing(client_of(server.address, sqlite_site))
        await until(lambda: "worker.attended" in [e["kind"] for e in sqlite_site.entries("")])
        id = await acme.armed(worker="branch")
        await acme.ask("StartCapture", capture_id=id)
        send(5)
        server.kill()
        await acme.client.channel.close()
        await until(lambda: not capture_processes(id))
        await until(lambda: not list(enrolment.spool.iterdir()))
        worker.send_signal(signal.SIGTERM)
        await asyncio.to_thread(worker.wait, HANG_S)
    before = len(sqlite_site.entries())
    async with open_again(sqlite_site, **settings) as (acme, running):
        assert (await acme.capture(id)).state == capture_pb2.CAPTURE_STATE_RUNNING
        await sweep_until_lost(running)
        capture = await acme.capture(id)
    assert (capture.state, capture.stop_reason) == (
        capture_pb2.CAPTURE_STATE_FAILED,
        capture_pb2.CAPTURE_STOP_REASON_LEASE_LOST,
    )
    assert not capture.HasField("evidence")
    assert Branch(sqlite_site, acme, running).files() == []
    since = [entry for entry in sqlite_site.entries()[before:] if entry["kind"].startswith("capture.")]
    assert [entry["kind"] for entry in since] == ["capture.stopped", "capture.failed"]
    assert {(entry["session"], entry["stop_reason"], entry["detail"]) for entry in since} == {
        (id, "lease_lost", "the server was lost, and no whole evidence was found")
    }


async def _watch(acme: Diagnosing, id: str, most: int) -> AsyncIterator[capture_pb2.WatchCaptureResponse]:
    request = acme.request("WatchCapture", "admin", capture_id=id)
    call = acme.stub.WatchCapture(request, metadata=acme.client.metadata, timeout=HANG_S)
    seen = 0
    async for look in call:
        yield look
        seen += 1
        if seen == most:
            call.cancel()
            return

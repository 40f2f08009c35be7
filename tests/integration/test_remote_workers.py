"""Captures and probes at another host: a worker that dials in, with certificates, signed orders and sealed evidence."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from linewarden.audit.note import Signer
from linewarden.diagnostics.capture.model import CaptureLimits, Profile
from linewarden.diagnostics.capture.ticket import StartTicket
from linewarden.diagnostics.orders import sign_capture
from linewarden.diagnostics.ports import Order
from linewarden.diagnostics.session import Reader
from linewarden.server.bootstrap import Running
from linewarden.server.tls import certificate_builder, make_development_certificates, pem_of
from linewarden.server.workers.attending import attend
from linewarden.server.workers.certificates import issue, make_authority
from linewarden.server.workers.enrolment import Enrolment, enrol, read_enrolment
from linewarden.server.workers.words import PROTOCOL
from linewarden.v1 import diagnostics_pb2 as pb
from linewarden.v1 import worker_pb2
from linewarden.v1.worker_pb2_grpc import (
    CaptureWorkerServiceServicer,
    CaptureWorkerServiceStub,
    add_CaptureWorkerServiceServicer_to_server,
)
from tests.integration.conftest import Client, Site, processes
from tests.integration.diagnosing import IDENTITY, LIMITS, Diagnosing, asked, customer
from tests.integration.test_diagnostics_captures import SECRET, _may_capture, ended, evidence, send

PLACES = """
[acme]
interfaces = ["lo"]
hosts = ["127.0.0.1"]
[acme.workers]
branch = ["lo", "eth7"]
"""

live = pytest.mark.skipif(not _may_capture(), reason="a live capture needs root or CAP_NET_RAW, on Linux")


class Branch:
    """A customer whose second host has a capture worker, and the server it dials in to."""

    def __init__(self, site: Site, acme: Diagnosing, running: Running) -> None:
        self.site = site
        self.acme = acme
        self.running = running
        self.folder = Path(site.settings.data_dir)
        self.welcomed = asyncio.Event()

    @property
    def evidence(self) -> Path:
        """The folder of sealed evidence at the server."""
        return self.folder / "evidence"

    def enrol(self, name: str = "branch", **more: Any) -> Enrolment:
        """Enrol a worker that may capture on lo."""
        folder = self.folder / f"{name}-{os.urandom(3).hex()}"
        usual: dict[str, Any] = {"servers": (f"localhost:{self.port}",), "interfaces": ("lo",)}
        trust = self.folder / "tls/ca.crt"
        enrol(self.site.settings, name, folder, trust=trust, **usual | more)
        return read_enrolment(folder)

    @property
    def port(self) -> int:
        """Where workers dial in."""
        return int(self.running.worker_address.rpartition(":")[2])

    @asynccontextmanager
    async def attending(self, enrolment: Enrolment | None = None) -> AsyncIterator[asyncio.Event]:
        """The worker in this process; the event ends it in order, cancelling its task ends it at once."""
        stop = asyncio.Event()
        self.welcomed.clear()
        task = asyncio.create_task(attend(enrolment or self.enrol(), lambda _server: self.welcomed.set(), stop))
        try:
            async with asyncio.timeout(10):
                await self.welcomed.wait()
            yield stop
        finally:
            stop.set()
            await task

    async def armed(self, **more: Any) -> str:
        """A session for the worker that may be started."""
        return await self.acme.armed(**{"worker": "branch"} | more)

    async def started(self, **more: Any) -> str:
        """A session that runs at the worker's host."""
        id = await self.armed(**more)
        assert (await self.acme.ask("StartSession", session_id=id)).session.state == pb.SESSION_STATE_RUNNING
        return id

    async def attended(self, count: int) -> None:
        """Wait until the worker was there so many times."""
        async with asyncio.timeout(15):
            while self.kinds().count("worker.attended") < count:
                await asyncio.sleep(0.05)

    def kinds(self) -> list[str]:
        """The kinds of the system log's entries."""
        return [entry["kind"] for entry in self.site.entries("")]


def prepare(site: Site) -> dict[str, Any]:
    """Certificates for the door of the workers, and the settings for it."""
    folder = Path(site.settings.data_dir)
    make_development_certificates(folder / "tls", datetime.now(UTC))
    make_authority(site.settings.capture_worker_ca, site.settings.capture_worker_ca_key, datetime.now(UTC))
    (folder / "branch.toml").write_text(PLACES)
    return {"capture_listen": "localhost:0", "places_file": folder / "branch.toml"}


@pytest.fixture
async def branch(sqlite_site: Site) -> AsyncIterator[Branch]:
    """A customer that has permitted captures, with a door for workers."""
    async with customer(sqlite_site, **prepare(sqlite_site)) as (acme, running):
        await acme.permit()
        yield Branch(sqlite_site, acme, running)


@live
async def test_a_capture_at_another_host(branch: Branch) -> None:
    """Counters come in live, the evidence is masked, sealed there, delivered whole, and opened by its reader."""
    enrolment = branch.enrol()
    async with branch.attending(enrolment):
        id = await branch.started()
        send(20)
        async with asyncio.timeout(10):
            while (await branch.acme.session(id)).state == pb.SESSION_STATE_RUNNING:
                looks = [one async for one in _watch(branch.acme, id, 1)]
                if looks[0].counters.written == 20:
                    break
                await asyncio.sleep(0.1)
        await branch.acme.ask("StopSession", session_id=id)
        session = await ended(branch.acme, id)
        assert (session.state, session.stop_reason) == (pb.SESSION_STATE_SEALED, pb.CAPTURE_STOP_REASON_REQUESTED)
        assert (session.worker, session.interface) == ("branch", "lo")
        assert (session.counters.written, session.counters.dropped) == (20, 0)
        plain = await evidence(branch.acme, id)
        assert b"MESSAGE sip:bob@example" in plain
        assert b"worker: branch" in plain
        assert SECRET not in plain
        sealed = (branch.evidence / f"{id}.pcapng.age").read_bytes()
        assert hashlib.sha256(sealed).hexdigest() == session.evidence.sealed_sha256
        await _until(lambda: not list(enrolment.spool.iterdir()))
    await _until(lambda: branch.kinds().count("worker.left") == 1)
    assert branch.kinds().count("worker.attended") == 1
    requested = next(entry for entry in branch.site.entries() if entry["kind"] == "capture.requested")
    assert requested["worker"] == "branch"


@live
async def test_a_pause_reaches_another_host(branch: Branch) -> None:
    """A paused capture takes nothing there either."""
    async with branch.attending():
        id = await branch.started()
        send(2)
        await branch.acme.ask("PauseSession", session_id=id)
        await asyncio.sleep(1)
        send(30)
        await asyncio.sleep(0.5)
        await branch.acme.ask("ResumeSession", session_id=id)
        await asyncio.sleep(1)
        send(3)
        await asyncio.sleep(0.3)
        await branch.acme.ask("StopSession", session_id=id)
        assert (await ended(branch.acme, id)).counters.written == 5


@live
async def test_a_withdrawal_stops_a_capture_at_another_host(branch: Branch) -> None:
    """The gates are those of the server, wherever the packets are."""
    attestations = (await branch.acme.ask("ListAttestations")).attestations
    async with branch.attending():
        id = await branch.started()
        await branch.acme.ask("WithdrawAttestation", attestation_id=attestations[0].id)
        session = await ended(branch.acme, id)
    assert session.stop_reason == pb.CAPTURE_STOP_REASON_ATTESTATION_WITHDRAWN
    assert session.state == pb.SESSION_STATE_SEALED


@live
async def test_a_limit_ends_a_capture_at_another_host(branch: Branch) -> None:
    """The worker stops by itself at the first limit, and says which."""
    limits = pb.CaptureLimits()
    limits.CopyFrom(LIMITS)
    limits.packets = 4
    async with branch.attending():
        id = await branch.started(limits=limits)
        send(20)
        session = await ended(branch.acme, id)
    assert (session.stop_reason, session.counters.written) == (pb.CAPTURE_STOP_REASON_PACKETS, 4)


async def test_without_its_worker_a_session_stays_armed(branch: Branch) -> None:
    """Where nobody attends, nothing starts, and nothing is lost."""
    id = await branch.armed()
    assert await branch.acme.refused("StartSession", session_id=id) == "DIAGNOSIS_UNAVAILABLE"
    assert (await branch.acme.session(id)).state == pb.SESSION_STATE_ARMED
    probe = {"kind": pb.PROBE_KIND_REACHABILITY, "target": "127.0.0.1", "timeout_ms": 500, "worker": "branch"}
    assert await branch.acme.refused("RunProbe", **probe) == "DIAGNOSIS_UNAVAILABLE"


@pytest.mark.parametrize(
    ("fields", "detail"),
    [({"worker": "elsewhere"}, "worker"), ({"worker": "branch", "interface": "eth0"}, "interface")],
    ids=["worker", "interface"],
)
async def test_other_workers_and_interfaces_are_refused(branch: Branch, fields: dict[str, Any], detail: str) -> None:
    """A tenant captures at hosts and on interfaces that the operator has stated to be its own."""
    assert await branch.acme.refused("RequestSession", **asked(**fields)) == "SELECTOR_NOT_PERMITTED"
    refused = [entry for entry in branch.site.entries() if entry["kind"] == "diagnostics.refused"]
    assert refused[-1]["detail"] == detail


async def test_the_worker_has_the_last_word_on_its_interfaces(branch: Branch) -> None:
    """What the worker's own configuration does not allow is refused there, and the session has failed."""
    async with branch.attending():
        id = await branch.armed(interface="eth7")
        assert await branch.acme.refused("StartSession", session_id=id) == "DIAGNOSIS_UNAVAILABLE"
        session = await branch.acme.session(id)
    assert (session.state, session.stop_reason) == (pb.SESSION_STATE_FAILED, pb.CAPTURE_STOP_REASON_ERROR)


async def test_a_probe_from_another_host(branch: Branch) -> None:
    """A probe asks from the worker's host; what it found is recorded as evidence."""
    async with branch.attending():
        where = {"target": "127.0.0.1", "port": branch.port, "transport": pb.TRANSPORT_TCP, "timeout_ms": 2_000}
        found = await branch.acme.ask("RunProbe", kind=pb.PROBE_KIND_REACHABILITY, worker="branch", **where)
        assert found.succeeded
        assert float(found.findings["connect_ms"]) < 2_000
    probes = [entry for entry in branch.site.entries() if entry["kind"] == "probe.run"]
    assert [(entry["done"], entry["worker"]) for entry in probes] == [(False, "branch"), (True, "branch")]


@live
async def test_a_worker_that_is_lost_fails_its_session(branch: Branch) -> None:
    """When the worker's process is killed, the session fails for that reason, and no evidence is called such."""
    enrolment = branch.enrol()
    worker = _worker_process(enrolment)
    await branch.attended(1)
    id = await branch.started()
    send(5)
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    session = await ended(branch.acme, id)
    assert (session.state, session.stop_reason) == (pb.SESSION_STATE_FAILED, pb.CAPTURE_STOP_REASON_WORKER_LOST)
    assert not list(branch.evidence.glob("*")) if branch.evidence.exists() else True
    await _until(lambda: not _capture_processes(id))
    again = _worker_process(enrolment)
    await branch.attended(2)
    assert not list(enrolment.spool.iterdir())
    again.send_signal(signal.SIGTERM)
    assert again.wait(20) == 0


@live
async def test_a_worker_that_is_told_to_stop_delivers_first(branch: Branch) -> None:
    """On SIGTERM the worker ends its captures and brings what they made."""
    worker = _worker_process(branch.enrol())
    await branch.attended(1)
    id = await branch.started()
    send(5)
    await asyncio.sleep(0.5)
    worker.send_signal(signal.SIGTERM)
    session = await ended(branch.acme, id)
    assert (session.state, session.stop_reason) == (pb.SESSION_STATE_SEALED, pb.CAPTURE_STOP_REASON_LEASE_LOST)
    assert b"MESSAGE sip:bob@example" in await evidence(branch.acme, id)
    assert await asyncio.to_thread(worker.wait, 20) == 0


@live
async def test_a_server_that_is_gone_ends_the_capture_at_the_worker(sqlite_site: Site) -> None:
    """When the server is killed, the worker stops capturing and keeps nothing; the next server records the loss."""
    settings = prepare(sqlite_site)
    async with customer(sqlite_site, **settings) as (acme, running):
        await acme.permit()
    environment = {
        "LINEWARDEN_CAPTURE_LISTEN": "localhost:0",
        "LINEWARDEN_PLACES_FILE": str(settings["places_file"]),
        "LINEWARDEN_CAPTURE_MIN_DISK_FREE": "0",
    }
    async with processes(sqlite_site, **environment) as (server,):
        port = int(server.stderr().partition("dial in on localhost:")[2].split()[0])
        enrolment = Branch(sqlite_site, acme, replace(running, worker_address=f"localhost:{port}")).enrol()
        worker = _worker_process(enrolment)
        acme = Diagnosing(_client(server.address, sqlite_site))
        await _until(lambda: "worker.attended" in [e["kind"] for e in sqlite_site.entries("")])
        id = await acme.armed(worker="branch")
        await acme.ask("StartSession", session_id=id)
        send(5)
        server.kill()
        await acme.client.channel.close()
        await _until(lambda: not _capture_processes(id), 25)
        await _until(lambda: not list(enrolment.spool.iterdir()), 25)
        worker.send_signal(signal.SIGTERM)
        await asyncio.to_thread(worker.wait, 20)


async def test_strangers_do_not_attend(branch: Branch) -> None:
    """Without a certificate, with one of another authority, or with one that names no worker, nobody comes in."""
    folder, now = branch.folder, datetime.now(UTC)
    make_authority(folder / "other.crt", folder / "other.key", now)
    other = issue("branch", (folder / "other.crt").read_bytes(), (folder / "other.key").read_bytes(), now)
    trust = (folder / "tls/ca.crt").read_bytes()
    for credentials in (grpc.ssl_channel_credentials(trust), grpc.ssl_channel_credentials(trust, *other)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _attend_once(branch.port, credentials)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "worker.attended" not in branch.kinds()


async def test_a_callers_certificate_names_no_worker(branch: Branch) -> None:
    """A certificate of the right authority without a worker's name is refused."""
    trust = (branch.folder / "tls/ca.crt").read_bytes()
    credentials = grpc.ssl_channel_credentials(trust, *_nameless(branch))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _attend_once(branch.port, credentials)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("said", ["nothing", "no hello", "another protocol"])
async def test_a_worker_begins_with_hello(branch: Branch, said: str) -> None:
    """Who does not begin as the contract says is refused, and not recorded as attending."""
    first = {
        "nothing": worker_pb2.AttendRequest(),
        "no hello": worker_pb2.AttendRequest(begun=worker_pb2.CaptureBegun(session_id="x")),
        "another protocol": worker_pb2.AttendRequest(hello=worker_pb2.WorkerHello(protocol=2)),
    }[said]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _attend_once(branch.port, branch.enrol().credentials, first)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "worker.attended" not in branch.kinds()


async def test_the_workers_door_has_no_other_service(branch: Branch) -> None:
    """A worker's certificate opens nothing but the worker's own service, and that service is nowhere else."""
    async with grpc.aio.secure_channel(f"localhost:{branch.port}", branch.enrol().credentials) as channel:
        call = channel.unary_unary("/linewarden.v1.AccessService/Check")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=branch.acme.client.metadata)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    stub: Any = CaptureWorkerServiceStub(branch.acme.client.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _message in stub.Attend(iter([]), metadata=branch.acme.client.metadata):
            pass
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


class Puppet:
    """A worker that says what a test wants it to say."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub: Any = CaptureWorkerServiceStub(channel)
        self.queue: asyncio.Queue[worker_pb2.AttendRequest] = asyncio.Queue()
        self.call = self.stub.Attend(self._said())
        self.say(hello=worker_pb2.WorkerHello(protocol=PROTOCOL))

    def say(self, **said: Any) -> None:
        """Say something."""
        self.queue.put_nowait(worker_pb2.AttendRequest(**said))

    async def hear(self, kind: str) -> Any:
        """Wait for a message of a kind."""
        async with asyncio.timeout(10):
            async for message in self.call:
                if message.HasField(kind):
                    return getattr(message, kind)
        return pytest.fail(f"no {kind} came")

    async def deliver(self, session: str, content: bytes) -> Any:
        """Deliver bytes as evidence."""
        part = worker_pb2.DeliverEvidenceRequest(session_id=session, content=content)
        return await self.stub.DeliverEvidence(iter([part]), timeout=10)

    async def _said(self) -> AsyncIterator[worker_pb2.AttendRequest]:
        while True:
            yield await self.queue.get()


@asynccontextmanager
async def puppet(branch: Branch) -> AsyncIterator[tuple[Puppet, str]]:
    """A worker under a test's control, with a session that it has said to have begun."""
    async with grpc.aio.secure_channel(f"localhost:{branch.port}", branch.enrol().credentials) as channel:
        made = Puppet(channel)
        await made.hear("welcome")
        id = await branch.armed()
        starting = asyncio.create_task(branch.acme.ask("StartSession", session_id=id))
        assert (await made.hear("start")).id == id
        made.say(begun=worker_pb2.CaptureBegun(session_id=id))
        await starting
        yield made, id


def _evidence_of(content: bytes, **more: Any) -> pb.Evidence:
    usual = {"plain_bytes": 1, "plain_sha256": "0" * 64, "chain": "0" * 64, "sealed_bytes": len(content),
             "sealed_sha256": hashlib.sha256(content).hexdigest()}  # fmt: skip
    return pb.Evidence(**usual | more)


def _ended(id: str, evidence: pb.Evidence | None) -> worker_pb2.CaptureEnded:
    return worker_pb2.CaptureEnded(
        session_id=id, stop_reason=pb.CAPTURE_STOP_REASON_TIME, counters=pb.CaptureCounters(), evidence=evidence
    )


@pytest.mark.parametrize("lie", ["not delivered", "another hash", "another size"])
async def test_evidence_is_what_was_delivered(branch: Branch, lie: str) -> None:
    """Where what a worker says of its evidence is not what came, there is none, and no file stays."""
    async with puppet(branch) as (made, id):
        if lie != "not delivered":
            await made.deliver(id, b"sealed")
        stated = {
            "not delivered": _evidence_of(b"sealed"),
            "another hash": _evidence_of(b"sealed", sealed_sha256="1" * 64),
            "another size": _evidence_of(b"sealed", sealed_bytes=7),
        }[lie]
        made.say(ended=_ended(id, stated))
        session = await ended(branch.acme, id)
    assert (session.state, session.stop_reason) == (pb.SESSION_STATE_FAILED, pb.CAPTURE_STOP_REASON_TIME)
    assert not branch.evidence.exists() or not list(branch.evidence.iterdir())


async def test_evidence_is_delivered_once_within_the_limit_for_a_known_session(branch: Branch) -> None:
    """A second file, one that is too long, and one for another session are refused; the first stays as it came."""
    async with puppet(branch) as (made, id):
        for session, content in (("another", b"x"), ("../../x", b"x")):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await made.deliver(session, content)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        parts = (worker_pb2.DeliverEvidenceRequest(session_id=id, content=bytes(1 << 20)) for _ in range(9))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await made.stub.DeliverEvidence(parts, timeout=10)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert list(branch.evidence.iterdir()) == []
        came = await made.deliver(id, b"sealed")
        assert (came.sealed_bytes, came.sealed_sha256) == (6, hashlib.sha256(b"sealed").hexdigest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await made.deliver(id, b"other")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        made.say(ended=_ended(id, _evidence_of(b"sealed")))
        session = await ended(branch.acme, id)
        assert (session.state, session.evidence.sealed_bytes) == (pb.SESSION_STATE_SEALED, 6)


@pytest.mark.parametrize(
    "said",
    [
        {"progress": worker_pb2.CaptureProgress(session_id="ID", counters=pb.CaptureCounters(rules={"alice": 1}))},
        {"progress": worker_pb2.CaptureProgress(session_id="ID", counters=pb.CaptureCounters(received=1 << 60))},
        {"ended": _ended("ID", pb.Evidence(plain_sha256="alice"))},
        {"ended": worker_pb2.CaptureEnded(session_id="ID", counters=pb.CaptureCounters())},
        {"hello": worker_pb2.WorkerHello(protocol=PROTOCOL)},
        {},
    ],
    ids=["rule", "number", "hash", "reason", "hello", "nothing"],
)
async def test_a_worker_that_talks_nonsense_is_lost(branch: Branch, said: dict[str, Any]) -> None:
    """Nothing of what makes no sense reaches a record; the link ends, and the session with it."""
    async with puppet(branch) as (made, id):
        for message in said.values():
            if hasattr(message, "session_id"):
                message.session_id = id
        made.say(**said)
        session = await ended(branch.acme, id)
    assert (session.state, session.stop_reason) == (pb.SESSION_STATE_FAILED, pb.CAPTURE_STOP_REASON_WORKER_LOST)
    assert not any("alice" in str(entry) for entry in branch.site.entries() if entry["kind"].startswith("capture."))


async def test_a_worker_that_dials_in_again_takes_its_place(branch: Branch) -> None:
    """The earlier stream ends, and what ran on it is lost; the new one gets the orders."""
    async with puppet(branch) as (_made, id), branch.attending():
        assert (await ended(branch.acme, id)).stop_reason == pb.CAPTURE_STOP_REASON_WORKER_LOST
        where = {"target": "127.0.0.1", "port": branch.port, "timeout_ms": 2_000, "worker": "branch"}
        assert (await branch.acme.ask("RunProbe", kind=pb.PROBE_KIND_REACHABILITY, **where)).succeeded


def _ticket(**more: Any) -> StartTicket:
    limits = CaptureLimits(60, 1 << 20, 10_000, 65_535, 0, 1_000, 10)
    usual: dict[str, Any] = {"id": "s1", "tenant": "acme", "who": "w", "why": "y", "profile": Profile.HEADERS,
                             "limits": limits, "start_before_ns": time.time_ns() + 10**10, "worker": "branch",
                             "interface": "lo"}  # fmt: skip
    return StartTicket(**usual | more)


@pytest.mark.parametrize("fault", ["another key", "another worker", "stale", "another interface", "no note", "a path"])
async def test_a_worker_refuses_what_its_server_has_not_ordered(branch: Branch, fault: str) -> None:
    """An order that is not signed by the server, or is for another worker, time or interface, starts nothing."""
    enrolment = branch.enrol()
    seed = bytes(32) if fault == "another key" else None
    signer = Signer("test.example/log/orders", seed) if seed else _signer(branch)
    ticket = {
        "another worker": _ticket(worker="other"),
        "stale": _ticket(start_before_ns=time.time_ns() - 1),
        "another interface": _ticket(interface="eth7"),
        "a path": _ticket(id="../x"),
    }.get(fault, _ticket())
    note = (
        "alice" if fault == "no note" else sign_capture(Order(ticket, (Reader("", str(IDENTITY.to_public())),)), signer)
    )
    said = await _answer_of(
        branch, enrolment, worker_pb2.AttendResponse(start=worker_pb2.SignedOrder(note=note, id="s1"))
    )
    assert said.refused.session_id == "s1"
    assert not enrolment.spool.exists()


async def test_a_worker_refuses_probes_that_are_not_ordered(branch: Branch) -> None:
    """An order to probe must be signed as well."""
    order = worker_pb2.AttendResponse(probe=worker_pb2.SignedOrder(note="alice", id="p1"))
    said = await _answer_of(branch, branch.enrol(), order)
    assert (said.probed.probe_id, said.probed.succeeded) == ("p1", False)


def _signer(branch: Branch) -> Signer:
    return branch.running._diagnosing.hub._signer


async def _answer_of(
    branch: Branch, enrolment: Enrolment, order: worker_pb2.AttendResponse
) -> worker_pb2.AttendRequest:
    """What a real worker says to an order of a server that a test plays."""
    answer: asyncio.Future[worker_pb2.AttendRequest] = asyncio.get_running_loop().create_future()

    class Server(CaptureWorkerServiceServicer):
        async def Attend(self, request_iterator: Any, _context: Any) -> AsyncIterator[worker_pb2.AttendResponse]:  # noqa: N802
            yield worker_pb2.AttendResponse(welcome=worker_pb2.WorkerWelcome(protocol=PROTOCOL))
            yield order
            async for message in request_iterator:
                if not message.HasField("hello") and not answer.done():
                    answer.set_result(message)

    settings = branch.site.settings
    credentials = grpc.ssl_server_credentials(
        [(settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())],
        settings.capture_worker_ca.read_bytes(),
        require_client_auth=True,
    )
    server = grpc.aio.server()
    add_CaptureWorkerServiceServicer_to_server(Server(), server)  # type: ignore[no-untyped-call,unused-ignore]
    port = server.add_secure_port("localhost:0", credentials)
    await server.start()
    stop = asyncio.Event()
    attending = asyncio.create_task(
        attend(replace(enrolment, servers=(f"localhost:{port}",)), lambda _server: None, stop)
    )
    try:
        async with asyncio.timeout(10):
            return await answer
    finally:
        stop.set()
        await attending
        await server.stop(None)


async def _attend_once(
    port: int, credentials: grpc.ChannelCredentials, first: worker_pb2.AttendRequest | None = None
) -> None:
    hello = first or worker_pb2.AttendRequest(hello=worker_pb2.WorkerHello(protocol=PROTOCOL))
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        stub: Any = CaptureWorkerServiceStub(channel)
        async for _message in stub.Attend(iter([hello]), timeout=10):
            return


async def _watch(acme: Diagnosing, id: str, most: int) -> AsyncIterator[pb.WatchSessionResponse]:
    request = acme.request("WatchSession", "admin", session_id=id)
    call = acme.stub.WatchSession(request, metadata=acme.client.metadata, timeout=10)
    seen = 0
    async for look in call:
        yield look
        seen += 1
        if seen == most:
            call.cancel()
            return


async def _until(holds: Callable[[], bool], within_s: float = 15) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.05)


def _worker_process(enrolment: Enrolment) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "linewarden.server", "worker", "run", str(enrolment.spool.parent)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def _capture_processes(session: str) -> list[str]:
    """The sealers of a session, which live as long as its worker does."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{session}.pcapng.age".encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def _client(address: str, site: Site) -> Client:
    return Client(address, site.token)


def _nameless(branch: Branch) -> tuple[bytes, bytes]:
    """A key and a certificate of the workers' authority that names no worker."""
    settings, key = branch.site.settings, ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(settings.capture_worker_ca.read_bytes())
    signing = serialization.load_pem_private_key(settings.capture_worker_ca_key.read_bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    names = x509.SubjectAlternativeName([x509.DNSName("urn:linewarden:worker:branch")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "branch")])
    certificate = certificate_builder(name, issuer.subject, key, datetime.now(UTC)).add_extension(names, critical=False)
    return pem_of(key), certificate.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

"""Captures that really run, on loopback: each reason to stop, the sealed evidence, and who is told meanwhile."""

import asyncio
import io
import os
import signal
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from linewarden.diagnostics.sealing import unseal
from linewarden.server.bootstrap import Running
from linewarden.v1 import core_pb2
from linewarden.v1 import diagnostics_pb2 as pb
from tests.integration.conftest import TENANT, Client, Site, person, processes
from tests.integration.diagnosing import IDENTITY, LIMITS, RULES, Diagnosing, asked, customer, open_again

PORT = 45_060
SECRET = b"4711-0815-secret"
MESSAGE = (
    b"MESSAGE sip:bob@example SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nCall-ID: c1\r\nCSeq: 1 MESSAGE\r\n"
    b"From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\r\n" + SECRET
)


def _may_capture() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (AttributeError, OSError):
        return False
    return True


pytestmark = pytest.mark.skipif(not _may_capture(), reason="a live capture needs root or CAP_NET_RAW, on Linux")


@pytest.fixture
async def running(sqlite_site: Site) -> AsyncIterator[tuple[Diagnosing, Running]]:
    """A customer that has permitted captures, and its server."""
    async with customer(sqlite_site) as (diagnosing, server):
        await diagnosing.permit()
        yield diagnosing, server


@pytest.fixture
def acme(running: tuple[Diagnosing, Running]) -> Diagnosing:
    """A customer that has permitted captures."""
    return running[0]


def send(count: int = 20) -> None:
    """Send SIP messages with a secret body over loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(MESSAGE, ("127.0.0.1", PORT))


async def started(acme: Diagnosing, **more: Any) -> str:
    """A session that runs."""
    id = await acme.armed(**more)
    session = (await acme.ask("StartSession", session_id=id)).session
    assert session.state == pb.SESSION_STATE_RUNNING
    return id


async def ended(acme: Diagnosing, id: str, within_s: float = 20) -> pb.Session:
    """Wait until a session has ended."""
    async with asyncio.timeout(within_s):
        session = await acme.session(id)
        while session.state in {pb.SESSION_STATE_RUNNING, pb.SESSION_STATE_PAUSED, pb.SESSION_STATE_STOPPING}:
            await asyncio.sleep(0.1)
            session = await acme.session(id)
    return session


async def evidence(acme: Diagnosing, id: str) -> bytes:
    """The evidence of a session, opened by its reader and compared with what is recorded of it."""
    recorded = (await acme.session(id)).evidence
    request = pb.ReadEvidenceRequest(
        tenant=TENANT,
        subject=person("admin"),
        session_id=id,
        context=core_pb2.Context(purpose=core_pb2.PURPOSE_SUPPORT, case_reference="T-4711"),
    )
    parts = [part.content async for part in acme.stub.ReadEvidence(request, metadata=acme.client.metadata, timeout=10)]
    plain = io.BytesIO()
    manifest = unseal(io.BytesIO(b"".join(parts)), plain, [str(IDENTITY)], bytes.fromhex(recorded.ticket_digest))
    assert (manifest.chain, manifest.sha256) == (recorded.chain, recorded.plain_sha256)
    return plain.getvalue()


async def watch(acme: Diagnosing, id: str) -> list[pb.WatchSessionResponse]:
    """All that the stream of a session says."""
    request = pb.WatchSessionRequest(tenant=TENANT, subject=person("admin"), session_id=id)
    return [one async for one in acme.stub.WatchSession(request, metadata=acme.client.metadata, timeout=20)]


async def test_a_capture_from_start_to_deletion(acme: Diagnosing, sqlite_site: Site) -> None:
    """Live counters, a listed notice, masked and sealed evidence with the numbers of the log, and its deletion."""
    id = await started(acme)
    watching = asyncio.create_task(watch(acme, id))
    send(20)
    listed = (await acme.ask("ListActiveNotices", "bob", language="DE")).notices
    assert [(one.session_id, one.coverage) for one in listed] == [(id, pb.COVERAGE_POSSIBLE)]
    assert [text.language for text in listed[0].texts] == ["de"]
    await asyncio.sleep(1.5)
    await acme.ask("StopSession", session_id=id)
    session = await ended(acme, id)
    assert session.state == pb.SESSION_STATE_SEALED
    assert session.stop_reason == pb.CAPTURE_STOP_REASON_REQUESTED
    counters = session.counters
    assert (counters.written, counters.dropped, counters.received) == (20, 0, counters.delivered)
    assert not session.lossy
    looks = await watching
    assert looks[0].state == pb.SESSION_STATE_RUNNING
    assert any(look.counters.written == 20 for look in looks)
    assert looks[-1].stop_reason == pb.CAPTURE_STOP_REASON_REQUESTED
    assert not (await acme.ask("ListActiveNotices", "bob")).notices
    plain = await evidence(acme, id)
    assert len(plain) == session.evidence.plain_bytes
    assert b"MESSAGE sip:bob@example" in plain
    assert SECRET not in plain
    entries = sqlite_site.entries()
    sealed = next(entry for entry in entries if entry["kind"] == "capture.sealed")
    assert sealed["evidence"]["sealed_sha256"] == session.evidence.sealed_sha256
    assert any(entry["kind"] == "capture.opened" for entry in entries)
    file = Path(sqlite_site.settings.data_dir) / "evidence" / f"{id}.pcapng.age"
    assert file.stat().st_mode & 0o777 == 0o600
    await acme.ask("DeleteSession", session_id=id)
    assert not file.exists()
    assert await acme.refused("StartSession", session_id=id) == "STATE_CONFLICT"


async def test_a_paused_capture_takes_nothing(acme: Diagnosing, sqlite_site: Site) -> None:
    """What is sent during a pause is not in the evidence; users are told of the capture all the while."""
    id = await started(acme)
    send(3)
    assert (await acme.ask("PauseSession", session_id=id)).session.state == pb.SESSION_STATE_PAUSED
    assert await acme.refused("PauseSession", session_id=id) == "STATE_CONFLICT"
    await asyncio.sleep(0.7)
    send(50)
    assert [one.session_id for one in (await acme.ask("ListActiveNotices", "bob")).notices] == [id]
    await asyncio.sleep(1.2)
    assert await acme.refused("ResumeSession", "berta", session_id=id) == "SUBJECT_NOT_PERMITTED"
    assert (await acme.ask("ResumeSession", session_id=id)).session.state == pb.SESSION_STATE_RUNNING
    await asyncio.sleep(0.3)
    send(4)
    await asyncio.sleep(0.2)
    await acme.ask("StopSession", session_id=id)
    session = await ended(acme, id)
    assert (session.state, session.counters.written) == (pb.SESSION_STATE_SEALED, 7)
    assert session.counters.received == session.counters.delivered
    plain = await evidence(acme, id)
    assert plain.count(b"MESSAGE sip:bob@example") == 7
    assert plain.index(b"paused") < plain.index(b"resumed")
    kinds = [entry["kind"] for entry in sqlite_site.entries() if entry["kind"].startswith("capture.")]
    assert kinds[-5:] == [f"capture.{word}" for word in ("paused", "resumed", "stopped", "sealed", "opened")]


async def test_a_paused_capture_can_be_stopped(acme: Diagnosing) -> None:
    """A pause needs no end before the end."""
    id = await started(acme)
    await acme.ask("PauseSession", session_id=id)
    await acme.ask("StopSession", session_id=id)
    assert (await ended(acme, id)).stop_reason == pb.CAPTURE_STOP_REASON_REQUESTED


async def test_no_unmasked_byte_touches_the_disk(acme: Diagnosing, sqlite_site: Site) -> None:
    """While a capture runs and after it, the folder of the service holds the secret nowhere."""
    id = await started(acme)
    send()
    await asyncio.sleep(1.2)
    await acme.ask("StopSession", session_id=id)
    await ended(acme, id)
    for file in sqlite_site.settings.data_dir.parent.rglob("*"):
        assert not file.is_file() or SECRET not in file.read_bytes(), file


async def test_a_limit_of_packets_ends_the_capture(acme: Diagnosing) -> None:
    """The first limit reached is the reason."""
    limits = pb.CaptureLimits()
    limits.CopyFrom(LIMITS)
    limits.packets = 5
    id = await started(acme, limits=limits)
    send(30)
    session = await ended(acme, id)
    assert (session.stop_reason, session.counters.written) == (pb.CAPTURE_STOP_REASON_PACKETS, 5)


async def test_a_limit_of_time_ends_the_capture(acme: Diagnosing) -> None:
    """A capture of one second lasts one second."""
    limits = pb.CaptureLimits()
    limits.CopyFrom(LIMITS)
    limits.seconds = 1
    session = await ended(acme, await started(acme, limits=limits))
    assert (session.state, session.stop_reason) == (pb.SESSION_STATE_SEALED, pb.CAPTURE_STOP_REASON_TIME)


async def test_withdrawal_stops_a_running_capture(acme: Diagnosing) -> None:
    """A withdrawn attestation ends what rests on it, with that reason."""
    id = await started(acme)
    attestation = (await acme.session(id)).attestation_id
    assert (await acme.ask("WithdrawAttestation", attestation_id=attestation)).sessions_ended == 1
    session = await ended(acme, id)
    assert (session.state, session.stop_reason) == (
        pb.SESSION_STATE_SEALED,
        pb.CAPTURE_STOP_REASON_ATTESTATION_WITHDRAWN,
    )


async def test_expiry_stops_a_running_capture(sqlite_site: Site) -> None:
    """An attestation that ends in mid-capture ends the capture."""
    async with customer(sqlite_site) as (acme, _server):
        await acme.enable()
        await acme.publish()
        until = pb.AttestationStatement()
        until.valid_until.FromDatetime(datetime.now(UTC) + timedelta(seconds=3))
        await acme.attest(valid_until=until.valid_until)
        session = await ended(acme, await started(acme))
        assert session.stop_reason == pb.CAPTURE_STOP_REASON_ATTESTATION_EXPIRED


async def test_disabling_stops_a_running_capture(acme: Diagnosing) -> None:
    """The customer can end everything at once."""
    id = await started(acme)
    assert (await acme.ask("DisableDiagnostics")).sessions_ended == 1
    session = await ended(acme, id)
    assert session.stop_reason == pb.CAPTURE_STOP_REASON_POLICY_CHANGED


async def test_a_starter_without_right_and_an_approver_without_right(acme: Diagnosing) -> None:
    """A change of policy in mid-capture ends it: by its own name where the approver is concerned."""
    id = await started(acme)
    await acme.client.change(remove=[RULES[2]])
    assert (await ended(acme, id)).stop_reason == pb.CAPTURE_STOP_REASON_APPROVER_LEFT
    await acme.client.change(add=[RULES[2]])
    id = await started(acme)
    await acme.client.change(
        remove=[RULES[1]], add=["allow admin capture_request,capture_read,view_metadata capture any"]
    )
    assert (await ended(acme, id)).stop_reason == pb.CAPTURE_STOP_REASON_POLICY_CHANGED


async def test_a_killed_worker(acme: Diagnosing) -> None:
    """What a worker masked before it was killed is sealed; that it was lost is the reason, and the count says so."""
    id = await started(acme)
    send(10)
    await asyncio.sleep(1.5)
    os.kill(worker_of(id), signal.SIGKILL)
    session = await ended(acme, id)
    assert (session.state, session.stop_reason) == (pb.SESSION_STATE_SEALED, pb.CAPTURE_STOP_REASON_WORKER_LOST)
    assert SECRET not in await evidence(acme, id)


async def test_a_server_that_stops_lets_go_of_its_captures(sqlite_site: Site) -> None:
    """A drained server ends its captures in order; the next one finds them sealed."""
    async with customer(sqlite_site) as (acme, _server):
        await acme.permit()
        id = await started(acme)
        send()
    async with open_again(sqlite_site) as (acme, _server):
        session = await acme.session(id)
        assert (session.state, session.stop_reason) == (pb.SESSION_STATE_SEALED, pb.CAPTURE_STOP_REASON_LEASE_LOST)


async def test_a_filter_that_does_not_compile(acme: Diagnosing, sqlite_site: Site) -> None:
    """The worker refuses it; the session has failed, and nothing was captured."""
    await acme.client.change(add=["allow admin capture_raw_filter capture any"])
    id = await acme.armed(selector=pb.CaptureSelector(raw_filter="udp) or (tcp and"))
    assert await acme.refused("StartSession", session_id=id) == "DIAGNOSIS_UNAVAILABLE"
    session = await acme.session(id)
    assert (session.state, session.stop_reason) == (pb.SESSION_STATE_FAILED, pb.CAPTURE_STOP_REASON_ERROR)
    assert not list((sqlite_site.settings.data_dir / "evidence").glob("*"))


async def test_an_extension_passes_the_same_gates(acme: Diagnosing) -> None:
    """Going on from a session is another session: it waits for its own approval."""
    id = await started(acme)
    session = (await acme.ask("RequestSession", **asked(extends_session=id))).session
    assert (session.state, session.extends_session) == (pb.SESSION_STATE_PENDING_APPROVAL, id)
    await acme.ask("StopSession", session_id=id)
    await ended(acme, id)


async def test_a_server_that_is_killed_leaves_sealed_evidence_and_no_worker(sqlite_site: Site) -> None:
    """The worker loses its pipe and stops, its sealer closes the file: what was captured opens, masked."""
    data = Path(sqlite_site.settings.data_dir)
    (data / "places.toml").write_text('[acme]\ninterfaces = ["lo"]\n')
    stated = {"LINEWARDEN_PLACES_FILE": "places.toml", "LINEWARDEN_CAPTURE_MIN_DISK_FREE": "0"}
    async with processes(sqlite_site, 1, **stated) as (server,):
        async with Client(server.address, sqlite_site.token) as client:
            acme = Diagnosing(client)
            await client.change(add=RULES)
            await acme.permit()
            id = await started(acme)
            worker = worker_of(id, server.process.pid)
            send()
            await asyncio.sleep(1.5)
        server.kill()
    for _ in range(150):
        if not alive(worker):
            break
        await asyncio.sleep(0.1)
    assert not alive(worker)
    plain = io.BytesIO()
    await asyncio.sleep(0.5)
    unseal(io.BytesIO((data / "evidence" / f"{id}.pcapng.age").read_bytes()), plain, [str(IDENTITY)], bytes(32))
    assert b"MESSAGE sip:bob@example" in plain.getvalue()
    assert SECRET not in plain.getvalue()


def alive(process: int) -> bool:
    """Whether a process is still there."""
    return Path(f"/proc/{process}").exists()


def worker_of(session: str, parent: int | None = None) -> int:
    """The process id of a session's worker: the one whose evidence our sealer of that session reads."""
    parents: dict[int, list[int]] = {}
    lines: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            lines[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        parents.setdefault(above, []).append(int(folder.name))
    ours = parents.get(parent or os.getpid(), [])
    assert any(session in lines[one] for one in ours)
    (worker,) = [one for one in ours if "linewarden.diagnostics.capture" in lines[one]]
    return worker

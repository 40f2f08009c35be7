"""Capture files that are imported over real gRPC: the checks, masking, sealing and record of a live capture."""

import asyncio
import io
import os
import resource
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from acme import LIMITS
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from linewarden.diagnostics.evidence.sealing import unseal
from linewarden.v1 import capture_pb2 as pb
from linewarden.v1 import core_pb2
from tests.deadlines import FACTOR, HANG_S
from tests.integration.conftest import TENANT, Site, person
from tests.integration.diagnosing import CONTEXT, IDENTITY, Diagnosing, asked, customer

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "pcap"
SECRET = b"4711-0815-secret"
SIP = (
    b"MESSAGE sip:bob@example SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nCall-ID: c1\r\nCSeq: 1 MESSAGE\r\n"
    b"From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\r\n" + SECRET
)
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
WHOLE_BYTES = 16_384


def packet(number: int) -> bytes:
    """Return one record of a pcap file: a SIP message over UDP, IPv4 and Ethernet."""
    udp = struct.pack(">HHHH", 5_060, 5_060, 8 + len(SIP), 0) + SIP
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number % 65_536, 0, 64, 17, 0, bytes(4), bytes(4)) + udp
    frame = bytes(12) + b"\x08\x00" + ip
    return struct.pack("<IIII", 1_700_000_000 + number, 0, len(frame), len(frame)) + frame


def capture_file(packets: int) -> bytes:
    """Return a pcap file of so many packets."""
    return HEADER + b"".join(packet(number) for number in range(packets))


def cut(file: bytes) -> Iterator[bytes]:
    """Split the file into parts as long as a message may be, or shorter."""
    for at in range(0, len(file), WHOLE_BYTES):
        yield file[at : at + WHOLE_BYTES]


@pytest.fixture
async def acme(sqlite_site: Site) -> AsyncIterator[Diagnosing]:
    """Yield a customer that has permitted captures and may import files."""
    async with customer(sqlite_site) as (diagnosing, _running):
        await diagnosing.permit()
        yield diagnosing


def for_file(**more: Any) -> dict[str, Any]:
    """Return the fields of a request to import a file."""
    return asked(**{"interface": "", "file": "fault of monday.pcap", "selector": pb.CaptureSelector()} | more)


async def armed(acme: Diagnosing, **more: Any) -> str:
    """Return a capture that waits for its file."""
    capture = (await acme.ask("RequestCapture", **for_file(**more))).capture
    await acme.ask("ApproveCapture", "berta", capture_id=capture.id)
    id: str = capture.id
    return id


class Upload:
    """One call of UploadCapture, message by message."""

    def __init__(self, acme: Diagnosing, id: str) -> None:
        self._start = pb.StartCaptureRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin"), context=CONTEXT), capture_id=id
        )
        self._first = True
        self.call = acme.stub.UploadCapture(metadata=acme.client.metadata, timeout=HANG_S)

    async def send(self, content: bytes, *, last: bool = False) -> None:
        """Send one message; a finished call takes no more."""
        message = pb.UploadCaptureRequest(content=content, last=last)
        if self._first:
            message.start.CopyFrom(self._start)
            self._first = False
        await self.call.write(message)

    async def refused(self) -> str:
        """Return the reason for which the call failed."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call
        return reason_of(caught.value)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the reason in the details of an error."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def upload(acme: Diagnosing, id: str, file: bytes) -> pb.Capture:
    """Import a whole file."""
    call = Upload(acme, id)
    parts = list(cut(file))
    for number, part in enumerate(parts, 1):
        try:
            await call.send(part, last=number == len(parts))
        except asyncio.InvalidStateError:  # it was answered before the file ended
            break
    answer = await call.call
    capture: pb.Capture = answer.capture
    return capture


async def evidence(acme: Diagnosing, capture: pb.Capture) -> bytes:
    """Return the evidence of a capture, opened by its reader and compared with its record."""
    request = acme.request("ReadEvidence", "admin", capture_id=capture.id)
    parts = [
        part.content async for part in acme.stub.ReadEvidence(request, metadata=acme.client.metadata, timeout=HANG_S)
    ]
    plain, recorded = io.BytesIO(), capture.evidence
    manifest = unseal(io.BytesIO(b"".join(parts)), plain, [str(IDENTITY)], bytes.fromhex(recorded.ticket_digest))
    assert (manifest.chain, manifest.sha256) == (recorded.chain, recorded.plain_sha256)
    return plain.getvalue()


async def test_a_file_is_masked_sealed_and_recorded_like_a_capture(acme: Diagnosing, sqlite_site: Site) -> None:
    """The service imports the whole file, writes its secret to no disk, and records each step."""
    id = await armed(acme)
    capture = await upload(acme, id, capture_file(400))
    assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_SEALED, pb.CAPTURE_STOP_REASON_REQUESTED)
    assert (capture.counters.written, capture.lossy, capture.file) == (400, False, "fault of monday.pcap")
    plain = await evidence(acme, capture)
    assert b"MESSAGE sip:bob@example" in plain
    assert b"fault of monday.pcap" in plain
    assert SECRET not in plain
    for file in sqlite_site.settings.data_dir.parent.rglob("*"):
        assert not file.is_file() or SECRET not in file.read_bytes(), file
    entries = [entry for entry in sqlite_site.entries() if entry.get("session") == id]
    steps = ["requested", "approved", "started", "stopped", "sealed", "opened"]
    assert [entry["kind"] for entry in entries] == [f"capture.{step}" for step in steps]
    assert entries[0]["source"] == "file"
    assert "monday" not in str(entries)


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.pcap*")), ids=lambda path: path.name)
async def test_published_files_are_imported(acme: Diagnosing, path: Path) -> None:
    """Each published capture file is imported to its end, with every packet accounted for."""
    file = await asyncio.to_thread(path.read_bytes)
    capture = await upload(acme, await armed(acme), file)
    assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_SEALED, pb.CAPTURE_STOP_REASON_REQUESTED)
    counters = capture.counters
    assert counters.written == counters.delivered == counters.received > 0
    assert await evidence(acme, capture)


async def test_a_file_passes_every_gate_of_a_capture(acme: Diagnosing) -> None:
    """The service refuses a file without an approval, or after its attestation is withdrawn."""
    capture = (await acme.ask("RequestCapture", **for_file())).capture
    waiting = Upload(acme, capture.id)
    await waiting.send(capture_file(1), last=True)
    assert await waiting.refused() == "APPROVAL_MISSING"
    id = await armed(acme)
    await acme.ask("WithdrawAttestation", attestation_id=(await acme.capture(id)).attestation_id)
    ungrounded = Upload(acme, id)
    await ungrounded.send(capture_file(1), last=True)
    assert await ungrounded.refused() == "ATTESTATION_MISSING"


async def test_a_session_has_one_source(acme: Diagnosing) -> None:
    """A capture has either an interface or a file, and each is started by a different method."""
    assert await acme.refused("RequestCapture", **for_file(interface="lo")) == "INVALID_REQUEST"
    assert await acme.refused("RequestCapture", **for_file(file="")) == "INVALID_REQUEST"
    assert await acme.refused("StartCapture", capture_id=await armed(acme)) == "STATE_CONFLICT"
    live = Upload(acme, await acme.armed())
    await live.send(capture_file(1), last=True)
    assert await live.refused() == "STATE_CONFLICT"


async def test_files_need_the_leave_of_the_operator(sqlite_site: Site) -> None:
    """The service refuses files of a tenant to which the operator has permitted an interface only."""
    places = sqlite_site.settings.data_dir / "strict.toml"
    places.write_text('[acme]\ninterfaces = ["lo"]\n')
    async with customer(sqlite_site, places_file=places) as (acme, _running):
        await acme.permit()
        assert await acme.refused("RequestCapture", **for_file()) == "SELECTOR_NOT_PERMITTED"


async def test_an_upload_without_a_message_is_refused_and_recorded(acme: Diagnosing, sqlite_site: Site) -> None:
    """A caller that ends an upload before its first message gets INVALID_REQUEST, and the system log says so."""
    call = acme.stub.UploadCapture(metadata=acme.client.metadata, timeout=HANG_S)
    await call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert reason_of(caught.value) == "INVALID_REQUEST"
    refused = [entry["reason"] for entry in sqlite_site.entries("") if entry["kind"] == "request.refused"]
    assert refused == ["invalid_request"]


@pytest.mark.parametrize("content", [b"not a capture", b"", b"\xd4\xc3", b"x" * 65_537])
async def test_what_is_no_capture_file_starts_nothing(acme: Diagnosing, sqlite_site: Site, content: bytes) -> None:
    """The service refuses an invalid capture file, records that, and leaves the capture armed for the right file."""
    id = await armed(acme)
    call = Upload(acme, id)
    await call.send(content, last=True)
    assert await call.refused() == "INVALID_REQUEST"
    assert (await acme.capture(id)).state == pb.CAPTURE_STATE_ARMED
    refused = [entry for entry in sqlite_site.entries() if entry["kind"] == "request.refused"]
    assert refused[-1]["fields"] == ["content"]


async def test_a_damaged_file_ends_with_what_came_before(acme: Diagnosing) -> None:
    """The service seals the packets before a damage in the file, with the stop reason of a fault."""
    file = capture_file(40) + struct.pack("<IIII", 0, 0, 1 << 30, 1 << 30) + bytes(100)
    capture = await upload(acme, await armed(acme), file)
    assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_SEALED, pb.CAPTURE_STOP_REASON_ERROR)
    assert capture.counters.written == 40


async def test_a_file_without_its_end_is_not_called_whole(acme: Diagnosing) -> None:
    """A file that ends early, or a second start, ends the capture as a fault."""
    for last_message in (None, pb.UploadCaptureRequest(content=packet(9), start=pb.StartCaptureRequest())):
        id = await armed(acme)
        call = Upload(acme, id)
        await call.send(capture_file(9))
        if last_message is not None:
            await call.call.write(last_message)
        await call.call.done_writing()
        assert await call.refused() == "INVALID_REQUEST"
        capture = await acme.capture(id)
        assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_SEALED, pb.CAPTURE_STOP_REASON_ERROR)
        assert capture.counters.written == 9


async def test_a_caller_that_goes_away_leaves_a_sealed_fault(acme: Diagnosing) -> None:
    """A cancelled upload ends at once with the reason ERROR, and its packets are sealed."""
    id = await armed(acme)
    call = Upload(acme, id)
    await call.send(capture_file(9))
    await running(acme, id)
    call.call.cancel()
    capture = await ended(acme, id)
    assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_SEALED, pb.CAPTURE_STOP_REASON_ERROR)


async def test_a_caller_that_stops_sending_loses_its_lease(acme: Diagnosing) -> None:
    """An upload that stops sending loses its lease and ends its capture, though the call is still open."""
    id = await armed(acme)
    call = Upload(acme, id)
    await call.send(capture_file(9))
    capture = (await asyncio.wait_for(call.call, HANG_S)).capture
    assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_SEALED, pb.CAPTURE_STOP_REASON_ERROR)
    assert capture.counters.written == 9


async def test_a_withdrawal_ends_an_upload(acme: Diagnosing) -> None:
    """A withdrawal of the attestation ends an upload, as it ends a live capture."""
    id = await armed(acme)
    call = Upload(acme, id)
    await call.send(capture_file(9))
    await running(acme, id)
    await acme.ask("WithdrawAttestation", attestation_id=(await acme.capture(id)).attestation_id)
    for number in range(60):
        try:
            await call.send(packet(number))
        except asyncio.InvalidStateError:
            break
        await asyncio.sleep(0.1)
    capture = (await call.call).capture
    assert capture.stop_reason == pb.CAPTURE_STOP_REASON_ATTESTATION_WITHDRAWN


async def test_limits_end_an_upload(acme: Diagnosing) -> None:
    """The limit of packets is the stop reason of an upload, and ends it before the rest of the file."""
    limits = pb.CaptureLimits()
    limits.CopyFrom(LIMITS)
    limits.packets = 5
    capture = await upload(acme, await armed(acme, limits=limits), capture_file(3_000))
    assert (capture.stop_reason, capture.counters.written) == (pb.CAPTURE_STOP_REASON_PACKETS, 5)


async def test_a_file_can_be_too_long(sqlite_site: Site) -> None:
    """The service refuses a call beyond the largest file size, and the capture names that limit."""
    limits = pb.CaptureLimits()
    limits.CopyFrom(LIMITS)
    limits.bytes = 60_000
    nothing = pb.CaptureSelector(hosts=["192.0.2.1"])
    async with customer(sqlite_site, capture_max_bytes=60_000) as (acme, _running):
        await acme.permit()
        id = await armed(acme, limits=limits, selector=nothing)
        call = Upload(acme, id)
        for part in cut(capture_file(400)):
            try:
                await call.send(part)
            except asyncio.InvalidStateError:
                break
        assert await call.refused() == "STREAM_LIMIT_EXCEEDED"
        assert (await acme.capture(id)).stop_reason == pb.CAPTURE_STOP_REASON_BYTES


async def test_a_full_disk_fails_the_session(acme: Diagnosing) -> None:
    """The capture fails when its evidence can no longer be written, and the record says so.

    The sealer may write no byte more from some moment on, as on a disk that is full.
    """
    limits = pb.CaptureLimits()
    limits.CopyFrom(LIMITS)
    limits.bytes = 16 << 20
    id = await armed(acme, limits=limits)
    call = Upload(acme, id)
    await call.send(capture_file(9))
    await running(acme, id)
    (sealer,) = sealers_of(id)
    resource.prlimit(sealer, resource.RLIMIT_FSIZE, (4_096, 4_096))
    for part in cut(capture_file(9_000)[len(HEADER) :]):
        try:
            await call.send(part)
        except asyncio.InvalidStateError:
            break
    capture = (await call.call).capture
    assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_FAILED, pb.CAPTURE_STOP_REASON_DISK_LOW)
    assert not capture.HasField("evidence")


async def test_the_same_request_makes_one_session(acme: Diagnosing) -> None:
    """A repeated request id returns the same capture, and a different request under it is refused."""
    first = (await acme.ask("RequestCapture", **for_file(request_id="r-1"))).capture
    again = (await acme.ask("RequestCapture", **for_file(request_id="r-1"))).capture
    assert again == first
    assert len((await acme.ask("ListCaptures")).captures) == 1
    other = for_file(request_id="r-1", file="another.pcap")
    assert await acme.refused("RequestCapture", **other) == "STATE_CONFLICT"
    assert await acme.refused("RequestCapture", "//partner/ines", **for_file(request_id="r-1")) == "STATE_CONFLICT"


async def test_evidence_that_cannot_be_deleted_is_not_forgotten(acme: Diagnosing, sqlite_site: Site) -> None:
    """A capture whose file cannot be deleted is not called deleted, hands nothing out, and is deleted later."""
    capture = await upload(acme, await armed(acme), capture_file(1))
    file = sqlite_site.settings.data_dir / "evidence" / f"{capture.id}.pcapng.age"
    kept = file.rename(file.with_suffix(".kept"))
    file.mkdir()
    assert await acme.refused("DeleteCapture", capture_id=capture.id) == "DIAGNOSIS_UNAVAILABLE"
    assert (await acme.capture(capture.id)).state == pb.CAPTURE_STATE_SEALED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await evidence(acme, capture)
    assert reason_of(caught.value) == "STATE_CONFLICT"
    file.rmdir()
    kept.rename(file)
    assert (await acme.ask("DeleteCapture", capture_id=capture.id)).capture.state == pb.CAPTURE_STATE_DELETED
    assert not file.exists()


async def running(acme: Diagnosing, id: str) -> None:
    """Wait until a capture has written the first packets."""
    async with asyncio.timeout(HANG_S):
        while (await acme.capture(id)).state != pb.CAPTURE_STATE_RUNNING or not sealers_of(id):  # noqa: ASYNC110 - remote
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5 * FACTOR)


async def ended(acme: Diagnosing, id: str) -> pb.Capture:
    """Wait until a capture has ended."""
    async with asyncio.timeout(HANG_S):
        capture = await acme.capture(id)
        while not capture.HasField("ended_at"):
            await asyncio.sleep(0.1)
            capture = await acme.capture(id)
    return capture


def sealers_of(capture: str) -> list[int]:
    """Return the process ids of our children that seal the evidence of a capture."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
            if ours and capture.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return found

"""Captures on loopback for the integration tests, and inspection of their processes, files and entries."""

import asyncio
import io
import os
import socket
from pathlib import Path
from typing import Any

from linewarden.diagnostics.evidence.sealing import unseal
from linewarden.v1 import capture_pb2 as pb
from linewarden.v1 import core_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import TENANT, Site, person
from tests.integration.diagnosing import CONTEXT, IDENTITY, PORT, Diagnosing

SECRET = b"4711-0815-secret"
MESSAGE = (
    b"MESSAGE sip:bob@example SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nCall-ID: c1\r\nCSeq: 1 MESSAGE\r\n"
    b"From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\r\n" + SECRET
)


def send(count: int = 20) -> None:
    """Send SIP messages with a secret body over loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(MESSAGE, ("127.0.0.1", PORT))


async def started(acme: Diagnosing, **more: Any) -> str:
    """Return a capture that runs."""
    id = await acme.armed(**more)
    capture = (await acme.ask("StartCapture", capture_id=id)).capture
    assert capture.state == pb.CAPTURE_STATE_RUNNING
    return id


async def ended(acme: Diagnosing, id: str) -> pb.Capture:
    """Wait until a capture has ended."""
    async with asyncio.timeout(HANG_S):
        capture = await acme.capture(id)
        while capture.state in {pb.CAPTURE_STATE_RUNNING, pb.CAPTURE_STATE_PAUSED, pb.CAPTURE_STATE_STOPPING}:
            await asyncio.sleep(0.05)
            capture = await acme.capture(id)
    return capture


async def evidence(acme: Diagnosing, id: str) -> bytes:
    """Return the evidence of a capture, opened by its reader and compared with its record."""
    recorded = (await acme.capture(id)).evidence
    request = pb.ReadEvidenceRequest(
        header=core_pb2.RequestHeader(
            tenant=TENANT,
            subject=person("admin"),
            context=core_pb2.Context(purpose=core_pb2.PURPOSE_SUPPORT, case_reference="T-4711"),
        ),
        capture_id=id,
    )
    parts = [
        part.content async for part in acme.stub.ReadEvidence(request, metadata=acme.client.metadata, timeout=HANG_S)
    ]
    plain = io.BytesIO()
    manifest = unseal(io.BytesIO(b"".join(parts)), plain, [str(IDENTITY)], bytes.fromhex(recorded.ticket_digest))
    assert (manifest.chain, manifest.sha256) == (recorded.chain, recorded.plain_sha256)
    return plain.getvalue()


async def watch(acme: Diagnosing, id: str) -> list[pb.WatchCaptureResponse]:
    """Return all messages of a capture's stream."""
    request = pb.WatchCaptureRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")), capture_id=id
    )
    return [one async for one in acme.stub.WatchCapture(request, metadata=acme.client.metadata, timeout=HANG_S)]


async def written(acme: Diagnosing, id: str, count: int) -> None:
    """Wait until a capture has written so many packets."""
    request = pb.WatchCaptureRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin"), context=CONTEXT), capture_id=id
    )
    looks = acme.stub.WatchCapture(request, metadata=acme.client.metadata, timeout=HANG_S)
    async for look in looks:
        if look.counters.written >= count:
            break
    looks.cancel()


def ends(site: Site) -> list[dict[str, Any]]:
    """Return the entries by which the latest capture stopped and was sealed or failed."""
    kinds = {"capture.stopped", "capture.sealed", "capture.failed"}
    found = [entry for entry in site.entries() if entry["kind"] in kinds][-2:]
    assert found[0]["kind"] == "capture.stopped"
    return found


def files_of(site: Site, capture: str) -> list[str]:
    """Return the files of a capture in the evidence folder."""
    return sorted(one.name for one in (Path(site.settings.data_dir) / "evidence").glob(f"{capture}*"))


async def gone(*processes: int) -> None:
    """Wait until processes have ended."""
    async with asyncio.timeout(HANG_S):
        while any(alive(one) for one in processes):  # noqa: ASYNC110 - other processes end
            await asyncio.sleep(0.05)


def alive(process: int) -> bool:
    """Return whether a process still exists."""
    return Path(f"/proc/{process}").exists()


def ours(parent: int | None = None) -> dict[int, str]:
    """Return the children of a process, by default of this one, with their arguments."""
    lines: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if above == (parent or os.getpid()):
            lines[int(folder.name)] = line
    return lines


def worker_of(capture: str, parent: int | None = None) -> int:
    """Return the process id of a capture's worker: the one whose output the capture's sealer reads."""
    lines = ours(parent)
    assert any(capture in line for line in lines.values())
    (worker,) = [one for one, line in lines.items() if "linewarden.diagnostics.packets" in line]
    return worker


def sealer_of(capture: str, parent: int | None = None) -> int:
    """Return the process id of a capture's sealer."""
    (sealer,) = [one for one, line in ours(parent).items() if f"{capture}.pcapng.age" in line]
    return sealer

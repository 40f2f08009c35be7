"""Workers of this host with their sealers: the evidence after the loss of one of them, or on a full disk."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linewarden.diagnostics.agent.local_worker import LocalWorker, _tally
from linewarden.diagnostics.agent.local_workers import LocalWorkers
from linewarden.diagnostics.capture_model import Reader, Tally
from linewarden.diagnostics.captures.failures import CaptureFailure
from linewarden.diagnostics.captures.ports import Order
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, Selector, StopReason
from linewarden.diagnostics.packets.ticket import StartTicket
from tests.deadlines import FACTOR, HANG_S
from tests.integration.disks import holding, small_disk
from tests.rights import live

pyrage: Any = pytest.importorskip("pyrage", reason="install linewarden[capture]")

SECRET = b"0815-4711-secret"
READER = Reader("erik", str(pyrage.x25519.Identity.generate().to_public()))
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN"
LIMITS = CaptureLimits(60, 64 << 20, 10**6, 65_535, 0, 10**6, 20)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


PORT = _free_port()

pytestmark = live


def _order(capture: str = "s1", reader: Reader = READER, **changes: Any) -> Order:
    ticket = StartTicket(
        id=capture,
        tenant="acme",
        who="alice",
        why="case 4711",
        profile=Profile.SIGNALLING,
        limits=LIMITS,
        start_before_ns=time.time_ns() + 30 * 10**9,
        interface="lo",
        selector=Selector(ports=((PORT, PORT),)),
    )
    return Order(replace(ticket, **changes), (reader,))


def _send(count: int) -> None:
    """Send SIP messages with secret bodies; some hundred masked bytes of each are kept."""
    head = b"MESSAGE sip:bob@example SIP/2.0\r\nCall-ID: c1\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n"
    message = head + b"Content-Length: 1024\r\n\r\n" + SECRET * 64
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(message, ("127.0.0.1", PORT))


def _sealer_of(path: Path) -> tuple[int, list[str]]:
    """Return the process that seals into a file, and its arguments."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if str(path) in arguments:
            return int(folder.name), arguments
    pytest.fail("there is no sealer")


def _left(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


async def _watched(worker: LocalWorker) -> Any:
    """Wait for the end, with the heartbeats that a supervisor gives."""
    ended = asyncio.ensure_future(worker.ended())
    async with asyncio.timeout(HANG_S):
        while not (await asyncio.wait([ended], timeout=0.5))[0]:
            worker.heartbeat(paused=False)
    return ended.result()


@asynccontextmanager
async def _running(workers: LocalWorkers, order: Order) -> AsyncIterator[LocalWorker]:
    """Run a worker that captures; end it when the test ends."""
    worker = await workers.launch(order)
    try:
        yield worker
    finally:
        worker.stop(StopReason.REQUESTED)
        await worker.ended()


async def test_a_sealer_that_is_killed_stops_its_worker_at_once(tmp_path: Path) -> None:
    """A worker whose sealer is killed stops at once, also on a silent interface, and leaves no partial file."""
    workers = LocalWorkers(tmp_path)
    async with _running(workers, _order()) as worker:
        process = worker._capture.process
        os.kill(_sealer_of(workers.path("s1"))[0], signal.SIGKILL)
        outcome = await _watched(worker)
    assert process.returncode == -signal.SIGKILL
    assert (outcome.reason, outcome.evidence, outcome.detail) == (
        StopReason.WORKER_LOST,
        None,
        CaptureFailure.SEALER_LOST,
    )
    assert not outcome.tally.sound
    assert _left(tmp_path) == []


async def test_a_worker_that_is_killed_leaves_evidence(tmp_path: Path) -> None:
    """The packets that a killed worker had masked are sealed, and the result is marked as lossy."""
    workers = LocalWorkers(tmp_path)
    async with _running(workers, _order()) as worker:
        _send(20)
        await asyncio.sleep(1.5 * FACTOR)
        worker._capture.process.kill()
        outcome = await _watched(worker)
    assert (outcome.reason, outcome.detail) == (StopReason.WORKER_LOST, CaptureFailure.WORKER_LOST)
    assert outcome.evidence is not None
    assert outcome.tally.written == 20
    assert not outcome.tally.complete
    assert not outcome.tally.sound
    assert _left(tmp_path) == ["s1.pcapng.age", "s1.seal"]
    assert workers.recover("s1", "") == outcome.evidence


async def test_an_end_in_order_is_complete(tmp_path: Path) -> None:
    """A worker that ends in order reports complete counters."""
    async with _running(LocalWorkers(tmp_path), _order()) as worker:
        _send(5)
        await asyncio.sleep(0.3 * FACTOR)
        worker.stop(StopReason.REQUESTED)
        outcome = await _watched(worker)
    assert (outcome.reason, outcome.detail, outcome.tally.written) == (StopReason.REQUESTED, "", 5)
    assert outcome.evidence is not None
    assert outcome.tally.sound


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a disk of 1 MiB."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder


async def test_a_disk_that_becomes_full(disk: Path) -> None:
    """A capture on a disk that becomes full ends for that reason, and leaves no data."""
    workers = LocalWorkers(disk)
    async with _running(workers, _order()) as worker:
        ended = asyncio.ensure_future(_watched(worker))
        looked: list[str] = []
        while not ended.done():
            _send(200)
            looked += holding(disk, SECRET)
            await asyncio.sleep(0.05)
        outcome = ended.result()
    assert (outcome.reason, outcome.evidence, outcome.detail) == (StopReason.DISK_LOW, None, CaptureFailure.NO_ROOM)
    assert looked == []
    assert _left(disk) == []


async def test_a_disk_that_is_full_before(disk: Path) -> None:
    """A capture on a disk that is full from the beginning fails for that reason."""
    with suppress(OSError), (disk / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))
    async with _running(LocalWorkers(disk), _order()) as worker:
        _send(10)
        await asyncio.sleep(0.3 * FACTOR)
        worker.stop(StopReason.REQUESTED)
        outcome = await _watched(worker)
    assert (outcome.reason, outcome.evidence, outcome.detail) == (StopReason.DISK_LOW, None, CaptureFailure.NO_ROOM)
    assert _left(disk) == ["filling"]


async def test_a_readers_name_is_no_argument(tmp_path: Path) -> None:
    """The comment of an SSH key is no process argument, because every user of the host sees arguments."""
    workers = LocalWorkers(tmp_path)
    reader = Reader("erik", f"{SSH_KEY} erik.example@mail.example")
    workers.check_readers((reader,))
    async with _running(workers, _order(reader=reader)):
        _process, arguments = _sealer_of(workers.path("s1"))
    assert f"--recipient={SSH_KEY}" in arguments
    assert not any("erik" in argument for argument in arguments)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"interface": "lwnone0"}, CaptureFailure.INTERFACE),
        ({"selector": Selector(), "raw_filter": "udp) or (tcp and"}, CaptureFailure.FILTER),
        ({"start_before_ns": 1}, CaptureFailure.ORDER),
        ({"raw_filter": "udp"}, CaptureFailure.ORDER),
    ],
    ids=["interface", "filter", "stale", "both"],
)
async def test_why_a_worker_did_not_begin(tmp_path: Path, change: dict[str, Any], cause: CaptureFailure) -> None:
    """A worker that refuses to start names its reason, and leaves no file."""
    with pytest.raises(DiagnosisUnavailable) as caught:
        await LocalWorkers(tmp_path).launch(_order(**change))
    assert caught.value.detail == cause
    assert _left(tmp_path) == []


async def test_evidence_is_never_made_twice(tmp_path: Path) -> None:
    """A capture that has a file already starts nothing, and its file stays as it is."""
    workers = LocalWorkers(tmp_path)
    workers.path("s1").write_bytes(b"evidence")
    with pytest.raises(DiagnosisUnavailable):
        await workers.launch(_order())
    assert workers.path("s1").read_bytes() == b"evidence"


@pytest.mark.parametrize(
    "said",
    [
        {"received": "sip:alice@example.org"},
        {"received": -1},
        {"written": True},
        {"rules": {"sip:alice@example.org": 1}},
        {"rules": {"sip_body": "alice"}},
        {"rules": []},
        {"complete": False},
        {"alice": 1},
    ],
)
def test_counters_are_numbers(said: dict[str, Any]) -> None:
    """Only numbers and known rule names of a worker's report go into the log."""
    assert _tally({"received": 3, "rules": {"sip_body": 2}}) == Tally(received=3, rules={"sip_body": 2})
    with pytest.raises((ValueError, TypeError, AttributeError)):
        _tally(said)

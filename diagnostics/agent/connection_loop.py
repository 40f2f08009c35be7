"""The worker's side: dials in to each process of the server, and has run on this host what signed orders say.

What captures here is the same confined process as on the server's host, and the same sealer beside it. Sealed evidence
waits in the spool until it is delivered. When the link to the server is lost, captures stop, and what they made is
deleted: nobody would know of it.
"""

import asyncio
import fcntl
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import structlog

from linewarden.diagnostics.agent.enrolment import Enrolment
from linewarden.diagnostics.agent.local_worker import LocalWorker
from linewarden.diagnostics.agent.local_workers import LocalWorkers
from linewarden.diagnostics.agent.messages import PROTOCOL, STOP_REASONS, ended_message, tally_message
from linewarden.diagnostics.agent.orders import PATIENCE_NS, OrderRefused, open_capture, open_probe
from linewarden.diagnostics.agent.send_queue import SendQueue
from linewarden.diagnostics.captures.ports import Order
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult
from linewarden.v1 import worker_pb2
from linewarden.v1.worker_pb2_grpc import CaptureWorkerServiceStub

#: Captures, and probes, that run at once for one process of the server: whoever orders cannot exhaust the host.
MOST_AT_ONCE = 8

_TICK_S = 1.0
_PART_BYTES = 256 * 1024
#: How long a worker that is told to stop may take to bring its evidence to the server, seconds.
_FINISH_S = 60.0
#: Between two attempts to reach a server, seconds; the wait doubles with each.
_RETRY_S = 1.0
_LONGEST_RETRY_S = 30.0
#: A link that lived so long was sound: after it the wait begins anew, seconds.
_SOUND_S = 60.0

_KEEPALIVE = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 1 << 20),
]


async def attend(enrolment: Enrolment, on_attending: Callable[[str], None], stop: asyncio.Event) -> None:
    """Attend to the servers of an enrolment until told to stop; captures that run then are ended and delivered.

    `on_attending` is called with a server that welcomes the worker, each time.
    """
    lock = _locked(enrolment.spool.parent)
    _clear(enrolment.spool)
    host = _Host(LocalWorkers(enrolment.spool))
    attendants = [_Attendant(enrolment, host, server, on_attending) for server in enrolment.servers]
    keeping = [asyncio.create_task(one.keep()) for one in attendants]
    await stop.wait()
    await asyncio.gather(*(one.finish() for one in attendants))
    for task in keeping:
        task.cancel()
    await asyncio.gather(*keeping, return_exceptions=True)
    os.close(lock)


def _locked(folder: Path) -> int:
    """The lock on a worker's folder, whose spool another process of the same worker would empty.

    Raises:
        OSError: there is such a process.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise OSError("the worker of this folder runs already") from None
    return lock


def _clear(spool: Path) -> None:
    """Delete what an earlier process left of captures that ended with it: nobody would know of it."""
    for left in spool.glob("*.pcapng.age*"):
        left.unlink()
    for left in spool.glob("*.seal*"):
        left.unlink()


class _Host:
    """What all links of this host share: its workers, and the orders that were carried out."""

    def __init__(self, workers: LocalWorkers) -> None:
        self.workers = workers
        self._begun_ns = time.time_ns()
        self._seen: dict[str, int] = {}

    def take(self, id: str, begin_before_ns: int) -> None:
        """Take an order on; each once, however often and over which link it comes.

        Raises:
            OrderRefused: it was taken already, or is from before this process began.
        """
        now_ns = time.time_ns()
        self._seen = {one: until for one, until in self._seen.items() if until > now_ns}
        if id in self._seen or begin_before_ns < self._begun_ns + PATIENCE_NS:
            raise OrderRefused("the order was taken already")
        self._seen[id] = begin_before_ns


class _Attendant:
    """This host's link to one process of the server, made again whenever it is lost."""

    def __init__(self, enrolment: Enrolment, host: _Host, server: str, on_attending: Callable[[str], None]) -> None:
        self._enrolment = enrolment
        self._host = host
        self._server = server
        self._on_attending = on_attending
        self._attendance: _Attendance | None = None

    async def keep(self) -> None:
        """Dial in again and again, until cancelled."""
        wait_s = _RETRY_S
        while True:
            begun = time.monotonic()
            try:
                async with grpc.aio.secure_channel(self._server, self._enrolment.credentials, _KEEPALIVE) as channel:
                    self._attendance = _Attendance(self._enrolment, self._host, CaptureWorkerServiceStub(channel))
                    await self._attendance.run(lambda: self._on_attending(self._server))
            except grpc.aio.AioRpcError as error:
                structlog.get_logger().warning("link_lost", code=error.code().name)
            finally:
                self._attendance = None
            wait_s = _RETRY_S if time.monotonic() - begun > _SOUND_S else min(2 * wait_s, _LONGEST_RETRY_S)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - so that not all come at once

    async def finish(self) -> None:
        """End what runs, and wait until it is delivered."""
        if self._attendance is not None:
            await self._attendance.finish()


class _Attendance:
    """One stream to the server."""

    # The generated types of a stub are those of a channel that blocks.
    def __init__(self, enrolment: Enrolment, host: _Host, stub: Any) -> None:
        self._enrolment = enrolment
        self._host = host
        self._workers = host.workers
        self._stub = stub
        self._send_queue: SendQueue[worker_pb2.ConnectRequest] = SendQueue()
        self._captures: dict[str, LocalWorker] = {}
        self._starting = 0
        self._probing = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, on_attending: Callable[[], None]) -> None:
        """Carry out orders until the stream ends.

        Raises:
            grpc.aio.AioRpcError: it was refused, or broke off.
        """
        self._send_queue.put(worker_pb2.ConnectRequest(hello=worker_pb2.WorkerHello(protocol=PROTOCOL)))
        call = self._stub.Connect(aiter(self._send_queue))
        try:
            async for message in call:
                if message.HasField("welcome"):
                    on_attending()
                self._hear(message)
        finally:
            self._send_queue.close()
            call.cancel()
            await self._abandon()

    async def finish(self) -> None:
        """End all captures as if the server had gone, but bring it what they made."""
        for capture in self._captures.values():
            capture.stop(StopReason.LEASE_LOST)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FINISH_S)

    def _hear(self, message: worker_pb2.ConnectResponse) -> None:
        match message.WhichOneof("said"):
            case "start":
                self._do(self._start(message.start))
            case "probe":
                self._do(self._probe(message.probe))
            case "heartbeat":
                if (capture := self._captures.get(message.heartbeat.capture_id)) is not None:
                    capture.heartbeat(paused=message.heartbeat.paused)
            case "stop":
                if (capture := self._captures.get(message.stop.capture_id)) is not None:
                    capture.stop(STOP_REASONS.get(message.stop.reason, StopReason.ERROR))

    def _do(self, order: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(order)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, signed: worker_pb2.SignedOrder) -> None:
        self._starting += 1
        try:
            order = self._checked(signed)
            capture = await self._workers.launch(order)
        except (OrderRefused, DiagnosisUnavailable) as error:
            structlog.get_logger().warning("capture_refused", why=str(error))
            self._send_queue.put(worker_pb2.ConnectRequest(refused=worker_pb2.CaptureRefused(capture_id=signed.id)))
            return
        finally:
            self._starting -= 1
        capture_id = order.ticket.id
        self._captures[capture_id] = capture
        if self._send_queue.closed:  # the link was lost meanwhile
            capture.stop(StopReason.LEASE_LOST)
        self._send_queue.put(worker_pb2.ConnectRequest(begun=worker_pb2.CaptureBegun(capture_id=capture_id)))
        try:
            await self._follow(capture_id, capture)
        finally:
            del self._captures[capture_id]
            with suppress(DiagnosisUnavailable):
                await asyncio.to_thread(self._workers.delete, capture_id, "")

    def _checked(self, signed: worker_pb2.SignedOrder) -> Order:
        if len(self._captures) + self._starting > MOST_AT_ONCE:
            raise OrderRefused("too many captures run here")
        order = open_capture(signed.note, self._enrolment.verifier, self._enrolment.name, time.time_ns())
        if order.ticket.interface not in self._enrolment.interfaces:
            raise OrderRefused("the interface is none that may be captured here")
        self._host.take(order.ticket.id, order.ticket.start_before_ns)
        return order

    async def _follow(self, capture_id: str, capture: LocalWorker) -> None:
        """Say how it goes, deliver what it made, say how it ended."""
        ended = asyncio.ensure_future(capture.ended())
        await self._tell_until(ended, capture_id, capture)
        outcome = ended.result()
        if outcome.evidence is not None and not self._send_queue.closed:
            delivering = asyncio.ensure_future(self._deliver(capture_id))
            await self._tell_until(delivering, capture_id, capture)
        self._send_queue.put(worker_pb2.ConnectRequest(ended=ended_message(capture_id, outcome)))

    async def _tell_until(self, done: "asyncio.Future[Any]", capture_id: str, capture: LocalWorker) -> None:
        while not done.done():
            progress = worker_pb2.CaptureProgress(capture_id=capture_id, counters=tally_message(capture.tally()))
            self._send_queue.put(worker_pb2.ConnectRequest(progress=progress))
            await asyncio.wait({done}, timeout=_TICK_S)

    async def _deliver(self, capture_id: str) -> None:
        """Bring the evidence; if that fails, the server says so to itself: what did not come is none."""
        try:
            await self._stub.DeliverEvidence(self._parts(capture_id))
        except (grpc.aio.AioRpcError, OSError) as error:
            structlog.get_logger().warning("evidence_not_delivered", error=type(error).__name__)

    async def _parts(self, capture_id: str) -> AsyncIterator[worker_pb2.DeliverEvidenceRequest]:
        with self._workers.path(capture_id).open("rb") as file:
            while content := await asyncio.to_thread(file.read, _PART_BYTES):
                yield worker_pb2.DeliverEvidenceRequest(capture_id=capture_id, content=content)

    async def _probe(self, signed: worker_pb2.SignedOrder) -> None:
        self._probing += 1
        try:
            found = await self._workers.probe(self._checked_probe(signed))
        except OrderRefused as error:
            structlog.get_logger().warning("probe_refused", why=str(error))
            found = ProbeResult(succeeded=False, values={"error": "refused"})
        finally:
            self._probing -= 1
        done = worker_pb2.ProbeDone(probe_id=signed.id, succeeded=found.succeeded, findings=found.values)
        self._send_queue.put(worker_pb2.ConnectRequest(probed=done))

    def _checked_probe(self, signed: worker_pb2.SignedOrder) -> ProbeOrder:
        if self._probing > MOST_AT_ONCE:
            raise OrderRefused("too many probes run here")
        now_ns = time.time_ns()
        id, order = open_probe(signed.note, self._enrolment.verifier, self._enrolment.name, now_ns)
        self._host.take(id, now_ns + PATIENCE_NS)
        return order

    async def _abandon(self) -> None:
        for capture in self._captures.values():
            capture.stop(StopReason.LEASE_LOST)
        if self._tasks:
            await asyncio.wait(self._tasks)

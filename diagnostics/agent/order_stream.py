"""One stream between a worker's host and a process of the server: signed orders come in, reports go out."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
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

#: Captures, and probes, that run at once for one process of the server, so that orders cannot exhaust the host.
MOST_AT_ONCE = 8

_TICK_S = 1.0
_PART_BYTES = 256 * 1024
#: The longest time that a stopping worker takes to deliver its evidence, seconds.
_FINISH_S = 60.0


class Host:
    """The workers of this host, and the orders that were carried out; all streams share it."""

    def __init__(self, workers: LocalWorkers) -> None:
        self.workers = workers
        self._begun_ns = time.time_ns()
        self._seen: dict[str, int] = {}

    def accept(self, id: str, begin_before_ns: int) -> None:
        """Accept an order once, however often it comes, and on whichever stream.

        Raises:
            OrderRefused: the order was accepted already, or is older than this process.
        """
        now_ns = time.time_ns()
        self._seen = {one: until for one, until in self._seen.items() if until > now_ns}
        if id in self._seen or begin_before_ns < self._begun_ns + PATIENCE_NS:
            raise OrderRefused("the order was accepted already")
        self._seen[id] = begin_before_ns


class OrderStream:
    """One stream to the server: orders come in, reports go out."""

    # The generated types of a stub are those of a channel that blocks.
    def __init__(self, enrolment: Enrolment, host: Host, stub: Any) -> None:
        self._enrolment = enrolment
        self._host = host
        self._workers = host.workers
        self._stub = stub
        self._queue: SendQueue[worker_pb2.ConnectRequest] = SendQueue()
        self._captures: dict[str, LocalWorker] = {}
        self._starting = 0
        self._probing = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, on_connected: Callable[[], None]) -> None:
        """Carry out orders until the stream ends.

        Raises:
            grpc.aio.AioRpcError: the server refused the stream, or it broke off.
        """
        self._queue.put(worker_pb2.ConnectRequest(hello=worker_pb2.WorkerHello(protocol=PROTOCOL)))
        call = self._stub.Connect(aiter(self._queue))
        try:
            async for message in call:
                if message.HasField("welcome"):
                    on_connected()
                self._receive(message)
        finally:
            self._queue.close()
            call.cancel()
            await self._stop_all()

    async def finish(self) -> None:
        """End all captures as if the server had gone, but deliver their evidence to it."""
        for capture in self._captures.values():
            capture.stop(StopReason.LEASE_LOST)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FINISH_S)

    def _receive(self, message: worker_pb2.ConnectResponse) -> None:
        match message.WhichOneof("said"):
            case "start":
                self._begin(self._start(message.start))
            case "probe":
                self._begin(self._probe(message.probe))
            case "heartbeat":
                if (capture := self._captures.get(message.heartbeat.capture_id)) is not None:
                    capture.heartbeat(paused=message.heartbeat.paused)
            case "stop":
                if (capture := self._captures.get(message.stop.capture_id)) is not None:
                    capture.stop(STOP_REASONS.get(message.stop.reason, StopReason.ERROR))

    def _begin(self, order: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(order)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, signed: worker_pb2.SignedOrder) -> None:
        self._starting += 1
        try:
            order = self._checked_capture(signed)
            capture = await self._workers.launch(order)
        except (OrderRefused, DiagnosisUnavailable) as error:
            structlog.get_logger().warning("capture_refused", why=str(error))
            self._queue.put(worker_pb2.ConnectRequest(refused=worker_pb2.CaptureRefused(capture_id=signed.id)))
            return
        finally:
            self._starting -= 1
        capture_id = order.ticket.id
        self._captures[capture_id] = capture
        if self._queue.closed:  # the connection was lost meanwhile
            capture.stop(StopReason.LEASE_LOST)
        self._queue.put(worker_pb2.ConnectRequest(begun=worker_pb2.CaptureBegun(capture_id=capture_id)))
        try:
            await self._report(capture_id, capture)
        finally:
            del self._captures[capture_id]
            with suppress(DiagnosisUnavailable):
                await asyncio.to_thread(self._workers.delete, capture_id, "")

    def _checked_capture(self, signed: worker_pb2.SignedOrder) -> Order:
        if len(self._captures) + self._starting > MOST_AT_ONCE:
            raise OrderRefused("too many captures run here")
        order = open_capture(signed.note, self._enrolment.verifier, self._enrolment.name, time.time_ns())
        if order.ticket.interface not in self._enrolment.interfaces:
            raise OrderRefused("captures on this interface are not permitted here: see worker.toml")
        self._host.accept(order.ticket.id, order.ticket.start_before_ns)
        return order

    async def _report(self, capture_id: str, capture: LocalWorker) -> None:
        """Report progress, deliver the evidence, report the end."""
        ended = asyncio.ensure_future(capture.ended())
        await self._report_until(ended, capture_id, capture)
        outcome = ended.result()
        if outcome.evidence is not None and not self._queue.closed:
            delivering = asyncio.ensure_future(self._deliver(capture_id))
            await self._report_until(delivering, capture_id, capture)
        self._queue.put(worker_pb2.ConnectRequest(ended=ended_message(capture_id, outcome)))

    async def _report_until(self, done: "asyncio.Future[Any]", capture_id: str, capture: LocalWorker) -> None:
        while not done.done():
            progress = worker_pb2.CaptureProgress(capture_id=capture_id, counters=tally_message(capture.tally()))
            self._queue.put(worker_pb2.ConnectRequest(progress=progress))
            await asyncio.wait({done}, timeout=_TICK_S)

    async def _deliver(self, capture_id: str) -> None:
        """Deliver the evidence. After a failure the server notices by itself that it is missing."""
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
            result = await self._workers.probe(self._checked_probe(signed))
        except OrderRefused as error:
            structlog.get_logger().warning("probe_refused", why=str(error))
            result = ProbeResult(succeeded=False, values={"error": "refused"})
        finally:
            self._probing -= 1
        done = worker_pb2.ProbeDone(probe_id=signed.id, succeeded=result.succeeded, findings=result.values)
        self._queue.put(worker_pb2.ConnectRequest(probed=done))

    def _checked_probe(self, signed: worker_pb2.SignedOrder) -> ProbeOrder:
        if self._probing > MOST_AT_ONCE:
            raise OrderRefused("too many probes run here")
        now_ns = time.time_ns()
        id, order = open_probe(signed.note, self._enrolment.verifier, self._enrolment.name, now_ns)
        self._host.accept(id, now_ns + PATIENCE_NS)
        return order

    async def _stop_all(self) -> None:
        for capture in self._captures.values():
            capture.stop(StopReason.LEASE_LOST)
        if self._tasks:
            await asyncio.wait(self._tasks)

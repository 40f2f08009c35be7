"""The connected remote workers, their captures and probes, and CaptureWorkerService."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from linewarden.audit.entry import WORKER_ATTENDED, WORKER_LEFT
from linewarden.audit.errors import LogUnavailable
from linewarden.audit.note import Signer
from linewarden.diagnostics.agent.certificates import worker_in
from linewarden.diagnostics.agent.messages import PROTOCOL
from linewarden.diagnostics.agent.orders import sign_capture, sign_probe
from linewarden.diagnostics.captures.failures import CaptureFailure
from linewarden.diagnostics.captures.ports import Order
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult
from linewarden.server.errors import CredentialsInvalid, InvalidRequest, Violation
from linewarden.server.grpc_status import abort
from linewarden.server.validation import Validator, compile_validator
from linewarden.server.workers.connection import WorkerConnection
from linewarden.server.workers.delivery import TooLong
from linewarden.server.workers.remote_worker import SILENCE_S, RemoteWorker
from linewarden.v1 import worker_pb2
from linewarden.v1.worker_pb2_grpc import CaptureWorkerServiceServicer

if TYPE_CHECKING:
    import grpc

ServicerContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

#: The time until a worker captures, or sends its first message, seconds.
START_S = 20.0
#: The time of a probe at another host beyond its timeout, seconds.
_PROBE_MARGIN_S = 10.0

#: The maximum number of connections of a worker within this time, seconds.
_RATE, _RATE_S = 10, 60.0

_HELLO = Violation("hello", "hello.first", "must be the first message, with a supported protocol")
_CAPTURE = Violation("capture_id", "capture_id.known", "must be a capture of this worker whose evidence is expected")
_LENGTH = Violation("content", "content.length", "must not pass the limit of the capture")

Record = Callable[[str, str], Awaitable[None]]


class RemoteWorkers(CaptureWorkerServiceServicer):
    """The workers that are connected to this process.

    `path` returns the path of the evidence of a capture. `record` enters a kind and a worker's name into the system
    log.
    """

    def __init__(
        self,
        signer: Signer,
        path: Callable[[str], Path],
        record: Record,
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._signer = signer
        self._path = path
        self._record = record
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._connections: dict[str, WorkerConnection] = {}
        self._connected_at: dict[str, list[float]] = {}
        self._validate: dict[str, Validator] = {
            name: compile_validator(message)
            for name, message in worker_pb2.DESCRIPTOR.message_types_by_name.items()
            if name.endswith("Request")
        }

    def check_ready(self, worker: str) -> None:
        """Make sure that a worker is connected.

        Raises:
            DiagnosisUnavailable: it is not connected.
        """
        self._connection(worker)

    async def launch(self, order: Order) -> RemoteWorker:
        """Order a capture from the worker that its ticket names.

        Raises:
            DiagnosisUnavailable: the worker is not connected, or does not begin. `detail` is the cause.
        """
        connection, capture_id = self._connection(order.ticket.worker), order.ticket.id
        capture = connection.captures[capture_id] = RemoteWorker(
            order, connection.say, self._path(capture_id), self._monotonic
        )
        note = worker_pb2.SignedOrder(note=sign_capture(order, self._signer), id=capture_id)
        connection.say(worker_pb2.ConnectResponse(start=note))
        begun = False
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                begun = await asyncio.shield(capture.begun)
        if not begun:
            # If it begins later, the capture is unknown by then and the worker is ordered to stop.
            connection.captures.pop(capture_id, None)
            raise DiagnosisUnavailable(CaptureFailure.ORDER if capture.begun.done() else CaptureFailure.SILENT)
        return capture

    async def probe(self, order: ProbeOrder) -> ProbeResult:
        """Order a probe from the worker that its order names.

        Raises:
            DiagnosisUnavailable: the worker is not connected, disconnects, or does not answer in time.
        """
        connection, id = self._connection(order.worker), secrets.token_hex(16)
        found: asyncio.Future[ProbeResult] = asyncio.get_running_loop().create_future()
        connection.probes[id] = found
        note = worker_pb2.SignedOrder(note=sign_probe(id, order, self._now_ns(), self._signer), id=id)
        connection.say(worker_pb2.ConnectResponse(probe=note))
        try:
            async with asyncio.timeout(order.timeout_s + _PROBE_MARGIN_S):
                return await found
        except TimeoutError:
            raise DiagnosisUnavailable from None
        finally:
            del connection.probes[id]

    async def Connect(  # noqa: N802 - the name of the rpc
        self, request_iterator: AsyncIterator[worker_pb2.ConnectRequest], context: ServicerContext
    ) -> AsyncIterator[worker_pb2.ConnectResponse]:
        """Connect a worker for the lifetime of the stream."""
        try:
            connection = WorkerConnection(self._named(context))
            self._check_rate(connection.name)
            await self._greeted(request_iterator)
            await self._record(WORKER_ATTENDED, connection.name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker gets a status that says so
            await abort(context, error)
        self._attach(connection)
        hearing = asyncio.create_task(self._hear(connection, request_iterator))
        try:
            yield worker_pb2.ConnectResponse(welcome=worker_pb2.WorkerWelcome(protocol=PROTOCOL))
            async for message in connection.send_queue:
                yield message
        finally:
            hearing.cancel()
            connection.end()
            await self._leave(connection)

    async def DeliverEvidence(  # noqa: N802 - the name of the rpc
        self, request_iterator: AsyncIterator[worker_pb2.DeliverEvidenceRequest], context: ServicerContext
    ) -> worker_pb2.DeliverEvidenceResponse:
        """Receive a sealed file."""
        try:
            worker, first = self._named(context), await _next(request_iterator)
            capture = self._awaited(worker, first)
            return await self._deliver(capture, first, request_iterator)
        except (OSError, TimeoutError):
            await abort(context, DiagnosisUnavailable())
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker gets a status that says so
            await abort(context, error)

    def _connection(self, worker: str) -> WorkerConnection:
        connection = self._connections.get(worker)
        if connection is None:
            raise DiagnosisUnavailable
        return connection

    @staticmethod
    def _named(context: ServicerContext) -> str:
        certificates = list(context.auth_context().get("x509_pem_cert", ()))
        name = worker_in(certificates[0]) if certificates else None
        if name is None:
            raise CredentialsInvalid("no worker")
        return name

    @staticmethod
    async def _greeted(requests: AsyncIterator[worker_pb2.ConnectRequest]) -> None:
        try:
            async with asyncio.timeout(START_S):
                first = await anext(aiter(requests), worker_pb2.ConnectRequest())
        except TimeoutError:
            first = worker_pb2.ConnectRequest()
        if first.hello.protocol != PROTOCOL:
            raise InvalidRequest((_HELLO,))

    def _check_rate(self, worker: str) -> None:
        """Bound the connections of a worker, because each makes two entries of the system log.

        Raises:
            DiagnosisUnavailable: the worker has connected too often.
        """
        now = self._monotonic()
        recent = [at for at in self._connected_at.get(worker, ()) if now - at < _RATE_S]
        if len(recent) >= _RATE:
            raise DiagnosisUnavailable
        self._connected_at[worker] = [*recent, now]

    def _attach(self, connection: WorkerConnection) -> None:
        before = self._connections.get(connection.name)
        if before is not None:
            # The worker has lost its earlier stream, even if this side has not noticed, because it connects again.
            before.end()
        self._connections[connection.name] = connection

    async def _leave(self, connection: WorkerConnection) -> None:
        if self._connections.get(connection.name) is connection:
            del self._connections[connection.name]
        try:
            await asyncio.shield(self._record(WORKER_LEFT, connection.name))
        except LogUnavailable:
            structlog.get_logger().warning("worker_not_recorded")

    async def _hear(self, connection: WorkerConnection, requests: AsyncIterator[worker_pb2.ConnectRequest]) -> None:
        """Process the messages of the worker until its stream ends, or a message is invalid."""
        try:
            async for message in requests:
                self._check(message)
                connection.hear(message)
        except InvalidRequest:
            structlog.get_logger().warning("worker_not_understood")
        finally:
            connection.end()

    def _check(self, message: Any) -> None:
        if violations := self._validate[message.DESCRIPTOR.name](message):
            raise InvalidRequest(violations)

    def _awaited(self, worker: str, first: worker_pb2.DeliverEvidenceRequest | None) -> RemoteWorker:
        connection = self._connections.get(worker)
        capture = None if connection is None or first is None else connection.captures.get(first.capture_id)
        if capture is None:
            raise InvalidRequest((_CAPTURE,))
        return capture

    async def _contents(self, first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[bytes]:
        message = first
        while message is not None:
            self._check(message)
            if message.capture_id != first.capture_id:
                raise InvalidRequest((_CAPTURE,))
            yield message.content
            message = await _next(rest)

    async def _deliver(
        self, capture: RemoteWorker, first: Any, rest: AsyncIterator[Any]
    ) -> worker_pb2.DeliverEvidenceResponse:
        delivery = await asyncio.to_thread(capture.delivery)
        try:
            async for content in self._contents(first, rest):
                capture.hear_part(len(content))
                await asyncio.to_thread(delivery.add, content)
            if capture.over:
                raise InvalidRequest((_CAPTURE,))
            came = await asyncio.to_thread(delivery.finish)
        except TooLong:
            raise InvalidRequest((_LENGTH,)) from None
        except TimeoutError:
            raise
        except OSError:
            capture.hear_no_room()
            raise
        finally:
            await asyncio.to_thread(delivery.abandon)
            capture.end_delivery()
        if capture.over:  # lost at this moment
            await asyncio.to_thread(self._path(first.capture_id).unlink, missing_ok=True)
            raise InvalidRequest((_CAPTURE,))
        capture.hear_delivered(came)
        return worker_pb2.DeliverEvidenceResponse(sealed_bytes=came.bytes, sealed_sha256=came.sha256)


async def _next(requests: AsyncIterator[Any]) -> Any:
    """Return the next message; None at the end. Raise TimeoutError if none arrives."""
    async with asyncio.timeout(SILENCE_S):
        return await anext(aiter(requests), None)

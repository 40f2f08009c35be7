"""Health and reflection: the two services of a process that need no API key.

Their streams are bounded by `KeylessStreams`. Their calls wait their turn, see `pacing`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from linewarden.audit.errors import LogOverloaded
from linewarden.server.errors import StreamLimitExceeded
from linewarden.server.grpc_status import abort
from linewarden.server.keyless_streams import KeylessStreams
from linewarden.server.pacing import Pacer

#: Seconds that a reflection stream may live. A client asks for all files at once.
REFLECTION_S = 30.0

Status = health_pb2.HealthCheckResponse
Context = "grpc.aio.ServicerContext[Any, Any]"


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # the base is untyped
    """The health of the process and of each service, by the standard protocol.

    A watcher that does not read holds up nothing but itself.
    """

    def __init__(self, streams: KeylessStreams, refusals: Pacer) -> None:
        self._streams = streams
        self._refusals = refusals
        self._status: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._final = False

    async def set(self, service: str, status: int) -> None:
        """State the health of a service; the empty name is the process. Ignored once the process stops."""
        if not self._final:
            self._tell({service: status})

    async def enter_graceful_shutdown(self) -> None:
        """State, for good, that nothing is served any more."""
        self._final = True
        self._tell(dict.fromkeys(self._status, Status.NOT_SERVING))

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:
        """Answer at once, whatever the load."""
        status = self._status.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return Status(status=status)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        """Tell the health of a service, and each change of it."""
        try:
            with self._streams.opened(context.peer()):
                await self._watch(request.service, context)
        except LogOverloaded as error:
            await self._refusals.turn()
            await abort(context, error)

    async def _watch(self, service: str, context: Any) -> None:
        told = None
        while True:
            changed = self._changed
            status = self._status.get(service, Status.SERVICE_UNKNOWN)
            if status != told:
                await context.write(Status(status=status))
                told = status
            await changed.wait()

    def _tell(self, changes: dict[str, int]) -> None:
        self._status |= changes
        self._changed.set()
        self._changed = asyncio.Event()


class Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc] # the base is untyped
    """The contract, for clients that ask what there is."""

    def __init__(self, names: tuple[str, ...], streams: KeylessStreams, refusals: Pacer) -> None:
        super().__init__(names)
        self._streams = streams
        self._refusals = refusals

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve on a server."""
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(self, server)

    async def ServerReflectionInfo(
        self, request_iterator: AsyncIterator[reflection_pb2.ServerReflectionRequest], context: Any
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        """Answer questions about the contract, for REFLECTION_S at most."""
        try:
            with self._streams.opened(context.peer()):
                async with asyncio.timeout(REFLECTION_S):
                    async for answer in super().ServerReflectionInfo(request_iterator, context):
                        yield answer
        except TimeoutError:
            await abort(context, StreamLimitExceeded("seconds"))
        except LogOverloaded as error:
            await self._refusals.turn()
            await abort(context, error)

"""What needs no key: health and reflection, within bounds of their own.

A stream that needs no key holds no place of requests, and strangers cannot take each other's streams: they are bounded
for each connection, for each address and in number. Addresses are known here while a connection lives. They are
written nowhere.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from linewarden.audit.errors import LogOverloaded
from linewarden.server.errors import StreamLimitExceeded
from linewarden.server.grpc_status import abort
from linewarden.server.pace import Pace

#: Streams of one kind without a key: of one connection, of one address, of all. A client watches a few services.
OF_CONNECTION = 8
OF_ADDRESS = 100
OF_ALL = 1_000

#: Seconds that a reflection stream may live. A client asks for all files at once.
REFLECTION_S = 30.0

Status = health_pb2.HealthCheckResponse
Context = "grpc.aio.ServicerContext[Any, Any]"


class KeylessStreams:
    """Counts streams of strangers, by connection and by address."""

    def __init__(self, of_connection: int = OF_CONNECTION, of_address: int = OF_ADDRESS, of_all: int = OF_ALL) -> None:
        self._limits = (of_connection, of_address, of_all)
        self._open: Counter[str] = Counter()
        self.refused = 0

    @contextmanager
    def opened(self, peer: str) -> Iterator[None]:
        """Count a stream while it is open. `peer` is the connection as gRPC names it.

        Raises:
            LogOverloaded: its connection, its address or all strangers have as many as they may.
        """
        owners = (peer, peer.rpartition(":")[0], "")
        if any(self._open[owner] >= limit for owner, limit in zip(owners, self._limits, strict=True)):
            self.refused += 1
            raise LogOverloaded("too many streams without a key")
        self._open.update(owners)
        try:
            yield
        finally:
            self._open.subtract(owners)
            for owner in owners:
                if not self._open[owner]:
                    del self._open[owner]


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # the base is untyped
    """The health of the process and of each service, by the standard protocol.

    A watcher that does not read holds up nothing but itself.
    """

    def __init__(self, streams: KeylessStreams, refusals: Pace) -> None:
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

    def __init__(self, names: tuple[str, ...], streams: KeylessStreams, refusals: Pace) -> None:
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

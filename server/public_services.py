"""Health and reflection: the two services of a process that need no API key.

Their streams are bounded by `KeylessStreams`. Their calls wait their turn, see `pacing`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from linewarden.audit.errors import LogOverloaded
from linewarden.server.errors import StreamLimitExceeded
from linewarden.server.grpc_status import PlainStatus
from linewarden.server.keyless_streams import KeylessStreams
from linewarden.server.pacing import Pacer
from linewarden.server.rpc import Rpc, keyless_rpc

#: Seconds that a reflection stream may live. A client asks for all files at once.
REFLECTION_S = 30.0

Status = health_pb2.HealthCheckResponse
_NO_SERVICE = "there is no such service"


class Health:
    """The health of the process and of each service, by the standard protocol.

    A watcher that does not read holds up nothing but itself.
    """

    def __init__(self, streams: KeylessStreams, refusals: Pacer) -> None:
        self._streams = streams
        self._refusals = refusals
        self._status: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._final = False

    @property
    def rpcs(self) -> list[Rpc]:
        """The rpcs of the service."""
        read, write, path = (
            health_pb2.HealthCheckRequest.FromString,
            Status.SerializeToString,
            "/grpc.health.v1.Health/",
        )
        return [
            keyless_rpc(f"{path}Check", read, write, self.check),
            keyless_rpc(f"{path}Watch", read, write, self.watch, server_streaming=True),
        ]

    async def set(self, service: str, status: int) -> None:
        """State the health of a service; the empty name is the process. Ignored once the process stops."""
        if not self._final:
            self._tell({service: status})

    async def enter_graceful_shutdown(self) -> None:
        """State, for good, that nothing is served any more."""
        self._final = True
        self._tell(dict.fromkeys(self._status, Status.NOT_SERVING))

    async def check(self, _peer: str, request: health_pb2.HealthCheckRequest) -> Any:
        """Answer at once, whatever the load.

        Raises:
            PlainStatus: there is no such service.
        """
        status = self._status.get(request.service)
        if status is None:
            raise PlainStatus(grpc.StatusCode.NOT_FOUND, _NO_SERVICE)
        return Status(status=status)

    async def watch(self, peer: str, request: health_pb2.HealthCheckRequest) -> AsyncIterator[Any]:
        """Tell the health of a service, and each change of it.

        Raises:
            LogOverloaded: too many streams without a key are open.
        """
        try:
            with self._streams.opened(peer):
                async for status in self._changes(request.service):
                    yield Status(status=status)
        except LogOverloaded:
            await self._refusals.turn()
            raise

    async def _changes(self, service: str) -> AsyncIterator[int]:
        told = None
        while True:
            changed = self._changed
            status = self._status.get(service, Status.SERVICE_UNKNOWN)
            if status != told:
                yield status
                told = status
            await changed.wait()

    def _tell(self, changes: dict[str, int]) -> None:
        self._status |= changes
        self._changed.set()
        self._changed = asyncio.Event()


class Reflection:
    """The contract, for clients that ask what there is."""

    def __init__(self, names: tuple[str, ...], streams: KeylessStreams, refusals: Pacer) -> None:
        self._servicer = reflection.aio.ReflectionServicer(names)
        self._streams = streams
        self._refusals = refusals

    @property
    def rpcs(self) -> list[Rpc]:
        """The rpc of the service."""
        return [
            keyless_rpc(
                f"/{reflection.SERVICE_NAME}/ServerReflectionInfo",
                reflection_pb2.ServerReflectionRequest.FromString,
                reflection_pb2.ServerReflectionResponse.SerializeToString,
                self.answers,
                client_streaming=True,
                server_streaming=True,
            )
        ]

    async def answers(
        self, peer: str, requests: AsyncIterator[reflection_pb2.ServerReflectionRequest]
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        """Answer questions about the contract, for REFLECTION_S at most.

        Raises:
            LogOverloaded: too many streams without a key are open.
            StreamLimitExceeded: the time is over.
        """
        try:
            with self._streams.opened(peer):
                async with asyncio.timeout(REFLECTION_S):
                    async for answer in self._servicer.ServerReflectionInfo(requests, None):
                        yield answer
        except TimeoutError:
            raise StreamLimitExceeded("seconds") from None
        except LogOverloaded:
            await self._refusals.turn()
            raise

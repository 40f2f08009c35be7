"""Looking at calls before a message is read: a caller without a valid key gets no memory and holds no place."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from linewarden.audit.errors import LogOverloaded
from linewarden.server.callers import Callers
from linewarden.server.capacity import Capacity
from linewarden.server.credentials import ANY, ApiKey
from linewarden.server.door import token_of
from linewarden.server.errors import CredentialsInvalid, abort

_OURS = "/linewarden."


class Gatekeeper(grpc.aio.ServerInterceptor):
    """Rejects calls of our own services that come without a valid key, or beyond what their tenant may have waiting.

    The door looks again for each message, since keys change while a stream lives; this look decides only whether
    anything is read. Health and reflection need no key. They and all refusals wait for a turn of the event loop of
    their own, see `pace`.
    """

    def __init__(self, callers: Callers, capacity: Capacity) -> None:
        self._callers = callers
        self._capacity = capacity

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """The method's handler, or one that refuses without reading."""
        if not details.method.startswith(_OURS):
            await self._capacity.keyless.turn()
            return await continuation(details)
        try:
            key = await self._admit(token_of(details.invocation_metadata))
            self._look_for_room(key, details.method[1:])
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await self._capacity.refusals.turn()
            return grpc.stream_stream_rpc_method_handler(_refusing(error))
        return await continuation(details)

    async def _admit(self, token: str | None) -> ApiKey:
        try:
            return self._callers.authenticate(token)[0]
        except CredentialsInvalid:
            return (await self._callers.admit(token))[0]

    def _look_for_room(self, key: ApiKey, method: str) -> None:
        """Refuse early what the door would refuse. Of a key for several tenants only the message tells which it is.

        Raises:
            LogOverloaded: the tenant has too many requests waiting.
        """
        admission = self._capacity.of(method.partition("/")[0].rpartition(".")[2])
        if not admission.full or len(key.tenants) != 1 or ANY in key.tenants:
            return
        if admission.would_refuse(next(iter(key.tenants))):
            admission.refused += 1
            raise LogOverloaded("too many requests wait")


def _refusing(error: Exception) -> Callable[[Any, Any], Awaitable[None]]:
    async def refuse(_requests: Any, context: Any) -> None:
        await abort(context, error)

    return refuse

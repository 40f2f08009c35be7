"""Authentication before a message is read: a caller without a valid key gets no memory and holds no place.

The caller is authenticated once. The wrapper of each rpc takes the identity from here: the interceptor and the method
run in the same task. What a call appends is guarded by the revision of the keys that it was authenticated under, so a
key that is revoked meanwhile is found out at the append. Each message of a stream is authenticated anew.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any

import grpc

from linewarden.audit.errors import LogOverloaded
from linewarden.server.callers import Callers, Identity
from linewarden.server.capacity import Capacity
from linewarden.server.credentials import ANY, ApiKey
from linewarden.server.errors import CredentialsInvalid
from linewarden.server.grpc_status import abort

#: The caller of the call that runs in this task.
IDENTITY: ContextVar[Identity] = ContextVar("identity")

_OURS = "/linewarden."
_SCHEME = "Bearer "


class EarlyAuthentication(grpc.aio.ServerInterceptor):
    """Rejects calls of our own services that come without a valid key, or beyond what their tenant may have waiting.

    Health and reflection need no key. They and all refusals wait for a turn of the event loop of their own, see `pace`.
    """

    def __init__(self, callers: Callers, capacity: Capacity) -> None:
        self._callers = callers
        self._capacity = capacity

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the method's handler, or one that refuses without reading."""
        if not details.method.startswith(_OURS):
            await self._capacity.keyless.turn()
            return await continuation(details)
        try:
            identity = await self._identify(token_of(details.invocation_metadata))
            self._check_room(identity.key, details.method[1:])
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await self._capacity.refusals.turn()
            return grpc.stream_stream_rpc_method_handler(_refusing(error))
        IDENTITY.set(identity)
        return await continuation(details)

    async def _identify(self, token: str | None) -> Identity:
        try:
            return self._callers.authenticate(token)
        except CredentialsInvalid:
            return await self._callers.admit(token)

    def _check_room(self, key: ApiKey, method: str) -> None:
        """Refuse early what admission would refuse. Of a key for several tenants only the message names the tenant.

        Raises:
            LogOverloaded: the tenant has too many requests waiting.
        """
        queue = self._capacity.of(method.partition("/")[0].rpartition(".")[2])
        if not queue.full or len(key.tenants) != 1 or ANY in key.tenants:
            return
        if queue.would_refuse(next(iter(key.tenants))):
            queue.refused += 1
            raise LogOverloaded("too many requests wait")


def token_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    """Return the API key that a call carries, if it carries one."""
    for name, value in metadata or ():
        if name == "authorization" and isinstance(value, str) and value.startswith(_SCHEME):
            return value[len(_SCHEME) :]
    return None


def _refusing(error: Exception) -> Callable[[Any, Any], Awaitable[None]]:
    async def refuse(_requests: Any, context: Any) -> None:
        await abort(context, error)

    return refuse

"""Authentication before a message is read, so that a caller without a valid key takes no memory and no place.

The caller is authenticated once. The wrapper of each rpc reads the identity from here, because the interceptor and the
method run in the same task. Entries of a call are guarded by the revision of its keys, so that a key that is revoked
meanwhile is found at the append. Each message of a stream is authenticated again.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any

import grpc

from linewarden.audit.errors import LogOverloaded
from linewarden.server.callers import Callers, Identity
from linewarden.server.capacity import Capacity
from linewarden.server.credentials import ANY, ApiKey
from linewarden.server.grpc_status import abort

#: The caller of the call that runs in this task.
IDENTITY: ContextVar[Identity] = ContextVar("identity")

_OURS = "/linewarden."
_SCHEME = "Bearer "


class EarlyAuthentication(grpc.aio.ServerInterceptor):
    """Rejects calls of Linewarden's services without a valid key, or with too many waiting requests of their tenant.

    Health and reflection need no key. They and all refusals are paced, see `pacing`.
    """

    def __init__(self, callers: Callers, capacity: Capacity) -> None:
        self._callers = callers
        self._capacity = capacity

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the handler of the method, or one that refuses without reading."""
        if not details.method.startswith(_OURS):
            await self._capacity.keyless.turn()
            return await continuation(details)
        try:
            identity = await self._callers.admit(token_of(details.invocation_metadata))
            self._check_room(identity.key, details.method[1:])
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await self._capacity.refusals.turn()
            return grpc.stream_stream_rpc_method_handler(_refusing(error))
        IDENTITY.set(identity)
        return await continuation(details)

    def _check_room(self, key: ApiKey, method: str) -> None:
        """Refuse a request early that admission would refuse. This needs a key for exactly one tenant.

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
    """Return the API key of a call; None without one."""
    for name, value in metadata or ():
        if name == "authorization" and isinstance(value, str) and value.startswith(_SCHEME):
            return value[len(_SCHEME) :]
    return None


def _refusing(error: Exception) -> Callable[[Any, Any], Awaitable[None]]:
    async def refuse(_requests: Any, context: Any) -> None:
        await abort(context, error)

    return refuse

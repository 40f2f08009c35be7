"""Credentials are looked at before a message is read: whoever has none gets no memory and holds no place."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from linewarden.server.callers import Callers
from linewarden.server.door import token_of
from linewarden.server.errors import CredentialsInvalid, abort

_OURS = "/linewarden."


class Gatekeeper(grpc.aio.ServerInterceptor):
    """Turns calls of our own services away that come without a valid key.

    The door looks again for each message, since keys change while a stream lives; this look decides only whether
    anything is read. Health and reflection need no key.
    """

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """The method's handler, or one that refuses without reading."""
        if details.method.startswith(_OURS):
            try:
                await self._admit(token_of(details.invocation_metadata))
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
                return grpc.stream_stream_rpc_method_handler(_refusing(error))
        return await continuation(details)

    async def _admit(self, token: str | None) -> None:
        try:
            self._callers.authenticate(token)
        except CredentialsInvalid:
            await self._callers.admit(token)


def _refusing(error: Exception) -> Callable[[Any, Any], Awaitable[None]]:
    async def refuse(_requests: Any, context: Any) -> None:
        await abort(context, error)

    return refuse

"""Bounds of large requests, because a policy file takes memory before its tenant is known.

A request without a place is refused before it is read. The places bound the bytes of all requests together to those
that may be in work (`audit.shares`). The places of one API key are bounded too, so that other keys find some.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from linewarden.audit.errors import LogOverloaded
from linewarden.audit.shares import ALL_BYTES, TENANT_BYTES
from linewarden.server.early_authentication import token_of
from linewarden.server.grpc_status import abort

#: Methods whose requests are as large as the server accepts.
_METHODS = ("/linewarden.v1.PolicyService/LoadPolicy", "/linewarden.v1.PolicyService/ChangePolicy")


class LargeRequests(grpc.aio.ServerInterceptor):
    """Reads a large request only while it holds a place. `most_bytes` is the maximum size of one request."""

    def __init__(self, most_bytes: int) -> None:
        self._all = max(2, ALL_BYTES // most_bytes)
        self._own = max(1, TENANT_BYTES // most_bytes)
        self._held: Counter[str | None] = Counter()

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the handler of the method, or one that reads a large request in a place."""
        handler = await continuation(details)
        if details.method not in _METHODS or handler is None or handler.unary_unary is None:
            return handler
        token = token_of(details.invocation_metadata)

        async def placed(requests: AsyncIterator[Any], context: Any) -> Any:
            if self._held.total() >= self._all or self._held[token] >= self._own:
                await abort(context, LogOverloaded("too many large requests at once"))
            self._held[token] += 1
            try:
                # A call without a message is refused as one with an empty message is.
                request = await anext(requests, None) or handler.request_deserializer(b"")
                return await handler.unary_unary(request, context)
            finally:
                self._held[token] -= 1
                if not self._held[token]:
                    del self._held[token]

        return grpc.stream_unary_rpc_method_handler(placed, handler.request_deserializer, handler.response_serializer)

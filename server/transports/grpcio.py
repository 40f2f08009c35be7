"""The transport of gRPC's own library, grpc.aio."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TypeAlias

import grpc

from linewarden.server.addresses import listen
from linewarden.server.connections import channel_options, close_connections, ports_of
from linewarden.server.grpc_status import abort
from linewarden.server.rpc import Rpc
from linewarden.server.settings import Settings
from linewarden.server.tls import server_credentials
from linewarden.server.transports import Served

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

#: The `Identity` of the call that runs in this task, unless its rpc needs no key. The interceptor and the method run in
#: the same task.
_CALLER: ContextVar[Any] = ContextVar("caller")

_SCHEME = "Bearer "


class GrpcioTransport:
    """A server of grpc.aio."""

    socket: int | None = None

    def __init__(self, server: grpc.aio.Server, addresses: tuple[str, ...]) -> None:
        self._server = server
        self.addresses = addresses

    async def close(self) -> None:
        """Accept no more connections and close all; calls that still wait end as UNAVAILABLE."""
        await close_connections(ports_of(self.addresses))
        await self._server.stop(None)


async def open_grpcio(settings: Settings, served: Served, connections: int) -> GrpcioTransport:
    """Serve with grpc.aio, which opens its sockets itself.

    Raises:
        ValueError: a certificate is invalid.
        OSError: a file cannot be read, or an address is not available.
    """
    server = grpc.aio.server(interceptors=(_Interceptor(served),), options=channel_options(settings, connections))
    server.add_generic_rpc_handlers((_Handlers(served),))
    addresses = tuple(_listen(server, settings, address) for address in settings.listen)
    await server.start()
    return GrpcioTransport(server, addresses)


def _listen(server: grpc.aio.Server, settings: Settings, address: str) -> str:
    host, _, _port = address.rpartition(":")
    if settings.plaintext:
        port = listen(address, lambda: server.add_insecure_port(address))
    else:
        credentials = server_credentials(settings, datetime.now(UTC))
        port = listen(address, lambda: server.add_secure_port(address, credentials))
    return f"{host}:{port}"


class _Handlers(grpc.GenericRpcHandler):
    """The rpcs as gRPC looks them up."""

    def __init__(self, served: Served) -> None:
        self._handlers = {rpc.path: handler_of(rpc, served) for rpc in served.rpcs}

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call; None if there is none."""
        return self._handlers.get(details.method)


class _Interceptor(grpc.aio.ServerInterceptor):
    """Authenticates a caller before its request is read."""

    def __init__(self, served: Served) -> None:
        self._authentication = served.authentication
        self._with_key = frozenset(rpc.path for rpc in served.rpcs if not rpc.keyless)

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the handler of the method, or one that refuses without reading."""
        if details.method not in self._with_key:
            await self._authentication.keyless()
            return await continuation(details)
        try:
            token = _token_of(details.invocation_metadata)
            _CALLER.set(await self._authentication.identify(token, details.method))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            return grpc.stream_stream_rpc_method_handler(_refusing(error))
        return await continuation(details)


def handler_of(rpc: Rpc, served: Served) -> Any:
    """Return the handler that gRPC calls for an rpc."""
    match rpc.client_streaming, rpc.server_streaming:
        case False, False if served.large_requests.concerns(rpc.path):
            # It is registered as a stream, so that the request is read only in a place.
            return grpc.stream_unary_rpc_method_handler(_large(rpc, served), rpc.read, rpc.write)
        case False, False:
            return grpc.unary_unary_rpc_method_handler(_one_response(rpc), rpc.read, rpc.write)
        case True, False:
            return grpc.stream_unary_rpc_method_handler(_one_response(rpc), rpc.read, rpc.write)
        case False, True:
            return grpc.unary_stream_rpc_method_handler(_many_responses(rpc), rpc.read, rpc.write)
        case _:
            return grpc.stream_stream_rpc_method_handler(_many_responses(rpc), rpc.read, rpc.write)


def _one_response(rpc: Rpc) -> Callable[[Any, Context], Any]:
    async def behaviour(request: Any, context: Context) -> Any:
        try:
            return await rpc.call(context.peer() if rpc.keyless else _CALLER.get(), request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await abort(context, error)

    return behaviour


def _large(rpc: Rpc, served: Served) -> Callable[[AsyncIterator[Any], Context], Any]:
    async def behaviour(requests: AsyncIterator[Any], context: Context) -> Any:
        caller = _CALLER.get()
        try:
            with served.large_requests.place(rpc.path, caller.token):
                # A call without a message is refused as one with an empty message is.
                request = await anext(requests, None) or rpc.read(b"")
                return await rpc.call(caller, request)
        except Exception as error:  # noqa: BLE001 - see _one_response
            await abort(context, error)

    return behaviour


def _many_responses(rpc: Rpc) -> Callable[[Any, Context], Any]:
    async def behaviour(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            async with aclosing(rpc.call(context.peer() if rpc.keyless else _CALLER.get(), request)) as answers:
                async for answer in answers:
                    yield answer
        except Exception as error:  # noqa: BLE001 - see _one_response
            await abort(context, error)

    return behaviour


def _token_of(metadata: Any) -> str | None:
    """Return the API key of a call; None without one."""
    for name, value in metadata or ():
        if name == "authorization" and isinstance(value, str) and value.startswith(_SCHEME):
            return value[len(_SCHEME) :]
    return None


def _refusing(error: Exception) -> Callable[[Any, Any], Awaitable[None]]:
    async def refuse(_requests: Any, context: Any) -> None:
        await abort(context, error)

    return refuse

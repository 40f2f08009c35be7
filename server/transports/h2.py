"""The transport over HTTP/2 in native code: h2corn reads and writes the protocol, and calls an ASGI application.

h2corn ends the task of a call when its caller resets it or goes away. It drops all connections when it cannot accept
one, for example for lack of files; then it serves again on the same sockets.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any

import grpc
import structlog
from h2corn import Config, RequestPolicy, Server, _lib

from linewarden.server.connections import CALLS_OF_A_CONNECTION, HANDSHAKE_S, MAX_METADATA_BYTES
from linewarden.server.errors import ServerStopping
from linewarden.server.grpc_status import PlainStatus, grpc_status_of
from linewarden.server.rpc import Rpc
from linewarden.server.settings import Settings
from linewarden.server.tls import check_credentials
from linewarden.server.transports import Served
from linewarden.server.transports.framing import ENCODINGS, CallerGone, Frames, frame, seconds_of, trailers_of
from linewarden.server.transports.sockets import FILES_OF_A_RELAY, Listeners, unix_connections

#: Seconds that calls may take when the server stops. Admitted ones have been answered before.
_STOP_S = 1.0

#: Seconds before it serves again after it could not accept a connection.
_AGAIN_S = 0.5

#: Bytes that a caller may send ahead, of one call and of one connection. They bound the memory of a request that is
#: not read yet.
_CALL_WINDOW = 128 * 1024
_CONNECTION_WINDOW = 256 * 1024

#: Seconds that a caller may be silent before its request is whole. Streams of both sides have their own, see `streams`.
SILENCE_S = 60.0

#: Seconds that a caller may read nothing of an answer that is ready.
_STALL_S = 60.0

_SCHEME = b"Bearer "
_CONTENT_TYPE = b"application/grpc"
_HEADERS = [(b"content-type", _CONTENT_TYPE), (b"grpc-accept-encoding", ENCODINGS)]
_START = {"type": "http.response.start", "status": 200, "headers": _HEADERS, "trailers": True}
_OK = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]}
_NO_BODY = {"type": "http.response.body", "body": b""}


def _say_nothing(config: Config, tls: Any) -> None:
    """Take the place of the banner of h2corn, which names addresses and has no setting."""


_lib.emit_banner = _say_nothing

_DEADLINE = PlainStatus(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline of the caller has passed")
_NO_METHOD = PlainStatus(grpc.StatusCode.UNIMPLEMENTED, "there is no such method")
_NO_ENCODING = PlainStatus(grpc.StatusCode.UNIMPLEMENTED, "grpc-encoding names an unknown way to compress")


class H2Transport:
    """Servers of h2corn on sockets of this process, one for each configuration."""

    def __init__(self, application: "Application", configurations: Sequence[Config], listeners: Listeners) -> None:
        self.addresses = listeners.addresses
        self.socket = listeners.shared
        self._listeners = listeners
        self._application = application
        self._servers = [Server(application, one) for one in configurations]
        self._serving: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Serve on all sockets.

        Raises:
            Exception: it is impossible. Close it.
        """
        for server in self._servers:
            self._serving.append(asyncio.create_task(self._serve(server)))
            await server.wait_started()

    async def close(self) -> None:
        """Accept no more connections and close all; calls that still wait end as UNAVAILABLE."""
        self._application.close()
        for server in self._servers:
            server.shutdown()
        await asyncio.gather(*self._serving)
        self._listeners.close()

    async def _serve(self, server: Server) -> None:
        """Serve until the transport is closed, again after each fault, because callers connect again."""
        while not self._application.closed:
            try:
                await server.serve()
            except Exception as error:  # noqa: BLE001 - whatever it is, the process must go on serving
                structlog.get_logger().error("connections_dropped", error=type(error).__name__)
                await asyncio.sleep(_AGAIN_S)


async def open_h2(settings: Settings, served: Served, connections: int) -> H2Transport:
    """Serve with h2corn.

    Raises:
        ValueError: a certificate is invalid, or the settings name an unknown user.
        OSError: a file cannot be read, or an address is not available.
    """
    if not settings.plaintext:
        check_credentials(settings, datetime.now(UTC))
    unix = unix_connections(settings, connections)
    more = {"timeout_keep_alive": settings.connection_idle_seconds, "request_policies": _policies(served.rpcs)}
    listeners = Listeners(settings, unix)
    limit = max(1, connections - FILES_OF_A_RELAY * unix)
    configurations = [_configuration(listeners.tcp, limit, more | _tls(settings))]
    if listeners.unix:
        configurations.append(_configuration(listeners.unix, unix, more))
    transport = H2Transport(Application(served, settings.max_message_bytes), configurations, listeners)
    try:
        await transport.start()
    except BaseException:
        await transport.close()
        raise
    return transport


def _configuration(sockets: Sequence[socket.socket], connections: int, more: dict[str, Any]) -> Config:
    binds = tuple(f"fd://{one.fileno()}" for one in sockets)
    return Config(bind=binds, limit_connections=connections, **_FIXED, **more)


def _policies(rpcs: Iterable[Rpc]) -> tuple[RequestPolicy, ...]:
    return tuple(
        RequestPolicy(
            path=rpc.path,
            max_request_body_size=0,  # messages have their own bound
            timeout_request_body_idle=SILENCE_S,
            h2_timeout_response_stall=_STALL_S,
        )
        for rpc in rpcs
        if not (rpc.client_streaming and rpc.server_streaming)
    )


_FIXED: dict[str, Any] = {
    "grpc": True,
    "http1": False,
    "lifespan": "off",
    "access_log": False,
    "log_format": "json",
    "max_concurrent_streams": CALLS_OF_A_CONNECTION,
    "h2_max_header_list_size": MAX_METADATA_BYTES,
    "h2_max_header_block_size": MAX_METADATA_BYTES,
    "h2_initial_stream_window_size": _CALL_WINDOW,
    "h2_initial_connection_window_size": _CONNECTION_WINDOW,
    "timeout_handshake": HANDSHAKE_S,
    "h2_timeout_response_stall": _STALL_S,
    "timeout_graceful_shutdown": _STOP_S,
}


def _tls(settings: Settings) -> dict[str, Any]:
    if settings.plaintext:
        return {}
    files = {"certfile": settings.tls_certificate, "keyfile": settings.tls_key}
    if settings.tls_client_ca is None:
        return files
    return {**files, "ca_certs": settings.tls_client_ca, "cert_reqs": "required"}


class Application:
    """The ASGI application: gRPC calls to rpcs. `most_bytes` is the maximum size of a message."""

    def __init__(self, served: Served, most_bytes: int) -> None:
        self._rpcs = {rpc.path: rpc for rpc in served.rpcs}
        self._authentication = served.authentication
        self._large_requests = served.large_requests
        self._most_bytes = most_bytes
        self._streams: set[asyncio.Task[Any]] = set()
        self.closed = False

    def close(self) -> None:
        """End the streams without a key, which admission does not know."""
        self.closed = True
        for task in self._streams:
            task.cancel()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one call."""
        call = _Call(scope, receive, send)
        try:
            await self._answer(call)
        except CallerGone:
            return
        except asyncio.CancelledError:
            if not call.expired and not self.closed:
                raise
            await call.end(_DEADLINE if call.expired else ServerStopping())
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await call.end(error)
        finally:
            call.finish()

    async def _answer(self, call: "_Call") -> None:
        if refused := call.refused_by_http():
            await self._authentication.keyless()
            await call.end_without_grpc(refused)
            return
        rpc = self._rpcs.get(call.path)
        if rpc is None or rpc.keyless:
            await self._authentication.keyless()
            if rpc is None:
                raise _NO_METHOD
            await self._answer_keyless(rpc, call)
            return
        caller = await self._authentication.identify(call.token, call.path)
        call.begin()
        with self._large_requests.place(call.path, call.token):
            await self._respond(rpc, caller, call)

    async def _answer_keyless(self, rpc: Rpc, call: "_Call") -> None:
        call.begin()
        task = asyncio.current_task()
        if rpc.server_streaming and task is not None:
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)
        await self._respond(rpc, call.peer, call)

    async def _respond(self, rpc: Rpc, caller: Any, call: "_Call") -> None:
        frames = Frames(call.receive, call.encoding, self._most_bytes)
        if rpc.client_streaming:
            request: Any = _messages(frames, rpc.read)
        else:
            # A call without a message is refused as one with an empty message is.
            request = rpc.read(await frames.next() or b"")
        if rpc.server_streaming:
            async with aclosing(rpc.call(caller, request)) as answers:
                async for answer in answers:
                    await call.write(frame(rpc.write(answer)))
            await call.succeed()
        elif rpc.client_streaming:
            try:
                answer = frame(rpc.write(await rpc.call(caller, request)))
            except Exception:
                await frames.drain()
                raise
            await frames.drain()
            await call.succeed(answer)
        else:
            await call.succeed(frame(rpc.write(await rpc.call(caller, request))))


async def _messages(frames: Frames, read: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    while (message := await frames.next()) is not None:
        yield read(message)


class _Call:
    """One call: what its headers say, its deadline, and how much of the answer was sent."""

    __slots__ = (
        "_deadline",
        "_scope",
        "_send",
        "_started",
        "_timeout",
        "_type",
        "encoding",
        "expired",
        "path",
        "receive",
        "token",
    )

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self._scope = scope
        self._send = send
        self._started = False
        self._deadline: asyncio.TimerHandle | None = None
        self._timeout = b""
        self._type = b""
        self.receive = receive
        self.path: str = scope["path"]
        self.token: str | None = None
        self.encoding = b"identity"
        self.expired = False
        for name, value in scope["headers"]:
            if name == b"authorization":
                if self.token is None and value.startswith(_SCHEME):
                    self.token = value[len(_SCHEME) :].decode("latin-1")
            elif name == b"content-type":
                self._type = value
            elif name == b"grpc-timeout":
                self._timeout = value
            elif name == b"grpc-encoding":
                self.encoding = value

    @property
    def peer(self) -> str:
        """The connection, as gRPC names it."""
        client = self._scope.get("client")
        # Connections of a Unix domain socket have no names. Then each call counts as one of its own.
        return f"ip:{client[0]}:{client[1]}" if client else f"unix:{id(self)}"

    def refused_by_http(self) -> int:
        """Return the status of HTTP for a request that is none of gRPC; 0 for one that is."""
        if not self._type.startswith(_CONTENT_TYPE):
            return 415
        if self._scope["method"] != "POST":
            return 405
        # Without the header `te: trailers` a caller would not get the status.
        return 0 if "http.response.trailers" in self._scope["extensions"] else 400

    def begin(self) -> None:
        """Check the headers, and start the time of the deadline.

        Raises:
            PlainStatus: a header is wrong.
        """
        if self.encoding not in _KNOWN:
            raise _NO_ENCODING
        if self._timeout:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(seconds_of(self._timeout), self._expire, asyncio.current_task())

    async def write(self, data: bytes) -> None:
        """Send a framed message of several."""
        await self._begin_answer()
        await self._tell({"type": "http.response.body", "body": data, "more_body": True})

    async def succeed(self, data: bytes = b"") -> None:
        """Send a last framed message, if there is one, and the status OK."""
        await self._begin_answer()
        await self._tell({"type": "http.response.body", "body": data})
        await self._tell(_OK)

    async def end(self, error: Exception) -> None:
        """Send the status of an error."""
        trailers = trailers_of(grpc_status_of(error))
        with suppress(CallerGone):
            if self._started:
                await self._tell(_NO_BODY)
                await self._tell({"type": "http.response.trailers", "headers": trailers})
                return
            await self._tell({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *trailers]})
            await self._tell(_NO_BODY)

    async def end_without_grpc(self, status: int) -> None:
        """Answer with a status of HTTP."""
        await self._tell({"type": "http.response.start", "status": status, "headers": []})
        await self._tell(_NO_BODY)

    async def _begin_answer(self) -> None:
        if not self._started:
            self._started = True
            await self._tell(_START)

    async def _tell(self, event: dict[str, Any]) -> None:
        try:
            await self._send(event)
        except OSError:
            raise CallerGone from None

    def finish(self) -> None:
        """Stop the time of the deadline."""
        if self._deadline is not None:
            self._deadline.cancel()

    def _expire(self, task: Any) -> None:
        self.expired = True
        task.cancel()


_KNOWN = frozenset(ENCODINGS.split(b","))

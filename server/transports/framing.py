"""gRPC over HTTP/2: messages in frames, deadlines, and statuses as trailers.

Source: the document "gRPC over HTTP2" of the gRPC project, PROTOCOL-HTTP2.md.
"""

import asyncio
import zlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import grpc

from linewarden.server.grpc_status import PlainStatus

Header = tuple[bytes, bytes]

#: The encodings of messages that a caller may use.
ENCODINGS = b"identity,deflate,gzip"

#: Bytes before each message: whether it is compressed, and its length.
_PREFIX = 5

#: Window bits of zlib for each encoding: with a header of gzip, or with one of zlib.
_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}

#: The units of a deadline, seconds.
_UNITS = {b"H": 3_600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MAX_DIGITS = 8

#: The rest of a request that is read and dropped when it is answered early: bytes, and seconds.
DRAIN_BYTES = 16 * 1024 * 1024
DRAIN_S = 2.0

#: Characters of a status text that are sent as they are: printable ASCII but for the percent sign.
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


class CallerGone(Exception):
    """The caller has reset the call, or its connection has ended. No answer can reach it."""


class Frames:
    """The messages of one request, as its bytes arrive.

    `receive` is that of ASGI. `most_bytes` bounds a message, before and after it is decompressed.
    """

    __slots__ = ("_buffer", "_encoding", "_ended", "_most_bytes", "_receive")

    def __init__(self, receive: Callable[[], Awaitable[Any]], encoding: bytes, most_bytes: int) -> None:
        self._receive = receive
        self._encoding = encoding
        self._most_bytes = most_bytes
        self._buffer = b""
        self._ended = False

    async def next(self) -> bytes | None:
        """Return the next message, or None after the last.

        Raises:
            CallerGone: the call has ended before its messages.
            PlainStatus: a message is too large, is cut off, or cannot be decompressed.
        """
        buffer = self._buffer
        while len(buffer) < _PREFIX:
            if self._ended:
                if buffer:
                    raise PlainStatus(grpc.StatusCode.INTERNAL, "the request ends within a message")
                return None
            buffer += await self._more()
        length = int.from_bytes(buffer[1:_PREFIX], "big")
        if length > self._most_bytes:
            raise too_large(length, self._most_bytes)
        end = _PREFIX + length
        if len(buffer) < end:
            buffer = await self._rest(buffer, end)
        self._buffer = buffer[end:]
        message = buffer[_PREFIX:end]
        return self._decompressed(message) if buffer[0] else message

    async def drain(self) -> None:
        """Read and drop the rest of the request, within DRAIN_BYTES and DRAIN_S.

        A caller that is still sending would otherwise see that its stream was reset, and not the answer.

        Raises:
            CallerGone: the call has ended.
        """
        left = DRAIN_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self._ended and left > 0:
                    left -= len(await self._more())

    async def _rest(self, buffer: bytes, end: int) -> bytes:
        parts, size = [buffer], len(buffer)
        while size < end:
            if self._ended:
                raise PlainStatus(grpc.StatusCode.INTERNAL, "the request ends within a message")
            parts.append(await self._more())
            size += len(parts[-1])
        return b"".join(parts)

    async def _more(self) -> bytes:
        event = await self._receive()
        if event["type"] != "http.request":
            raise CallerGone
        self._ended = not event.get("more_body", False)
        body: bytes = event.get("body", b"")
        return body

    def _decompressed(self, message: bytes) -> bytes:
        bits = _WINDOW_BITS.get(self._encoding)
        if bits is None:
            raise PlainStatus(grpc.StatusCode.INTERNAL, "a message is compressed, and grpc-encoding names no way")
        inflate = zlib.decompressobj(bits)
        try:
            plain = inflate.decompress(message, self._most_bytes)
        except zlib.error:
            raise PlainStatus(grpc.StatusCode.INTERNAL, "a message cannot be decompressed") from None
        if inflate.unconsumed_tail or not inflate.eof:
            if inflate.unconsumed_tail:
                raise too_large(self._most_bytes + 1, self._most_bytes)
            raise PlainStatus(grpc.StatusCode.INTERNAL, "a message cannot be decompressed")
        return plain


def too_large(length: int, most: int) -> PlainStatus:
    """Return the error for a message of more bytes than a request may have."""
    return PlainStatus(grpc.StatusCode.RESOURCE_EXHAUSTED, f"Received message larger than max ({length} vs. {most})")


def frame(message: bytes) -> bytes:
    """Return a message as it is sent, not compressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def seconds_of(timeout: bytes) -> float:
    """Return the seconds that a caller gives a call, from the header `grpc-timeout`.

    Raises:
        PlainStatus: the header has another form.
    """
    digits, unit = timeout[:-1], _UNITS.get(timeout[-1:])
    if unit is None or not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise PlainStatus(grpc.StatusCode.INTERNAL, "grpc-timeout has another form than digits and a unit")
    return int(digits) * unit


def trailers_of(status: grpc.Status) -> list[Header]:
    """Return the trailers of a status."""
    trailers = [(b"grpc-status", b"%d" % status.code.value[0])]
    if status.details:
        trailers.append((b"grpc-message", quote(status.details, safe=_PLAIN).encode("ascii")))
    for name, value in status.trailing_metadata or ():
        data = value if isinstance(value, bytes) else value.encode("ascii")
        trailers.append((name.encode("ascii"), b64encode(data).rstrip(b"=") if name.endswith("-bin") else data))
    return trailers

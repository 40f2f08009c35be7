"""A caller that writes HTTP/2 itself, for what no library of gRPC would send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

from tests.deadlines import HANG_S

_FRAME = 16_384

CHECK = "/linewarden.v1.AccessService/Check"


class Answer:
    """What came back for one call: headers and trailers together, the bytes of the body, and how it ended."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""
        self.reset: int | None = None
        self.ended = asyncio.Event()

    @property
    def status(self) -> str:
        """The status of gRPC; empty if none came."""
        return self.headers.get("grpc-status", "")


class Caller:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str) -> None:
        self._reader, self._writer, self._authority = reader, writer, authority
        self.http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.answers: dict[int, Answer] = {}
        self.terminated: int | None = None
        self.closed = asyncio.Event()

    def call(self, path: str = CHECK, headers: dict[str, str] | None = None, *, end: bool = False) -> int:
        """Begin a call. A header without value is left out. Return its number."""
        stated = {":method": "POST", ":scheme": "http", ":path": path, ":authority": self._authority,
                  "te": "trailers", "content-type": "application/grpc"} | (headers or {})  # fmt: skip
        stream = self.http.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.http.send_headers(stream, [(name, value) for name, value in stated.items() if value], end_stream=end)
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send bytes of a request, in frames of the size that every server takes."""
        for begin in range(0, max(1, len(data)), _FRAME):
            last = begin + _FRAME >= len(data)
            self.http.send_data(stream, data[begin : begin + _FRAME], end_stream=end and last)

    async def flush(self) -> None:
        """Write what was prepared."""
        self._writer.write(self.http.data_to_send())
        await self._writer.drain()

    async def answer(self, stream: int) -> Answer:
        """Wait for the end of a call."""
        await self.flush()
        async with asyncio.timeout(HANG_S):
            await self.answers[stream].ended.wait()
        return self.answers[stream]

    async def read(self) -> None:
        """Read until the connection ends."""
        try:
            while data := await self._reader.read(65_536):
                for event in self.http.receive_data(data):
                    self._handle(event)
                await self.flush()
        except OSError:
            pass
        finally:
            self.closed.set()
            for one in self.answers.values():
                one.ended.set()

    def _handle(self, event: object) -> None:
        match event:
            case ResponseReceived() | TrailersReceived():
                self.answers[event.stream_id].headers |= {str(name): str(value) for name, value in event.headers}
            case DataReceived():
                self.answers[event.stream_id].body += event.data
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamReset():
                self.answers[event.stream_id].reset = event.error_code
                self.answers[event.stream_id].ended.set()
            case StreamEnded():
                self.answers[event.stream_id].ended.set()
            case ConnectionTerminated():
                self.terminated = event.error_code


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Caller]:
    """Connect in plain text, and read until the end of the block."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    caller = Caller(reader, writer, address)
    reading = asyncio.create_task(caller.read())
    try:
        yield caller
    finally:
        reading.cancel()
        writer.close()

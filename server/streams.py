"""Streams of callers: their number, their lifetime and their idle time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Generic, TypeVar

from linewarden.audit.errors import LogOverloaded
from linewarden.server.errors import ServerStopping, StreamLimitExceeded


class Life:
    """The lifetime of one stream. It ends at `ends_at`, or earlier after `idle_s` without a message, in seconds."""

    def __init__(self, timeout: asyncio.Timeout, ends_at: float, idle_s: float) -> None:
        self._timeout = timeout
        self._ends_at = ends_at
        self._idle_s = idle_s
        self.heard()

    def heard(self) -> None:
        """Restart the idle time, because a message arrived."""
        self._timeout.reschedule(min(self._ends_at, asyncio.get_running_loop().time() + self._idle_s))

    def end(self) -> None:
        """End the stream at once."""
        with suppress(RuntimeError):  # it is ending already
            self._timeout.reschedule(0)


class Streams:
    """The open streams of one process. An idle stream is counted here and holds no place of requests."""

    def __init__(self, limit: int, max_s: float, idle_s: float) -> None:
        self._limit = limit
        self._max_s = max_s
        self._idle_s = idle_s
        self._open: Counter[Hashable] = Counter()
        self._lives: set[Life] = set()
        self._closed = False
        self.refused = 0

    @contextmanager
    def opened(self, owner: Hashable) -> Iterator[None]:
        """Count a stream while it is open. `owner` shares one bound: the tenants that a key is bound to.

        Raises:
            LogOverloaded: the owner has reached its bound of streams.
            ServerStopping: the server takes no more streams.
        """
        if self._closed:
            raise ServerStopping
        if self._open[owner] >= self._limit:
            self.refused += 1
            raise LogOverloaded("too many streams are open")
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Life]:
        """Bound the time of the block inside.

        Raises:
            StreamLimitExceeded: the stream has reached its lifetime or idle time.
            ServerStopping: the server stops.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._max_s
        try:
            async with asyncio.timeout(None) as timeout:
                life = Life(timeout, ends_at, self._idle_s)
                self._lives.add(life)
                try:
                    if self._closed:
                        life.end()
                    yield life
                finally:
                    self._lives.discard(life)
        except TimeoutError as error:
            if self._closed:
                raise ServerStopping from error
            raise StreamLimitExceeded("seconds" if loop.time() >= ends_at else "idle") from error

    def close(self) -> None:
        """End all streams, each after the answers to its requests."""
        self._closed = True
        for life in list(self._lives):
            life.end()


M = TypeVar("M")
A = TypeVar("A")

#: Requests of one stream that are answered concurrently.
WINDOW = 32


class Window(Generic[M, A]):
    """Answers the messages of one stream concurrently, and returns the answers in their order."""

    def __init__(self, answer: Callable[[M], Coroutine[Any, Any, A]], streams: Streams, max_messages: int) -> None:
        self._answer = answer
        self._streams = streams
        self._max_messages = max_messages
        self._pending: asyncio.Queue[asyncio.Task[A] | Exception | None] = asyncio.Queue(WINDOW)

    async def answers(self, messages: AsyncIterator[M]) -> AsyncIterator[A]:
        """Yield the answers.

        Raises:
            StreamLimitExceeded: the stream has reached its limit of messages, its lifetime or its idle time.
            ServerStopping: the server stops.
        """
        reading = asyncio.create_task(self._read(messages))
        try:
            while (pending := await self._pending.get()) is not None:
                if isinstance(pending, Exception):
                    raise pending
                yield await pending
        finally:
            reading.cancel()
            while not self._pending.empty():
                left = self._pending.get_nowait()
                if isinstance(left, asyncio.Task):
                    left.cancel()

    async def _read(self, messages: AsyncIterator[M]) -> None:
        read = 0
        try:
            async with self._streams.life() as life:
                async for message in messages:
                    life.heard()
                    read += 1
                    if read > self._max_messages:
                        raise StreamLimitExceeded("messages")  # noqa: TRY301 - handled like every end of a stream
                    await self._pending.put(asyncio.create_task(self._answer(message)))
        except Exception as error:  # noqa: BLE001 - the reader of the answers must get the end
            await self._pending.put(error)
            return
        await self._pending.put(None)

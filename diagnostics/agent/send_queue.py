"""Messages that wait to be sent on a stream: put in from several places, taken out by gRPC."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

M = TypeVar("M")

#: A peer that leaves so many messages untaken is lost: about one a second is made for each capture.
MOST_WAITING = 1_000


class SendQueue(Generic[M]):
    """Messages in their order, until it is closed. A queue that overflows is closed, because its peer takes nothing."""

    def __init__(self) -> None:
        self._waiting: deque[M] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Tell whether the queue takes no more messages."""
        return self._closed

    def put(self, message: M) -> None:
        """Add a message; a closed queue drops it."""
        if self._closed:
            return
        self._waiting.append(message)
        if len(self._waiting) > MOST_WAITING:
            self._closed = True
        self._changed.set()

    def close(self) -> None:
        """End the stream, and drop the messages that wait."""
        self._closed = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[M]:
        """Yield the messages as they come, until the queue is closed."""
        while not self._closed:
            while self._waiting and not self._closed:
                yield self._waiting.popleft()
            self._changed.clear()
            if not self._closed:
                await self._changed.wait()

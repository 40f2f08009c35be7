"""What is to be said on a stream: filled by whoever has something to say, emptied by gRPC."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

M = TypeVar("M")

#: Whoever takes so few of the messages to it is lost: there are about one a second for each capture.
MOST_WAITING = 1_000


class SendQueue(Generic[M]):
    """Messages in their order, until it is closed. One that overflows is closed: nobody takes what is said."""

    def __init__(self) -> None:
        self._waiting: deque[M] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing more is said."""
        return self._closed

    def put(self, message: M) -> None:
        """Say something; nothing once it is closed."""
        if self._closed:
            return
        self._waiting.append(message)
        if len(self._waiting) > MOST_WAITING:
            self._closed = True
        self._changed.set()

    def close(self) -> None:
        """Say nothing more, not even what waits."""
        self._closed = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[M]:
        """What is said, as it comes."""
        while not self._closed:
            while self._waiting and not self._closed:
                yield self._waiting.popleft()
            self._changed.clear()
            if not self._closed:
                await self._changed.wait()

"""Pacing of refusals: one per turn of the event loop, so that a flood of them leaves the loop to answers.

A refusal costs the loop about as much as an answer, because gRPC costs the same for both. A caller that repeats a
refused request at once would take the loop for itself. Here its refusal waits, and meanwhile its connection has one
call less.
"""

import asyncio
from collections import deque

#: The maximum number of waiting refusals. Each holds the memory of a call, some 20 KB. Further ones pass at once.
MAX_WAITING = 8_192


class Pacer:
    """Lets one waiter pass in each turn of the event loop."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.passed = 0

    async def turn(self) -> None:
        """Wait for a separate turn of the event loop."""
        self.passed += 1
        if len(self._waiting) >= self._max_waiting:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        if len(self._waiting) == 1:
            loop.call_soon(self._next)
        await future

    def _next(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0].done():  # its caller went away
            waiting.popleft()
        if waiting:
            waiting[0].set_result(None)
            waiting.popleft()
        if waiting:
            asyncio.get_running_loop().call_soon(self._next)

"""The queue of units that wait to be appended.

If another process holds the lock of a log, the log is set aside with all its units and tried again every AGAIN_S. It
never delays the other logs. The units of a log that is set aside may fill only a part of the queue.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence

from linewarden.audit.errors import LogOverloaded
from linewarden.audit.model import Unit

#: The interval at which logs that are set aside are tried again, seconds.
AGAIN_S = 0.05

#: The units of one log that is set aside may fill this part of the queue: one in so many places.
_ASIDE_PART = 4


class Waiting:
    """A waiting unit with the future of its result and its deadline, in the time of the event loop."""

    __slots__ = ("deadline", "future", "unit")

    def __init__(self, unit: Unit, future: "asyncio.Future[int]", deadline: float) -> None:
        self.unit = unit
        self.future = future
        self.deadline = deadline


class Queue:
    """The waiting units, up to `limit` entries. Belongs to one event loop and uses its time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._next: deque[Waiting] = deque()
        self._aside: dict[int, deque[Waiting]] = {}
        self._again_at = 0.0
        self._aside_last = False
        self.entries = 0

    def __iter__(self) -> Iterator[Waiting]:
        """Yield all waiting units."""
        yield from self._next
        for line in self._aside.values():
            yield from line

    @property
    def ready(self) -> int:
        """The number of units of logs that are not set aside."""
        return len(self._next)

    def again_in(self, now: float) -> float | None:
        """Return the seconds until the logs that are set aside are tried again; None if there are none."""
        return max(0.0, self._again_at - now) if self._aside else None

    def add(self, one: Waiting) -> None:
        """Add a unit.

        Raises:
            LogOverloaded: the queue, or the part of it for this log, is full.
        """
        entries = len(one.unit.entries)
        aside = self._aside.get(one.unit.log)
        if self.entries + entries > self._limit:
            raise LogOverloaded("too many entries wait to be recorded: try again")
        if aside is not None and len(aside) >= self._limit // _ASIDE_PART:
            raise LogOverloaded("too many entries wait for the lock of that log: try again")
        (self._next if aside is None else aside).append(one)
        self.entries += entries

    def take(self, room: int, now: float) -> tuple[list[Waiting], bool]:
        """Take the next batch and return it, and whether it was set aside before.

        The batch has at most `room` entries, unless a single unit has more.
        """
        aside = bool(self._aside) and now >= self._again_at and not (self._aside_last and self._next)
        self._aside_last = aside
        if not aside:
            return self._take(self._next, room), False
        self._again_at = now + AGAIN_S
        batch: list[Waiting] = []
        share = max(1, room // len(self._aside))
        for log_id, line in list(self._aside.items()):
            batch += self._take(line, share)
            if not line:
                del self._aside[log_id]
        return batch, True

    def put_back(self, ones: Sequence[Waiting]) -> None:
        """Put units back to the front of the queue, in their order."""
        self._next.extendleft(reversed(ones))
        self.entries += sum(len(one.unit.entries) for one in ones)

    def set_aside(self, ones: Sequence[Waiting], now: float) -> None:
        """Set the logs of these units aside, with all other units of the same logs."""
        if not ones:
            return
        new = {one.unit.log for one in ones} - self._aside.keys()
        for log_id in {one.unit.log for one in ones}:
            line = self._aside.setdefault(log_id, deque())
            line.extendleft(one for one in reversed(ones) if one.unit.log == log_id)
        self.entries += sum(len(one.unit.entries) for one in ones)
        for one in [one for one in self._next if one.unit.log in new]:
            self._aside[one.unit.log].append(one)
        self._next = deque(one for one in self._next if one.unit.log not in new)
        self._again_at = now + AGAIN_S

    def _take(self, line: deque[Waiting], room: int) -> list[Waiting]:
        batch: list[Waiting] = []
        while line and (room >= len(line[0].unit.entries) or not batch):
            one = line.popleft()
            self.entries -= len(one.unit.entries)
            if one.future.done():  # its deadline passed, or the caller disconnected, so nothing was answered
                continue
            room -= len(one.unit.entries)
            batch.append(one)
        return batch

"""What the service itself records, where no person acts."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from linewarden.audit.errors import ClockBehind, EffectRefused
from linewarden.audit.model import Unit
from linewarden.diagnostics.capture_model import Capture
from linewarden.diagnostics.change import Occasion, Step

#: Who acts where no person does.
SERVICE = "linewarden"


class Appender(Protocol):
    """What the recorder needs of the writer."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit; the result is the index of its first entry."""


class Recorder:
    """Appends steps of the service itself. `now_us` is the wall clock."""

    def __init__(self, appender: Appender, now_us: Callable[[], int]) -> None:
        self._appender = appender
        self._now_us = now_us

    async def record(self, log: int, make: Callable[[Occasion], Step[Capture] | None]) -> None:
        """Make a step and append it; make it again when somebody else changed meanwhile what it is about.

        Raises:
            LogUnavailable: the database failed.
        """
        while True:
            step = await asyncio.to_thread(make, Occasion(log, "", SERVICE, "", self._now_us()))
            if step is None:
                return
            try:
                await self._appender.append(Unit(log, step.entries, effect=step.apply))
            except (EffectRefused, ClockBehind):
                continue
            return

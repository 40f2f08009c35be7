"""Changes that the service makes by itself, where no person acts."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from linewarden.audit.errors import ClockBehind, EffectRefused
from linewarden.audit.model import Unit
from linewarden.audit.retry import repeat_while
from linewarden.diagnostics.capture_model import Capture
from linewarden.diagnostics.change import ActorContext, Change

#: Who acts where no person does.
SERVICE = "linewarden"


class Appender(Protocol):
    """What the recorder needs of the writer."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit; the result is the index of its first entry."""


class ServiceRecorder:
    """Appends changes that the service makes by itself. `now_us` is the clock, microseconds."""

    def __init__(self, appender: Appender, now_us: Callable[[], int]) -> None:
        self._appender = appender
        self._now_us = now_us

    async def record(self, log: int, make: Callable[[ActorContext], Change[Capture] | None]) -> None:
        """Make a change and append it; make it again when the records that it was made from have changed meanwhile.

        Raises:
            LogUnavailable: the database failed, or the records change faster than the change is made.
        """

        async def attempt() -> None:
            change = await asyncio.to_thread(make, ActorContext(log, "", SERVICE, "", self._now_us()))
            if change is not None:
                await self._appender.append(Unit(log, change.entries, effect=change.apply))

        await repeat_while(attempt, EffectRefused, ClockBehind)

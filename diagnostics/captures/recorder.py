"""Recorder of changes that the service makes without a person."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from linewarden.audit.errors import ClockBehind, EffectRefused
from linewarden.audit.model import Unit
from linewarden.audit.retry import repeat_while
from linewarden.diagnostics.capture_model import Capture
from linewarden.diagnostics.change import ActorContext, Change

#: The caller in entries of the service itself.
SERVICE = "linewarden"


class Appender(Protocol):
    """The part of the writer that the recorder uses."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit; the result is the index of its first entry."""


class ServiceRecorder:
    """Appends changes that the service makes without a person. `now_us` is the clock, microseconds."""

    def __init__(self, appender: Appender, now_us: Callable[[], int]) -> None:
        self._appender = appender
        self._now_us = now_us

    async def record(self, log_id: int, make: Callable[[ActorContext], Change[Capture] | None]) -> None:
        """Make a change and append it. Make it again when the records that it was made from have changed.

        Raises:
            LogUnavailable: the database failed, or the records change faster than the change can be made.
        """

        async def attempt() -> None:
            change = await asyncio.to_thread(make, ActorContext(log_id, "", SERVICE, "", self._now_us()))
            if change is not None:
                await self._appender.append(Unit(log_id, change.entries, effect=change.apply))

        await repeat_while(attempt, EffectRefused, ClockBehind)

"""The clock of the logs: it follows the wall clock and never goes back.

A clock that is set back would make expired keys and rules valid again, and let the times in a log decrease. So this
clock continues from the latest known time, which is the latest time in any log or returned by this process. It advances
with the monotonic clock until the wall clock has caught up. A step of the wall clock is kept, to be recorded in the
logs.
"""

from collections.abc import Callable
from typing import NamedTuple

#: Steps of the wall clock below this are normal corrections and are not recorded, microseconds.
STEP_US = 2_000_000


class ClockStep(NamedTuple):
    """A step of the wall clock: the expected time and the time that it shows, microseconds since 1970."""

    expected_us: int
    found_us: int


class Clock:
    """The time in microseconds since 1970, UTC.

    `wall_us` is the wall clock, `monotonic_us` a clock that is never set, `latest_us` the latest time in any log.
    """

    def __init__(
        self, wall_us: Callable[[], int], monotonic_us: Callable[[], int], latest_us: Callable[[], int]
    ) -> None:
        self._wall_us = wall_us
        self._monotonic_us = monotonic_us
        self._latest_us = latest_us
        self._told = 0
        self._told_at: int | None = None
        self._is_behind = False
        self._step: ClockStep | None = None

    def __call__(self) -> int:
        """Return the time, which is never earlier than a time returned before."""
        wall, at = self._wall_us(), self._monotonic_us()
        expected = self._latest_us()
        if self._told_at is not None:
            expected = max(expected, self._told + at - self._told_at)
            if wall > expected + STEP_US:
                self._step = ClockStep(expected, wall)
        is_behind = wall < expected - STEP_US
        if is_behind and not self._is_behind:
            self._step = ClockStep(expected, wall)
        self._is_behind = is_behind
        self._told, self._told_at = max(wall, expected), at
        return self._told

    def take_step(self) -> ClockStep | None:
        """Return the step of the wall clock since the last call, if there was one."""
        step, self._step = self._step, None
        return step

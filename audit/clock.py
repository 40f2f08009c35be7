"""The clock of the logs: it follows the wall clock, and never goes back.

What has once expired stays expired: a clock that was set back would bring expired keys and rules to life again, and let
the times in a log fall. So time goes on from the latest that is known, which is the latest that any log states or that
this process has told, and goes on at the pace of the monotonic clock until the wall clock has caught up. A step of the
wall clock is noted, to be entered into the logs.
"""

from collections.abc import Callable
from typing import NamedTuple

#: Steps of the wall clock smaller than this are not noted, microseconds: clocks are corrected now and then.
STEP_US = 2_000_000


class ClockStep(NamedTuple):
    """A step of the wall clock: the time that was expected, and the one it shows, microseconds since 1970."""

    expected_us: int
    found_us: int


class Clock:
    """Tells the time in microseconds since 1970, UTC.

    `wall_us` is the wall clock, `monotonic_us` one that no setting changes, `latest_us` the latest time of any log.
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
        """Return the time now, never earlier than it was."""
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
        """Return the step of the wall clock since this was asked last, if there was one."""
        step, self._step = self._step, None
        return step

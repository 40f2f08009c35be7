"""An allowance that refills with time: how much each of many may use, at once and in the long run (a token bucket)."""

from collections.abc import Callable


class Allowance:
    """So many units `burst` at once, and `per_second` in the long run, for each key.

    `monotonic` is a clock in seconds that is never set back.
    """

    def __init__(self, burst: int, per_second: float, monotonic: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._monotonic = monotonic
        # By key: what was left, and when.
        self._left: dict[int, tuple[float, float]] = {}

    def take(self, key: int, count: int) -> float:
        """Take so many units; returns 0, or after how many seconds there will be as many. Then nothing was taken."""
        now = self._monotonic()
        left, since = self._left.get(key, (float(self._burst), now))
        left = min(float(self._burst), left + (now - since) * self._per_second)
        if left < count:
            self._left[key] = (left, now)
            return (count - left) / self._per_second
        self._left[key] = (left - count, now)
        return 0.0

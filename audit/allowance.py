"""A token bucket for each of many keys: a number of units at once, and a rate in the long run."""

from collections.abc import Callable


class Allowance:
    """A token bucket for each key: `burst` units at once, and `per_second` units in the long run.

    `monotonic` is a clock in seconds that is never set back.
    """

    def __init__(self, burst: int, per_second: float, monotonic: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._monotonic = monotonic
        # By key: the units that were left, and when.
        self._left: dict[int, tuple[float, float]] = {}

    def take(self, key: int, count: int) -> float:
        """Take units and return 0. If there are too few, take nothing and return the seconds until there are enough."""
        now = self._monotonic()
        left, since = self._left.get(key, (float(self._burst), now))
        left = min(float(self._burst), left + (now - since) * self._per_second)
        if left < count:
            self._left[key] = (left, now)
            return (count - left) / self._per_second
        self._left[key] = (left - count, now)
        return 0.0

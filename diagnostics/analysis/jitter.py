"""Interarrival jitter (RFC 3550 section 6.4.1 and appendix A.8)."""

_HALF = 1 << 31
_GAIN = 1 / 16


class Jitter:
    """The running estimate of one stream, in units of the codec's clock.

    The estimate is fed with each packet in the order of arrival. Payload that repeats timestamps (RFC 4733) and
    duplicates must be left out by the caller.
    """

    __slots__ = ("_last_ns", "_last_timestamp", "_per_ns", "_samples", "_total", "clock", "current", "highest")

    def __init__(self, clock: int) -> None:
        self.clock = clock
        self.current = self.highest = 0.0
        self._per_ns = clock / 1e9
        self._last_ns = -1
        self._last_timestamp = 0
        self._samples = 0
        self._total = 0.0

    def add(self, time_ns: int, timestamp: int) -> None:
        """Take the arrival of a packet."""
        if self._last_ns >= 0:
            sent = (timestamp - self._last_timestamp) & 0xFFFFFFFF
            if sent >= _HALF:
                sent -= 1 << 32
            difference = abs((time_ns - self._last_ns) * self._per_ns - sent)
            self.current += (difference - self.current) * _GAIN
            self._total += self.current
            self._samples += 1
            self.highest = max(self.highest, self.current)
        self._last_ns, self._last_timestamp = time_ns, timestamp

    @property
    def mean(self) -> float:
        """The mean of the estimate over all packets after the first."""
        return self._total / self._samples if self._samples else 0.0

    def milliseconds(self, units: float) -> float:
        """Clock units as milliseconds."""
        return units * 1000 / self.clock

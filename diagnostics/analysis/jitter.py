"""Interarrival jitter (RFC 3550 section 6.4.1 and appendix A.8)."""

_HALF = 1 << 31
_GAIN = 1 / 16

#: A transit time that changes by more seconds between two packets belongs to a restarted clock, and not to the network.
_RESTART_S = 1.0


class Jitter:
    """The running estimate of one stream, in units of the codec's clock.

    The estimate is fed with each packet in the order of arrival. Payload that repeats timestamps (RFC 4733) and
    duplicates must be left out by the caller. `restarts` counts the timestamps that began anew. Each sets the estimate
    to 0, because the RFC's estimate compares timestamps of one clock only.
    """

    __slots__ = (
        *("_last_ns", "_last_timestamp", "_per_ns", "_samples", "_total"),
        *("clock", "current", "highest", "restarts"),
    )

    def __init__(self, clock: int) -> None:
        self.clock = clock
        self.current = self.highest = 0.0
        self._per_ns = clock / 1e9
        self._last_ns = -1
        self._last_timestamp = 0
        self._samples = 0
        self._total = 0.0
        self.restarts = 0

    def add(self, time_ns: int, timestamp: int, *, late: bool = False) -> bool:
        """Take the arrival of a packet, `late` if it was overtaken. Return whether its timestamp goes on."""
        last_ns, last = self._last_ns, self._last_timestamp
        self._last_ns, self._last_timestamp = time_ns, timestamp
        if last_ns < 0:
            return True
        sent = (timestamp - last) & 0xFFFFFFFF
        if sent >= _HALF:
            sent -= 1 << 32
        transit = (time_ns - last_ns) * self._per_ns - sent
        # A packet that only came late has a timestamp that went on: its wait is jitter.
        if abs(transit) > _RESTART_S * self.clock and not late and (sent < 0 or transit < 0):
            self.restarts += 1
            self.current = 0.0
            return False
        self.current += (abs(transit) - self.current) * _GAIN
        self._total += self.current
        self._samples += 1
        self.highest = max(self.highest, self.current)
        return True

    def forget(self) -> None:
        """Begin anew with the next packet, because its sequence did."""
        self._last_ns = -1
        self.current = 0.0

    @property
    def mean(self) -> float:
        """The mean of the estimate over all packets after the first."""
        return self._total / self._samples if self._samples else 0.0

    def milliseconds(self, units: float) -> float:
        """Clock units as milliseconds."""
        return units * 1000 / self.clock

"""Loss, jitter and score of one stream over time, in intervals whose number is bounded.

The first intervals are one second. Whenever there are more than MAX_INTERVALS, two become one.
"""

from dataclasses import dataclass

from linewarden.diagnostics.analysis.quality import score_interval

MAX_INTERVALS = 60
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timeline:
    """The figures of each interval from the first packet on, all of `interval_s` seconds.

    Loss is that of the interval (RFC 3550 appendix A.3): numbers that the stream advanced without a packet. Jitter is
    the highest estimate. Both are None for an interval without packets. `mos` is None where the model says nothing.
    """

    interval_s: int
    lost_percent: tuple[float | None, ...] = ()
    jitter_ms: tuple[float | None, ...] = ()
    mos: tuple[float | None, ...] = ()


class Intervals:
    """The intervals of a stream so far. Each holds numbers reached at its end, packets received, highest jitter."""

    __slots__ = ("_first_ns", "_parts", "_width_ns")

    def __init__(self, first_ns: int) -> None:
        self._first_ns = first_ns
        self._width_ns = _SECOND_NS
        self._parts: dict[int, list[float]] = {}

    def add(self, time_ns: int, reached: int, jitter: float) -> None:
        """Take a packet that came at `time_ns`, when the stream had advanced to number `reached`."""
        at = max(0, time_ns - self._first_ns) // self._width_ns
        while at >= MAX_INTERVALS:
            self._merge()
            at = max(0, time_ns - self._first_ns) // self._width_ns
        part = self._parts.get(at)
        if part is None:
            self._parts[at] = [reached, 1, jitter]
            return
        part[0] = max(part[0], reached)
        part[1] += 1
        part[2] = max(part[2], jitter)

    def timeline(self, codec: str | None, ms_per_unit: float | None) -> Timeline:
        """Return the figures; `ms_per_unit` is None where there is no jitter."""
        lost: list[float | None] = []
        jitter: list[float | None] = []
        scores: list[float | None] = []
        before = 0.0
        for at in range(max(self._parts, default=-1) + 1):
            part = self._parts.get(at)
            if part is None:
                lost.append(None)
                jitter.append(None)
                scores.append(None)
                continue
            expected, received = int(part[0] - before), int(part[1])
            missing = max(0, expected - received)
            lost.append(round(100 * missing / expected, 2) if expected > 0 else 0.0)
            jitter.append(None if ms_per_unit is None else round(part[2] * ms_per_unit, 3))
            scores.append(score_interval(codec, max(expected, received), missing))
            before = max(before, part[0])
        return Timeline(self._width_ns // _SECOND_NS, tuple(lost), tuple(jitter), tuple(scores))

    def _merge(self) -> None:
        self._width_ns *= 2
        merged: dict[int, list[float]] = {}
        for at, (reached, received, jitter) in sorted(self._parts.items()):
            part = merged.setdefault(at // 2, [0, 0, 0.0])
            part[0] = max(part[0], reached)
            part[1] += received
            part[2] = max(part[2], jitter)
        self._parts = merged

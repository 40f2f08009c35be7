"""Finding entries by time in the tables of entries of one log's index.

Times rise through the log, but an entry may be behind an earlier one by the tolerance of the log, and the operator may
set the time of the log back. So each run states its first and last time and whether it is ordered. Only the tables at
the ends of a time are read entry by entry.
"""

from collections.abc import Callable, Iterable, Iterator

from linewarden.audit.index.blocks import Entries
from linewarden.audit.index.errors import IndexDamaged
from linewarden.audit.index.format import DAMAGED, ENTRIES, Run, key_of
from linewarden.audit.index.reader import Reader
from linewarden.audit.index.streams import Interval
from linewarden.audit.store.append import CLOCK_TOLERANCE_US

#: Tables that one statement looks into.
_PROBES = 16

#: Tables that are read at once at most.
_MOST_BLOCKS = 64


class Tables:
    """The tables of entries of one view. Methods raise IndexDamaged and LogUnavailable as `Reader` does."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def within(self, from_us: int | None, until_us: int | None) -> list[Interval]:
        """Return the intervals of ordinals whose entries have times in a half-open interval, microseconds."""
        runs = self._reader.runs
        if from_us is None and until_us is None:
            return [(0, runs[-1].end)] if runs else []
        from_us = 0 if from_us is None else from_us
        until_us = 1 << 63 if until_us is None else until_us
        intervals: list[Interval] = []
        for run in runs:
            if from_us <= run.low_us and run.high_us < until_us:
                intervals.append((run.first, run.end))
            elif run.high_us >= from_us and run.low_us < until_us:
                intervals += self._inside(run, from_us, until_us)
        return _joined(intervals)

    def last_table(self, run: Run, fits: Callable[[Entries], bool]) -> Entries:
        """Return the last table that fits, if the ones that fit come first. The first one must fit."""
        end = self._first_table(run, run.first, lambda one: not fits(one))
        (block,) = self._reader.covering([(run, key_of(ENTRIES, max(end - 1, run.first)))])
        return self._reader.table(run, block)

    def _inside(self, run: Run, from_us: int, until_us: int) -> Iterator[Interval]:
        """Yield the intervals of a run whose entries have times in an interval."""
        if not run.ordered:
            for table in self._tables(run, run.first):
                yield from _timed(table, from_us, until_us)
            return
        # No time is more than the tolerance behind an earlier one. So nothing before `begin` is late enough, everything
        # after `settled` is, and nothing from `end` on is early enough.
        margin, begin, unsettled = CLOCK_TOLERANCE_US, run.first, run.end
        if run.low_us < from_us:
            begin = self._first_table(run, begin, lambda one: max(one.times) >= from_us - margin)
            for table in self._tables(run, begin):
                begin = table.bounds()[-1]
                yield from _timed(table, from_us, until_us)
                if min(table.times) >= from_us + margin:
                    break
        if run.high_us >= until_us:
            unsettled = self._first_table(run, begin, lambda one: max(one.times) >= until_us - margin)
        if begin < unsettled:
            yield begin, unsettled
        for table in self._tables(run, max(begin, unsettled)):
            if min(table.times) >= until_us + margin:
                break
            yield from _timed(table, from_us, until_us)

    def _tables(self, run: Run, ordinal: int) -> Iterator[Entries]:
        """Yield the tables of a run in order, from the one with an ordinal on."""
        if ordinal >= run.end:
            return
        (block,) = self._reader.covering([(run, key_of(ENTRIES, ordinal))])
        blocks, limit = [block], 1
        while blocks:
            for one in blocks:
                table = self._reader.table(run, one)
                yield table
            if table.bounds()[-1] >= run.end:
                return
            blocks = self._reader.after(run, blocks[-1], DAMAGED, limit)
            limit = min(limit * 2, _MOST_BLOCKS)
        raise IndexDamaged("a table of entries is missing")

    def _first_table(self, run: Run, ordinal: int, fits: Callable[[Entries], bool]) -> int:
        """Return the first ordinal of the first table, of those from `ordinal` on, that fits; the end if none does.

        All tables after one that fits must fit as well, or the caller does not care which boundary is found.
        """
        low, high = ordinal, run.end
        while low < high:
            step = max((high - low) // _PROBES, 1)
            ordinals = range(low, high, step)
            blocks = self._reader.covering([(run, key_of(ENTRIES, one)) for one in ordinals])
            for table in (self._reader.table(run, block) for block in blocks):
                bounds = table.bounds()
                if fits(table):
                    high = min(high, max(bounds[0], ordinal))
                    break
                low = max(low, bounds[-1])
        return high


def _timed(table: Entries, from_us: int, until_us: int) -> Iterator[Interval]:
    """Yield the intervals of a table whose entries have times in an interval."""
    for time_us, low, high in zip(table.times, (bounds := table.bounds()), bounds[1:], strict=False):
        if from_us <= time_us < until_us:
            yield low, high


def _joined(intervals: Iterable[Interval]) -> list[Interval]:
    """Return sorted intervals with neighbouring ones joined."""
    joined: list[Interval] = []
    for low, high in intervals:
        if joined and joined[-1][1] >= low:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return joined

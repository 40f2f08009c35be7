"""Searching the index of one log.

A search is a conjunction: of intervals of ordinals, and of groups of terms of which an item has at least one. Each of
them is read as a stream of chunks with the bits of the items that fit, in the order of the log or its reverse. Streams
skip the chunks that another one does not have. So the cost is that of the rarest condition, and of a page.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import count, islice
from operator import and_
from typing import NamedTuple

from linewarden.audit.index.blocks import Entries, first_term, items_before
from linewarden.audit.index.format import CHUNK_BITS, DAMAGED, ENTRIES, Run, key_of
from linewarden.audit.index.reader import Reader
from linewarden.audit.index.streams import Interval, Intervals, Stream, TermStream, Union, clipped
from linewarden.audit.index.tables import Tables
from linewarden.audit.index.view import View
from linewarden.audit.pace import paced
from linewarden.audit.store.append import CLOCK_TOLERANCE_US

#: Intervals of ordinals up to which counts are differences of ranks.
_RANKED = 8


class Place(NamedTuple):
    """The place of an item: its ordinal, its entry and number in it, and the start of the leaf hash of the entry."""

    ordinal: int
    entry: int
    item: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a search. An item must have a term of each group. Times are microseconds, half-open."""

    groups: tuple[tuple[bytes, ...], ...] = ()
    from_us: int | None = None
    until_us: int | None = None

    def narrowed(self, from_us: int, until_us: int | None) -> "Conditions":
        """Return the conditions with a shorter time."""
        if self.from_us is not None:
            from_us = max(from_us, self.from_us)
        if self.until_us is not None:
            until_us = self.until_us if until_us is None else min(until_us, self.until_us)
        return replace(self, from_us=from_us, until_us=until_us)


class Search:
    """A search of one view.

    Raises, in all methods:
        IndexDamaged: a row of the index is missing or has no valid seal.
        LogUnavailable: the database failed.
    """

    def __init__(self, view: View) -> None:
        self._reader = Reader(view)
        self._tables = Tables(self._reader)
        self._runs = view.runs
        self._end = self._ordinal_of_entry(view.size)

    def find(self, conditions: Conditions, *, after: int | None, descending: bool, limit: int) -> list[Place]:
        """Return the first items that fit, beyond the ordinal `after`, in the order of the log or its reverse."""
        low, high = 0, self._end
        if after is not None:
            low, high = (low, min(high, after)) if descending else (after + 1, high)
        ordinals: list[int] = []
        intervals = clipped(self._intervals(conditions), low, high)
        for chunk, bits in self._matching(conditions.groups, intervals, descending=descending):
            ordinals += islice(_ordinals(chunk, bits, descending=descending), limit - len(ordinals))
            if len(ordinals) == limit:
                break
        return self.places(ordinals)

    def count(self, conditions: Conditions) -> int:
        """Return the number of items that fit."""
        intervals = self._intervals(conditions)
        if not conditions.groups:
            return sum(high - low for low, high in intervals)
        if len(conditions.groups) == 1 and len(intervals) <= _RANKED:
            terms = conditions.groups[0]
            if len(terms) == 1:
                return sum(self._count_between(terms[0], *interval) for interval in intervals)
        matching = self._matching(conditions.groups, intervals, descending=False)
        return sum(bits.bit_count() for _, bits in matching)

    def inside(self, ordinals: Sequence[int], conditions: Conditions) -> int:
        """Return how many of the items are in the time of the search."""
        intervals = self._intervals(conditions)
        return sum(low <= one < high for one in ordinals for low, high in intervals) if ordinals else 0

    def span(self, conditions: Conditions) -> tuple[int, int] | None:
        """Return the first and the last time that a search may find; None if it covers no entry."""
        if not self._runs:
            return None
        low, high = min(run.low_us for run in self._runs), max(run.high_us for run in self._runs)
        if conditions.from_us is not None:
            low = max(low, conditions.from_us)
        if conditions.until_us is not None:
            high = min(high, conditions.until_us - 1)
        return (low, high) if low <= high else None

    def damaged(self, conditions: Conditions, limit: int) -> list[Place]:
        """Return entries in the time of the search that were not verified when they were indexed."""
        # The time of such an entry is not known. Its neighbours' times are, within the tolerance of the log.
        from_us, until_us = conditions.from_us, conditions.until_us
        wider = Conditions(
            ((DAMAGED,),),
            None if from_us is None else from_us - CLOCK_TOLERANCE_US,
            None if until_us is None else until_us + CLOCK_TOLERANCE_US,
        )
        return self.find(wider, after=None, descending=False, limit=limit)

    def places(self, ordinals: Sequence[int]) -> list[Place]:
        """Return the places of items, in the order given."""
        found: dict[int, Place] = {}
        left = sorted(ordinals)
        while left:
            probes = {ordinal >> 6: (self._run_of(ordinal), key_of(ENTRIES, ordinal)) for ordinal in reversed(left)}
            for (run, _), block in zip(probes.values(), self._reader.covering(list(probes.values())), strict=True):
                table = self._reader.table(run, block)
                bounds = table.bounds()
                inside = left[bisect_left(left, bounds[0]) : bisect_left(left, bounds[-1])]
                found |= {ordinal: _place(table, bounds, ordinal) for ordinal in inside}
            left = [ordinal for ordinal in left if ordinal not in found]
        return [found[ordinal] for ordinal in ordinals]

    def _run_of(self, ordinal: int) -> Run:
        return self._runs[bisect_right(self._runs, ordinal, key=lambda run: run.first) - 1]

    def _ordinal_of_entry(self, index: int) -> int:
        """Return the first ordinal of an entry, or the end of the view."""
        number = bisect_right(self._runs, index, key=lambda run: run.start) - 1
        if number < 0:
            return 0
        run = self._runs[number]
        if index >= run.stop:
            return run.end
        # The last table that begins at or before the entry.
        table = self._tables.last_table(run, lambda one: one.start <= index)
        return table.bounds()[index - table.start]

    def _matching(
        self, groups: Sequence[Sequence[bytes]], intervals: Sequence[Interval], *, descending: bool
    ) -> Iterator[tuple[int, int]]:
        """Yield the chunks in which all conditions have items in common, with the bits of these."""
        if not intervals:
            return
        span = (intervals[0][0], intervals[-1][1])
        streams: list[Stream] = [Intervals(intervals, descending=descending)]
        for terms in groups:
            some = [TermStream(self._reader, term, span, descending=descending) for term in terms]
            streams.append(some[0] if len(some) == 1 else Union(some, descending=descending))
        chunk = (span[1] - 1 if descending else span[0]) >> CHUNK_BITS
        step, furthest = (-1, min) if descending else (1, max)
        for _ in paced(count()):
            found = []
            for stream in streams:
                one = stream.at(chunk)
                if one is None:
                    return
                chunk = furthest(chunk, one[0])
                found.append(one)
            if all(number == chunk for number, _ in found):
                bits = reduce(and_, (bits for _, bits in found))
                if bits:
                    yield chunk, bits
                chunk += step
                if chunk < 0:
                    return

    def _count_between(self, term: bytes, low: int, high: int) -> int:
        """Return the number of items of a term in an interval of ordinals."""
        if low >= high:
            return 0
        runs = [run for run in self._runs if run.first < high and run.end > low]
        counted = self._ranks(term, [(run, min(high, run.end)) for run in runs])
        return counted - (self._ranks(term, [(runs[0], low)]) if low > runs[0].first else 0)

    def _ranks(self, term: bytes, ordinals: Sequence[tuple[Run, int]]) -> int:
        """Return the sum, over runs, of the number of items of a term in the run before an ordinal."""
        total = 0
        probes = [(run, key_of(term, ordinal)) for run, ordinal in ordinals]
        for (run, ordinal), block in zip(ordinals, self._reader.covering(probes), strict=True):
            found = self._reader.decoded(run, block)
            if first_term(found) == term:
                total += block.rank
            total += items_before(found, term, ordinal)
        return total

    def _intervals(self, conditions: Conditions) -> list[Interval]:
        """Return the intervals of ordinals whose entries are in the time of the search."""
        return clipped(self._tables.within(conditions.from_us, conditions.until_us), 0, self._end)


def _place(table: Entries, bounds: Sequence[int], ordinal: int) -> Place:
    number = bisect_right(bounds, ordinal) - 1
    return Place(ordinal, table.start + number, ordinal - bounds[number], table.hash_at(number))


def _ordinals(chunk: int, bits: int, *, descending: bool) -> Iterator[int]:
    """Yield the ordinals of bits, in one direction."""
    start = chunk << CHUNK_BITS
    while bits:
        number = (bits if descending else bits & -bits).bit_length() - 1
        yield start + number
        bits ^= 1 << number

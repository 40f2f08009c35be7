"""Searching the index of one log.

A search is a conjunction: of intervals of ordinals, and of groups of terms of which an item has at least one. Each of
them is read as a stream of chunks with the bits of the items that fit, in the order of the log or its reverse. Streams
skip the chunks that another one does not have. So the cost is that of the rarest condition, and of a page.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import count, islice
from operator import and_
from typing import NamedTuple, Protocol

from linewarden.audit.indexer import View
from linewarden.audit.pace import paced
from linewarden.audit.postings import (
    CHUNK_BITS,
    CHUNK_ITEMS,
    DAMAGED,
    ENTRIES,
    TERM_BYTES,
    Bits,
    Block,
    Entries,
    Run,
    chunks_of,
    decode,
    items_before,
    key_of,
    ordinal_of,
    records_of,
)
from linewarden.audit.store.append import CLOCK_TOLERANCE_US
from linewarden.audit.store.index import IndexDamaged, IndexStore

#: Blocks that are read at once, at first and at most.
_FIRST_BLOCKS, _MOST_BLOCKS = 4, 64

#: Tables of entries that one statement looks into, to find a time.
_PROBES = 16

#: Intervals of ordinals up to which counts are differences of ranks.
_RANKED = 8

#: A half-open interval of ordinals.
Interval = tuple[int, int]


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


class Reader:
    """The blocks of one view of a log's index. They are read once and kept for the life of the reader."""

    def __init__(self, index: IndexStore, view: View) -> None:
        self.runs = view.runs
        self._index = index
        self._view = view
        self._kept: dict[int, dict[bytes, Block]] = {}
        if view.memory:
            self._kept[self.runs[-1].first] = {block.key: block for block in view.memory}
        self._decoded: dict[tuple[int, bytes], Entries | list[bytes] | Bits] = {}

    def covering(self, probes: Sequence[tuple[Run, bytes]]) -> list[Block]:
        """Return for each run and key the block in whose interval the key lies.

        Raises:
            IndexDamaged: a block is missing or has no valid seal.
            LogUnavailable: the database failed.
        """
        found = [self._kept_block(run, key) for run, key in probes]
        missing = [probe for probe, block in zip(probes, found, strict=True) if block is None]
        read = iter(self._index.covering(self._view.log, self._view.generation, missing) if missing else ())
        blocks = []
        for (run, _), block in zip(probes, found, strict=True):
            one = block or next(read)
            self._kept.setdefault(run.first, {})[one.key] = one
            blocks.append(one)
        return blocks

    def after(self, run: Run, block: Block, high: bytes, limit: int) -> list[Block]:
        """Return the blocks of a run that follow a block and begin below `high`: `limit` of them at most."""
        if self._is_in_memory(run):
            return [one for one in self._view.memory if block.next <= one.key < high][:limit]
        found = self._read(run, low=block.next, high=high, limit=limit)
        if (found[0].key if found else high) > block.next:
            raise IndexDamaged("a block of the index is missing")
        return found

    def before(self, run: Run, block: Block, low: bytes, limit: int) -> list[Block]:
        """Return the blocks of a run that precede a block and end above `low`, the last one first."""
        if self._is_in_memory(run):
            return [one for one in reversed(self._view.memory) if one.key < block.key and one.next > low][:limit]
        found = self._read(run, low=b"", high=block.key, limit=limit, descending=True)
        if (found[0].next if found else b"") != block.key:
            raise IndexDamaged("a block of the index is missing")
        return found

    def decoded(self, run: Run, block: Block) -> Entries | list[bytes] | Bits:
        """Return what a block has."""
        key = (run.first, block.key)
        found = self._decoded.get(key)
        if found is None:
            found = self._decoded[key] = decode(block)
        return found

    def table(self, run: Run, block: Block) -> Entries:
        """Return the table of entries in a block."""
        found = self.decoded(run, block)
        if not isinstance(found, Entries):
            raise IndexDamaged("a block of the index is not a table of entries")
        return found

    def _read(self, run: Run, *, low: bytes, high: bytes, limit: int, descending: bool = False) -> list[Block]:
        view = self._view
        return self._index.blocks(
            view.log, view.generation, run, low=low, high=high, limit=limit, descending=descending
        )

    def _is_in_memory(self, run: Run) -> bool:
        return bool(self._view.memory) and run is self.runs[-1]

    def _kept_block(self, run: Run, key: bytes) -> Block | None:
        kept = self._kept.get(run.first, {})
        return next((block for block in kept.values() if block.key <= key < block.next), None)


class _Stream(Protocol):
    """Chunks with the bits of the items that fit a condition, in one direction."""

    def at(self, chunk: int) -> tuple[int, int] | None:
        """Return the next chunk, at `chunk` or beyond, and its bits; None if there is none. Chunks must not go back."""


class _TermStream:
    """The items that have a term."""

    def __init__(self, reader: Reader, term: bytes, interval: Interval, *, descending: bool) -> None:
        self._reader = reader
        self._term = term
        self._low, self._high = interval
        self._descending = descending
        self._at = self._high if descending else self._low
        self._found: list[tuple[int, int]] = []
        self._next = 0
        self._limit = _FIRST_BLOCKS
        self._runs = 1

    def at(self, chunk: int) -> tuple[int, int] | None:
        while True:
            while self._next < len(self._found):
                one = self._found[self._next]
                if one[0] == chunk or (one[0] < chunk) == self._descending:
                    return one
                self._next += 1
            if (self._at <= self._low) if self._descending else (self._at >= self._high):
                return None
            self._skip_to(chunk)
            self._found, self._next = [], 0
            self._fill()

    def _skip_to(self, chunk: int) -> None:
        """Move on to the beginning of a chunk, seen in the direction of the stream."""
        if self._descending:
            self._at = min(self._at, (chunk + 1) << CHUNK_BITS)
        else:
            self._at = max(self._at, chunk << CHUNK_BITS)

    def _fill(self) -> None:
        """Read until there are chunks, and the last of them is complete, or the interval is at its end."""
        while self._is_inside():
            runs = self._next_runs()
            if not runs:
                self._at = self._low if self._descending else self._high
                return
            if self._descending:
                probes = [(run, key_of(self._term, min(self._at, run.end))) for run in runs]
            else:
                probes = [(run, key_of(self._term, max(self._at, run.first))) for run in runs]
            for run, block in zip(runs, self._reader.covering(probes), strict=True):
                self._read_run(run, block)
                if self._is_settled():
                    return

    def _is_inside(self) -> bool:
        return self._at > self._low if self._descending else self._at < self._high

    def _is_settled(self) -> bool:
        """Return whether there are chunks, and all items of the last one have been read."""
        if not self._found:
            return False
        chunk = self._found[-1][0]
        return self._at <= chunk << CHUNK_BITS if self._descending else self._at >= (chunk + 1) << CHUNK_BITS

    def _next_runs(self) -> Sequence[Run]:
        """Return the runs that are next: one at first, then more and more, because a rare term is in few of them."""
        runs = self._reader.runs
        count, self._runs = self._runs, min(self._runs * 4, 64)
        if self._descending:
            stop = bisect_right(runs, self._at - 1, key=lambda run: run.first)
            return [run for run in reversed(runs[max(stop - count, 0) : stop]) if run.end > self._low]
        start = bisect_right(runs, self._at, key=lambda run: run.end)
        return [run for run in runs[start : start + count] if run.first < self._high]

    def _read_run(self, run: Run, block: Block) -> None:
        """Read the blocks of a run until it is at its end or the chunks are settled."""
        blocks = [block]
        while True:
            for one in blocks:
                self._take(run, one)
                edge = one.key if self._descending else one.next
                if not edge.startswith(self._term):
                    self._at = run.first if self._descending else run.end
                    return
                self._at = max(ordinal_of(edge), run.first)  # bits begin with their chunk, not with the run
                if self._is_settled() or not self._is_inside():
                    return
            if self._descending:
                blocks = self._reader.before(run, blocks[-1], key_of(self._term, 0), self._limit)
            else:
                blocks = self._reader.after(run, blocks[-1], self._term + b"\xff" * 7, self._limit)
            if not blocks:
                self._at = run.first if self._descending else run.end
                return
            self._limit = min(self._limit * 2, _MOST_BLOCKS)

    def _take(self, run: Run, block: Block) -> None:
        found = self._reader.decoded(run, block)
        chunks: list[tuple[int, int]] = []
        if isinstance(found, Bits):
            if found.term == self._term:
                chunks = [(found.chunk, found.bits)]
        elif not isinstance(found, Entries):
            chunks = list(chunks_of(records_of(found, self._term)))
        for chunk, bits in reversed(chunks) if self._descending else chunks:
            if self._found and self._found[-1][0] == chunk:
                self._found[-1] = (chunk, self._found[-1][1] | bits)
            else:
                self._found.append((chunk, bits))


class _Union:
    """The items that fit one of several conditions."""

    def __init__(self, streams: Sequence[_Stream], *, descending: bool) -> None:
        self._streams = streams
        self._first = max if descending else min

    def at(self, chunk: int) -> tuple[int, int] | None:
        found = [one for one in (stream.at(chunk) for stream in self._streams) if one is not None]
        if not found:
            return None
        nearest = self._first(one[0] for one in found)
        bits = 0
        for number, some in found:
            if number == nearest:
                bits |= some
        return nearest, bits


class _Intervals:
    """The items in sorted intervals of ordinals."""

    def __init__(self, intervals: Sequence[Interval], *, descending: bool) -> None:
        self._intervals = intervals
        self._descending = descending

    def at(self, chunk: int) -> tuple[int, int] | None:
        intervals = self._intervals
        start = chunk << CHUNK_BITS
        if self._descending:
            below = [one for one in intervals if one[0] < start + CHUNK_ITEMS]
            if not below:
                return None
            chunk = min(chunk, (below[-1][1] - 1) >> CHUNK_BITS)
        else:
            beyond = [one for one in intervals if one[1] > start]
            if not beyond:
                return None
            chunk = max(chunk, beyond[0][0] >> CHUNK_BITS)
        start = chunk << CHUNK_BITS
        bits = 0
        for low, high in _clipped(intervals, start, start + CHUNK_ITEMS):
            bits |= (1 << high - start) - (1 << low - start)
        return chunk, bits


class Search:
    """A search of one view.

    Raises, in all methods:
        IndexDamaged: a row of the index is missing or has no valid seal.
        LogUnavailable: the database failed.
    """

    def __init__(self, index: IndexStore, view: View) -> None:
        self._reader = Reader(index, view)
        self._runs = view.runs
        self._end = self._ordinal_of_entry(view.size)

    def find(self, conditions: Conditions, *, after: int | None, descending: bool, limit: int) -> list[Place]:
        """Return the first items that fit, beyond the ordinal `after`, in the order of the log or its reverse."""
        low, high = 0, self._end
        if after is not None:
            low, high = (low, min(high, after)) if descending else (after + 1, high)
        ordinals: list[int] = []
        intervals = _clipped(self._intervals(conditions), low, high)
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
        table = self._last_table(run, lambda one: one.start <= index)
        return table.bounds()[index - table.start]

    def _matching(
        self, groups: Sequence[Sequence[bytes]], intervals: Sequence[Interval], *, descending: bool
    ) -> Iterator[tuple[int, int]]:
        """Yield the chunks in which all conditions have items in common, with the bits of these."""
        if not intervals:
            return
        span = (intervals[0][0], intervals[-1][1])
        streams: list[_Stream] = [_Intervals(intervals, descending=descending)]
        for terms in groups:
            some = [_TermStream(self._reader, term, span, descending=descending) for term in terms]
            streams.append(some[0] if len(some) == 1 else _Union(some, descending=descending))
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
            if _first_term(found) == term:
                total += block.rank
            total += items_before(found, term, ordinal)
        return total

    def _intervals(self, conditions: Conditions) -> list[Interval]:
        """Return the intervals of ordinals whose entries are in the time of the search."""
        from_us, until_us = conditions.from_us, conditions.until_us
        if from_us is None and until_us is None:
            return _clipped([(0, self._end)], 0, self._end)
        from_us = 0 if from_us is None else from_us
        until_us = 1 << 63 if until_us is None else until_us
        intervals: list[Interval] = []
        for run in self._runs:
            if from_us <= run.low_us and run.high_us < until_us:
                intervals.append((run.first, run.end))
            elif run.high_us >= from_us and run.low_us < until_us:
                intervals += self._inside(run, from_us, until_us)
        return _clipped(_joined(intervals), 0, self._end)

    def _inside(self, run: Run, from_us: int, until_us: int) -> Iterator[Interval]:
        """Yield the intervals of a run whose entries have times in an interval."""
        if not run.ordered:
            for table in self._tables(run, run.first):
                yield from _timed(table, from_us, until_us)
            return
        # No time is more than the tolerance behind an earlier one. So nothing before `begin` is late enough, everything
        # after `settled` is, and nothing from `end` on is early enough.
        margin = CLOCK_TOLERANCE_US
        begin = self._first_table(run, run.first, lambda one: max(one.times) >= from_us - margin)
        for table in self._tables(run, begin):
            begin = table.bounds()[-1]
            yield from _timed(table, from_us, until_us)
            if min(table.times) >= from_us + margin:
                break
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

    def _last_table(self, run: Run, fits: Callable[[Entries], bool]) -> Entries:
        """Return the last table that fits, if the ones that fit come first. The first one must fit."""
        end = self._first_table(run, run.first, lambda one: not fits(one))
        (block,) = self._reader.covering([(run, key_of(ENTRIES, max(end - 1, run.first)))])
        return self._reader.table(run, block)


def _place(table: Entries, bounds: Sequence[int], ordinal: int) -> Place:
    number = bisect_right(bounds, ordinal) - 1
    return Place(ordinal, table.start + number, ordinal - bounds[number], table.hash_at(number))


def _first_term(found: Entries | list[bytes] | Bits) -> bytes | None:
    if isinstance(found, Entries):
        return None
    if isinstance(found, Bits):
        return found.term
    return found[0][:TERM_BYTES] if found else None


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


def _clipped(intervals: Iterable[Interval], low: int, high: int) -> list[Interval]:
    return [(max(low, one), min(high, other)) for one, other in intervals if max(low, one) < min(high, other)]


def _ordinals(chunk: int, bits: int, *, descending: bool) -> Iterator[int]:
    """Yield the ordinals of bits, in one direction."""
    start = chunk << CHUNK_BITS
    while bits:
        number = (bits if descending else bits & -bits).bit_length() - 1
        yield start + number
        bits ^= 1 << number

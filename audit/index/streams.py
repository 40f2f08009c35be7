"""Streams of the items that fit a condition, chunk by chunk, in the order of the log or its reverse.

A stream is asked for the next chunk from a certain one on, so that it skips the chunks that other conditions exclude.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Protocol

from linewarden.audit.index.blocks import Bits, Entries, chunks_of, records_of
from linewarden.audit.index.format import (
    CHUNK_BITS,
    CHUNK_ITEMS,
    HIGHEST,
    LENGTH_BITS,
    MORE_ITEMS,
    Block,
    Run,
    key_of,
    ordinal_of,
)
from linewarden.audit.index.reader import Reader

#: Blocks that are read at once, at first and at most.
_FIRST_BLOCKS, _MOST_BLOCKS = 4, 64

#: Runs that are looked into at once, at most.
_MOST_RUNS = 64

#: A half-open interval of ordinals.
Interval = tuple[int, int]


class Stream(Protocol):
    """Chunks with the bits of the items that fit a condition, in one direction."""

    def at(self, chunk: int) -> tuple[int, int] | None:
        """Return the next chunk, at `chunk` or beyond, and its bits; None if there is none. Chunks must not go back."""


class TermStream:
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
        """Return the next chunk, at `chunk` or beyond, and its bits; None if there is none."""
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
            probes = [(run, self._probe(run)) for run in runs]
            for run, block in zip(runs, self._reader.covering(probes), strict=True):
                self._read_run(run, block)
                if self._is_settled():
                    return

    def _probe(self, run: Run) -> bytes:
        """Return the highest key in the run of a posting that is next in the direction, if one begins there."""
        last = min(self._at, run.end) - 1 if self._descending else max(self._at, run.first)
        return self._term + ((last << LENGTH_BITS) | MORE_ITEMS).to_bytes(6)

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
        count, self._runs = self._runs, min(self._runs * 4, _MOST_RUNS)
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
                # Bits begin with their chunk, which may begin before the run.
                self._at = max(ordinal_of(edge), run.first)
                if self._is_settled() or not self._is_inside():
                    return
            if self._descending:
                blocks = self._reader.before(run, blocks[-1], key_of(self._term, 0), self._limit)
            else:
                blocks = self._reader.after(run, blocks[-1], self._term + HIGHEST, self._limit)
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


class Union:
    """The items that fit one of several conditions."""

    def __init__(self, streams: Sequence[Stream], *, descending: bool) -> None:
        self._streams = streams
        self._first = max if descending else min

    def at(self, chunk: int) -> tuple[int, int] | None:
        """Return the next chunk, at `chunk` or beyond, and its bits; None if there is none."""
        found = [one for one in (stream.at(chunk) for stream in self._streams) if one is not None]
        if not found:
            return None
        nearest = self._first(one[0] for one in found)
        bits = 0
        for number, some in found:
            if number == nearest:
                bits |= some
        return nearest, bits


class Intervals:
    """The items in sorted intervals of ordinals."""

    def __init__(self, intervals: Sequence[Interval], *, descending: bool) -> None:
        self._intervals = intervals
        self._descending = descending

    def at(self, chunk: int) -> tuple[int, int] | None:
        """Return the next chunk, at `chunk` or beyond, and its bits; None if there is none."""
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
        for low, high in clipped(intervals, start, start + CHUNK_ITEMS):
            bits |= (1 << high - start) - (1 << low - start)
        return chunk, bits


def clipped(intervals: Iterable[Interval], low: int, high: int) -> list[Interval]:
    """Return the parts of intervals that lie between `low` and `high`."""
    return [(max(low, one), min(high, other)) for one, other in intervals if max(low, one) < min(high, other)]

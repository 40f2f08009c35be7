"""Promises of the postings, and of searches over runs that were cut and merged anywhere."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from linewarden.audit.index.blocks import Entries, decode
from linewarden.audit.index.format import CHUNK_ITEMS, HIGHEST, LENGTH_BITS, LOWEST, Block, Run, key_of, slices
from linewarden.audit.index.postings import Postings
from linewarden.audit.index.search import Conditions, Search
from linewarden.audit.index.view import View

TERMS = [bytes([byte]) * 7 for byte in (2, 3, 4, 250)]

#: Ordinals at which runs end, and at which postings begin and end: the borders of chunks, and places beside them.
BORDERS = [CHUNK_ITEMS * n + step for n in (1, 2) for step in (-1, 0, 1)]


class Blocks:
    """Sealed runs without a database."""

    def __init__(self) -> None:
        self.runs: dict[int, list[Block]] = {}

    def covering(self, probes: Sequence[tuple[Run, bytes]]) -> list[Block]:
        """Return the block of each run that covers a key."""
        return [next(one for one in self.runs[run.first] if one.key <= key < one.next) for run, key in probes]

    def blocks(
        self,
        run: Run,
        *,
        low: bytes = LOWEST,
        high: bytes = HIGHEST,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Block]:
        """Return blocks that begin in an interval."""
        found = [one for one in self.runs[run.first] if low <= one.key < high]
        return (found[::-1] if descending else found)[:limit]


class Sample:
    """Terms of random density over three chunks, with ranges that touch the borders of chunks."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.size = 3 * CHUNK_ITEMS - self.random.randrange(50)
        self.items: dict[bytes, set[int]] = {}
        self._ranges: dict[bytes, list[tuple[int, int]]] = {}
        for term in TERMS:
            density = self.random.choice((0.0005, 0.01, 0.3))
            places = {one for one in range(self.size) if self.random.random() < density}
            ranges = [(place, self.random.choice((1, 1, 3))) for place in sorted(places | set(BORDERS))]
            merged: list[tuple[int, int]] = []
            for place, count in ranges:
                if not merged or place >= sum(merged[-1]):
                    merged.append((place, min(count, self.size - place)))
            self._ranges[term] = merged
            self.items[term] = {one for place, count in merged for one in range(place, place + count)}

    def run(self, first: int, end: int) -> tuple[Run, list[Block]]:
        """Return the run of the items from `first` to `end - 1`. Each item is an entry."""
        postings, table = Postings(), Entries(first, first)
        for term, ranges in self._ranges.items():
            inside = [(max(at, first), min(at + count, end)) for at, count in ranges if at < end and at + count > first]
            postings.add_ranges([term], [low << LENGTH_BITS | high - low - 1 for low, high in inside])
        for ordinal in range(first, end):
            table.add(ordinal * 10, 1, ordinal.to_bytes(32))
        return Run(first, end, first, end, first * 10, end * 10 - 10, ordered=True), postings.blocks(
            LOWEST, HIGHEST, packed=self.random.random() < 0.5, entries=table
        )

    def view(self) -> View:
        """Return an index of runs that end anywhere, the last of them in memory."""
        ends = sorted({*self.random.sample(range(1, self.size), 4), *self.random.sample(BORDERS, 2), self.size})
        blocks, runs, last = Blocks(), list[Run](), list[Block]()
        for first, end in pairwise([0, *ends]):
            run, last = self.run(first, end)
            runs.append(run)
            blocks.runs[run.first] = last
        return View(blocks, tuple(runs), tuple(last), self.size)


@pytest.mark.parametrize("seed", range(12))
def test_a_search_finds_what_has_the_terms(seed: int) -> None:
    """Searches in both directions, from any place, find the items that a plain scan finds, and count them."""
    sample = Sample(seed)
    search, some = Search(sample.view()), sample.random
    for _ in range(25):
        groups = [tuple(some.sample(TERMS, some.choice((1, 1, 2)))) for _ in range(some.choice((1, 1, 2)))]
        wanted = set(range(sample.size))
        for group in groups:
            wanted &= set().union(*(sample.items[term] for term in group))
        from_us = some.choice((None, 10 * some.choice(BORDERS), some.randrange(10 * sample.size)))
        until_us = some.choice((None, 10 * some.choice(BORDERS), some.randrange(10 * sample.size)))
        conditions = Conditions(tuple(groups), from_us, until_us)
        fits = {one for one in wanted if (from_us or 0) <= 10 * one < (until_us or 1 << 60)} if until_us != 0 else set()
        assert search.count(conditions) == len(fits)
        descending, after = some.random() < 0.5, some.choice((None, some.choice(BORDERS), some.randrange(sample.size)))
        beyond = [one for one in fits if after is None or (one < after if descending else one > after)]
        expected = sorted(beyond, reverse=descending)
        limit = some.choice((1, 30, len(expected) + 1))
        found = search.find(conditions, after=after, descending=descending, limit=limit)
        assert [place.ordinal for place in found] == expected[:limit]
        assert all(place.entry == place.ordinal and place.leaf == place.entry.to_bytes(32)[:12] for place in found)


@pytest.mark.parametrize("seed", range(4))
def test_merged_runs_have_the_postings_of_their_parts(seed: int) -> None:
    """The blocks of a merged run are those of the run that was made at once, in whatever slices they were merged."""
    sample = Sample(seed)
    ends = [0, *sorted(sample.random.sample(range(1, sample.size), 5)), sample.size]
    parts = [sample.run(first, end)[1] for first, end in pairwise(ends)]
    merged: list[Block] = []
    for low, high in slices(sample.random.choice((1, 4, 16))):
        postings, table = Postings(), Entries(0, 0) if low == LOWEST else None
        for block in (one for part in parts for one in part if one.key < high and one.next > low):
            found = decode(block)
            if not isinstance(found, Entries):
                postings.add_block(found, low, high)
            elif table is not None:
                table.extend(found)
        merged += postings.blocks(low, high, packed=True, entries=table)
    assert all(one.next == other.key for one, other in pairwise(merged))
    run = Run(0, sample.size, 0, sample.size, 0, sample.size * 10 - 10, ordered=True)
    blocks = Blocks()
    blocks.runs[0] = merged
    search = Search(View(blocks, (run,), (), sample.size))
    for term in TERMS:
        places = search.find(Conditions(((term,),)), after=None, descending=False, limit=sample.size)
        assert {place.ordinal for place in places} == sample.items[term]
        assert search.count(Conditions(((term,),), until_us=10 * CHUNK_ITEMS)) == sum(
            one < CHUNK_ITEMS for one in sample.items[term]
        )


def test_keys_are_in_the_order_of_term_and_place() -> None:
    """The key of a later place, or of a greater term, is greater."""
    keys = [key_of(term, ordinal) for term in TERMS for ordinal in (0, 1, CHUNK_ITEMS, (1 << 38) - 1)]
    assert keys == sorted(keys)
    assert all(LOWEST < key < HIGHEST for key in keys)

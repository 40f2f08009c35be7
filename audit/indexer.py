"""Filling the index of the logs, from entries that were verified.

An entry goes into the index after it was found to be a leaf of the tree: the sealed root of its tile, or the sealed
head, covers it. An entry that is missing, or is not the one that was hashed, becomes a posting of DAMAGED, so that each
search over its place shows that it may be incomplete.

Several processes may fill one index: of two runs with the same entries one is stored.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from linewarden.audit import entry as entries
from linewarden.audit.directory import Directory
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.fields import Collector, ItemTerms
from linewarden.audit.keyring import Keyring
from linewarden.audit.model import Head
from linewarden.audit.postings import (
    DAMAGED,
    HIGHEST,
    LENGTH_BITS,
    LOWEST,
    Block,
    Entries,
    Postings,
    Run,
    decode,
    slices,
)
from linewarden.audit.store.append import CLOCK_TOLERANCE_US
from linewarden.audit.store.index import IndexDamaged, IndexStore
from linewarden.audit.store.log import LogStore
from linewarden.audit.tiles import TILE_WIDTH
from linewarden.audit.verified import Leaf, VerifiedEntries

#: Entries that become one run.
STEP = 16 * TILE_WIDTH

#: Entries that a search reads from the log itself, because writing them to the index takes longer.
TAIL = 128

#: Entries that a search indexes before it answers for fewer than it was asked for: so few that it stays within the
#: time of a request also on a slow machine.
SEARCH_STEPS = STEP

#: Sizes of runs in items. Runs that are smaller than one of these are merged when together they reach it.
SIZES = (1 << 18, 1 << 14, 1 << 10, 1 << 6, 1 << 3)

#: The largest run that a search makes by merging. Larger ones are left to the background.
_SEARCH_MERGES = 1 << 11

#: The smallest run that is compressed.
_PACKED = SIZES[0]

#: Items that are merged at once. It bounds the memory.
_SLICE_ITEMS = 1 << 15


class View(NamedTuple):
    """The index of a log for one search: its runs, and the blocks of a last run that is only in memory.

    `size` is the number of entries that the search covers.
    """

    log: int
    generation: int
    runs: tuple[Run, ...]
    memory: tuple[Block, ...]
    size: int

    @property
    def stored(self) -> tuple[Run, ...]:
        """The runs that are in the database."""
        return self.runs[:-1] if self.memory else self.runs


class Indexer:
    """The writer of the index."""

    def __init__(
        self, log: LogStore, source: VerifiedEntries, index: IndexStore, directory: Directory, keyring: Keyring
    ) -> None:
        self._log = log
        self._source = source
        self._index = index
        self._terms = ItemTerms(directory, keyring)

    def catch_up(
        self,
        log_id: int,
        size: int,
        *,
        at_least: int = 1,
        at_most: int | None = None,
        largest_merge: int = 2 * SIZES[0],
    ) -> int:
        """Index the log up to `size` entries or more, or about `at_most` more. Return how many are indexed.

        Nothing is indexed if fewer than `at_least` entries are behind. Runs are merged to runs of at most
        `largest_merge` items.

        Raises:
            LogUnavailable: a database failed.
        """
        head = self._log.verified_head(log_id)
        runs = self._runs(head)
        indexed = _stop(runs)
        end = size if at_most is None else min(size, indexed + at_most)
        if end - indexed < at_least:
            return indexed
        while indexed < end:
            run, blocks = self._next(head, runs)
            self._index.put(log_id, head.generation, run, blocks)
            runs = self._merged(head, self._runs(head), largest_merge)
            indexed = _stop(runs)
        return indexed

    def view(self, log_id: int, size: int) -> View:
        """Return the index for a search over the first `size` entries, or over fewer if it is far behind.

        Raises:
            LogUnavailable: a database failed.
        """
        head = self._log.verified_head(log_id)
        runs = self._runs(head)
        if size - _stop(runs) > TAIL:
            self.catch_up(log_id, size, at_most=SEARCH_STEPS, largest_merge=_SEARCH_MERGES)
            head = self._log.verified_head(log_id)
            runs = self._runs(head)
        memory: tuple[Block, ...] = ()
        if 0 < size - _stop(runs) <= TAIL:
            run, blocks = self._next(head, runs)
            runs.append(run)
            memory = tuple(blocks)
        return View(log_id, head.generation, tuple(runs), memory, min(size, _stop(runs)))

    def forget(self, log_id: int) -> None:
        """Delete the index of a log, because it is wrong.

        Raises:
            LogUnavailable: the database failed.
        """
        self._index.forget(log_id)

    def _runs(self, head: Head) -> list[Run]:
        """Return the runs of a log. An index that is damaged, or is of another state of the log, is deleted first."""
        try:
            runs = self._index.runs(head.log, head.generation)
            # The log may have grown, and been indexed by another process, after the head was read.
            if _stop(runs) <= head.size or _stop(runs) <= self._log.verified_head(head.log).size:
                return runs
            damage = IndexDamaged("the index has more entries than the log")
        except IndexDamaged as error:
            damage = error
        self._discard(head.log, damage)
        return []

    def renew(self, log_id: int, damage: IndexDamaged, seen: Sequence[Run]) -> None:
        """Report that the index of a log is damaged, and delete it. The next search or round fills it again.

        Do neither if its stored runs are no longer those `seen`: to a search that began before, a merge of another
        process looks like damage.

        Raises:
            LogUnavailable: the database failed.
        """
        if self._runs(self._log.verified_head(log_id)) == list(seen):
            self._discard(log_id, damage)

    def _discard(self, log_id: int, damage: IndexDamaged) -> None:
        self._index.on_event("index_damaged", damage)
        self._index.forget(log_id)

    def _next(self, head: Head, runs: Sequence[Run]) -> tuple[Run, list[Block]]:
        """Return the run after the last one, and its blocks."""
        first, start = (runs[-1].end, runs[-1].stop) if runs else (0, 0)
        stop = min((start + STEP) // TILE_WIDTH * TILE_WIDTH, head.size)
        leaves = self._source.read(head, start, stop)
        decoded = [_decoded(leaf) for leaf in leaves]
        terms = self._terms.of(head.log)
        terms.prepare([entry for entry in decoded if entry is not None])
        table, collector, ordinal = Entries(start, first), Collector(), first
        latest = runs[-1].high_us if runs else 0
        is_ordered = True
        for leaf, entry in zip(leaves, decoded, strict=True):
            if entry is None:
                collector.ranges[DAMAGED].append(ordinal << LENGTH_BITS)
                table.add(latest, 1, bytes(len(leaf.digest)))
                ordinal += 1
                continue
            count = terms.collect(entry, ordinal, collector)
            time_us = entry["time"]
            is_ordered &= time_us >= latest - CLOCK_TOLERANCE_US
            latest = max(latest, time_us)
            table.add(time_us, count, leaf.digest)
            ordinal += count
        run = Run(first, ordinal, start, stop, min(table.times), max(table.times), is_ordered)
        return run, collector.postings(terms.group_terms).blocks(LOWEST, HIGHEST, packed=False, entries=table)

    def _merged(self, head: Head, runs: list[Run], largest: int) -> list[Run]:
        """Merge the runs that are due, and return the runs after it."""
        while due := _due(runs, largest):
            run = _joined(due)
            try:
                blocks = list(self._merge(head, run, due))
            except IndexDamaged as damage:
                self.renew(head.log, damage, runs)
                return self._runs(head)
            self._index.put(head.log, head.generation, run, blocks, due)
            runs = self._runs(head)
        return runs

    def _merge(self, head: Head, run: Run, due: Sequence[Run]) -> Iterator[Block]:
        count = 1 << max(run.items // _SLICE_ITEMS, 1).bit_length() - 1
        for low, high in slices(count):
            postings, table = Postings(), Entries(run.start, run.first) if low == LOWEST else None
            for one in due:
                for block in self._blocks(head, one, low, high):
                    found = decode(block)
                    if not isinstance(found, Entries):
                        postings.add_block(found, low, high)
                    elif table is not None:
                        table.extend(found)
            yield from postings.blocks(low, high, packed=run.items >= _PACKED, entries=table)

    def _blocks(self, head: Head, run: Run, low: bytes, high: bytes) -> Iterator[Block]:
        """Yield the blocks of a run whose intervals overlap the one from `low` up to `high`."""
        (first,) = self._index.covering(head.log, head.generation, [(run, low)])
        others = self._index.blocks(head.log, head.generation, run, low=first.next, high=high)
        found = [first, *others]
        if any(one.next != other.key for one, other in pairwise(found)) or found[-1].next < high:
            raise IndexDamaged("a block of the index is missing")
        yield from found


def _stop(runs: Sequence[Run]) -> int:
    return runs[-1].stop if runs else 0


def _decoded(leaf: Leaf) -> dict[str, Any] | None:
    try:
        return None if leaf.entry is None else entries.decode(leaf.entry)
    except VerificationFailed:
        return None


def _due(runs: Sequence[Run], largest: int) -> Sequence[Run]:
    """Return the last runs that together reach a size that none of them has; the largest such size first."""
    for size in SIZES:
        start, items = len(runs), 0
        while start and runs[start - 1].items < size:
            start -= 1
            items += runs[start].items
        if size <= items <= largest:
            return runs[start:]
    return ()


def _joined(runs: Sequence[Run]) -> Run:
    """Return the run that consecutive runs become."""
    is_ordered, latest = True, 0
    for run in runs:
        is_ordered &= run.ordered and run.low_us >= latest - CLOCK_TOLERANCE_US
        latest = max(latest, run.high_us)
    low_us = min(run.low_us for run in runs)
    return Run(runs[0].first, runs[-1].end, runs[0].start, runs[-1].stop, low_us, latest, is_ordered)

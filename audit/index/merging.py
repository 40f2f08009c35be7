"""Merging the runs of an index to larger ones, so that a search looks into few."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from linewarden.audit.index.blocks import Entries, decode
from linewarden.audit.index.errors import IndexDamaged
from linewarden.audit.index.format import LOWEST, Block, Run, slices
from linewarden.audit.index.postings import Postings
from linewarden.audit.index.view import StoredBlocks
from linewarden.audit.store.append import CLOCK_TOLERANCE_US

#: Sizes of runs in items. Runs that are smaller than one of these are merged when together they reach it.
SIZES = (1 << 18, 1 << 14, 1 << 10, 1 << 6, 1 << 3)

#: The smallest run that is compressed.
_PACKED = SIZES[1]

#: Items that are merged at once. It bounds the memory.
_SLICE_ITEMS = 1 << 15


def due(runs: Sequence[Run], largest: int) -> Sequence[Run]:
    """Return the last runs that together reach a size that none of them has; the largest such size first."""
    for size in SIZES:
        start, items = len(runs), 0
        while start and runs[start - 1].items < size:
            start -= 1
            items += runs[start].items
        if size <= items <= largest:
            return runs[start:]
    return ()


def joined(runs: Sequence[Run]) -> Run:
    """Return the run that consecutive runs become."""
    is_ordered, latest = True, 0
    for run in runs:
        is_ordered &= run.ordered and run.low_us >= latest - CLOCK_TOLERANCE_US
        latest = max(latest, run.high_us)
    low_us = min(run.low_us for run in runs)
    return Run(runs[0].first, runs[-1].end, runs[0].start, runs[-1].stop, low_us, latest, is_ordered)


def merged(index: StoredBlocks, run: Run, parts: Sequence[Run]) -> Iterator[Block]:
    """Yield the blocks of the run that its parts become.

    Raises:
        IndexDamaged: a block is missing, or is not one that the service wrote.
        LogUnavailable: the database failed.
    """
    count = 1 << max(run.items // _SLICE_ITEMS, 1).bit_length() - 1
    for low, high in slices(count):
        postings, table = Postings(), Entries(run.start, run.first) if low == LOWEST else None
        for block in (block for part in parts for block in _overlapping(index, part, low, high)):
            found = decode(block)
            if not isinstance(found, Entries):
                postings.add_block(found, low, high)
            elif table is not None:
                table.extend(found)
        yield from postings.blocks(low, high, packed=run.items >= _PACKED, entries=table)


def _overlapping(index: StoredBlocks, run: Run, low: bytes, high: bytes) -> Sequence[Block]:
    """Return the blocks of a run whose intervals overlap the one from `low` up to `high`."""
    (first,) = index.covering([(run, low)])
    found = [first, *index.blocks(run, low=first.next, high=high)]
    if any(one.next != other.key for one, other in pairwise(found)) or found[-1].next < high:
        raise IndexDamaged("a block of the index is missing")
    return found

"""Making a run from entries that were verified.

An entry goes into the index after it was found to be a leaf of the tree: the sealed root of its tile, or the sealed
head, covers it. An entry that is missing, or is not the one that was hashed, becomes a posting of DAMAGED, so that each
search over its place shows that it may be incomplete.
"""

from collections.abc import Sequence
from typing import Any

from linewarden.audit import entry as entries
from linewarden.audit.directory import Directory
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.index.blocks import Entries
from linewarden.audit.index.fields import Collector, ItemTerms
from linewarden.audit.index.format import DAMAGED, HIGHEST, LENGTH_BITS, LOWEST, Block, Run
from linewarden.audit.keyring import Keyring
from linewarden.audit.model import Head
from linewarden.audit.store.append import CLOCK_TOLERANCE_US
from linewarden.audit.tiles import TILE_WIDTH
from linewarden.audit.verified import Leaf, VerifiedEntries

#: Entries that become one run.
STEP = 16 * TILE_WIDTH


class RunBuilder:
    """The maker of runs, of all logs."""

    def __init__(self, source: VerifiedEntries, directory: Directory, keyring: Keyring) -> None:
        self._source = source
        self._terms = ItemTerms(directory, keyring)

    def next(self, head: Head, runs: Sequence[Run]) -> tuple[Run, list[Block]]:
        """Return the run after the last one, and its blocks.

        Raises:
            LogUnavailable: the database failed.
        """
        first, start = (runs[-1].end, runs[-1].stop) if runs else (0, 0)
        stop = min((start + STEP) // TILE_WIDTH * TILE_WIDTH, head.size)
        leaves = self._source.leaves(head, start, stop)
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


def _decoded(leaf: Leaf) -> dict[str, Any] | None:
    try:
        return None if leaf.entry is None else entries.decode(leaf.entry)
    except VerificationFailed:
        return None

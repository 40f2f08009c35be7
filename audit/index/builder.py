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
from linewarden.audit.index.fields import Collector, ItemTerms, LogTerms
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
        making = _Making(self._terms.of(head.log), Entries(start, first), runs[-1].high_us if runs else 0)
        for leaves in self._source.leaves(head, start, stop):
            making.add(leaves)
        return making.finished(stop)


class _Making:
    """A run while entries are added to it. `latest_us` is the latest time so far."""

    def __init__(self, terms: LogTerms, table: Entries, latest_us: int) -> None:
        self._terms = terms
        self._table = table
        self._latest_us = latest_us
        self._collector = Collector()
        self._is_ordered = True
        self._ordinal = table.first

    def add(self, leaves: Sequence[Leaf]) -> None:
        """Add entries. Each is decoded and dropped, because decoded ones that stay cost the collector of garbage."""
        for number, leaf in enumerate(leaves):
            entry = _decoded(leaf)
            if entry is None:
                self._collector.postings.add(DAMAGED, self._ordinal << LENGTH_BITS)
                self._note(self._latest_us, 1, bytes(len(leaf.digest)))
                continue
            if not self._terms.is_ready(entry):
                following = (_decoded(one) for one in leaves[number:])
                self._terms.prepare(one for one in following if one is not None)
            count = self._terms.collect(entry, self._ordinal, self._collector)
            self._note(entry["time"], count, leaf.digest)

    def finished(self, stop: int) -> tuple[Run, list[Block]]:
        """Return the run, which has the entries before `stop`, and its blocks."""
        table = self._table
        times = min(table.times), max(table.times)
        run = Run(table.first, self._ordinal, table.start, stop, *times, self._is_ordered)
        postings = self._terms.finish(self._collector)
        return run, postings.blocks(LOWEST, HIGHEST, packed=False, entries=table)

    def _note(self, time_us: int, count: int, digest: bytes) -> None:
        self._is_ordered &= time_us >= self._latest_us - CLOCK_TOLERANCE_US
        self._latest_us = max(self._latest_us, time_us)
        self._table.add(time_us, count, digest)
        self._ordinal += count


def _decoded(leaf: Leaf) -> dict[str, Any] | None:
    try:
        return None if leaf.entry is None else entries.decode(leaf.entry)
    except VerificationFailed:
        return None

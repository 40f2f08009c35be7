"""Filling the index of the logs.

Several processes may fill one index: of two runs with the same entries one is stored.
"""

from collections.abc import Sequence

from linewarden.audit.directory import Directory
from linewarden.audit.index.builder import STEP, RunBuilder
from linewarden.audit.index.errors import IndexDamaged
from linewarden.audit.index.format import Block, Run
from linewarden.audit.index.merging import SIZES, due, joined, merged
from linewarden.audit.index.view import View
from linewarden.audit.keyring import Keyring
from linewarden.audit.model import Head
from linewarden.audit.store.index import IndexStore
from linewarden.audit.store.log import LogStore
from linewarden.audit.verified import VerifiedEntries

#: Entries that a search reads from the log itself, because writing them to the index takes longer.
TAIL = 128

#: Entries that a search indexes before it answers for fewer than it was asked for: so few that it stays within the
#: time of a request also on a slow machine.
SEARCH_STEPS = STEP

#: The largest run that a search makes by merging. Larger ones are left to the background.
_SEARCH_MERGES = 1 << 11


class Indexer:
    """The writer of the index."""

    def __init__(
        self, log: LogStore, source: VerifiedEntries, index: IndexStore, directory: Directory, keyring: Keyring
    ) -> None:
        self._log = log
        self._index = index
        self._builder = RunBuilder(source, directory, keyring)

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
        indexed = self._opened(log_id)
        end = size if at_most is None else min(size, indexed.stop + at_most)
        if end - indexed.stop >= at_least:
            while indexed.stop < end:
                indexed.extend(largest_merge)
        return indexed.stop

    def view(self, log_id: int, size: int) -> View:
        """Return the index for a search over the first `size` entries, or over fewer if it is far behind.

        Raises:
            LogUnavailable: a database failed.
        """
        indexed = self._opened(log_id)
        if size - indexed.stop > TAIL:
            self.catch_up(log_id, size, at_most=SEARCH_STEPS, largest_merge=_SEARCH_MERGES)
            indexed = self._opened(log_id)
        return indexed.view(size)

    def renew(self, log_id: int, damage: IndexDamaged, seen: Sequence[Run]) -> bool:
        """Report that the index of a log is damaged, and delete it. The next search or round fills it again.

        Do neither, and return False, if its stored runs are no longer those `seen`: to a search that began before, a
        merge of another process looks like damage.

        Raises:
            LogUnavailable: the database failed.
        """
        return self._opened(log_id).renew(damage, seen)

    def _opened(self, log_id: int) -> "IndexedLog":
        return IndexedLog(self._log, self._index, self._builder, self._log.verified_head(log_id))


class IndexedLog:
    """A log as it was at one head, and the runs of its index."""

    def __init__(self, log: LogStore, index: IndexStore, builder: RunBuilder, head: Head) -> None:
        self._log = log
        self._store = index
        self._builder = builder
        self._head = head
        self._index = index.of(head.log, head.generation)
        self._runs = self._read()

    @property
    def stop(self) -> int:
        """The number of indexed entries."""
        return _stop(self._runs)

    def extend(self, largest_merge: int) -> None:
        """Add the next run, and merge the runs that are due."""
        self._put(*self._builder.next(self._head, self._runs))
        while parts := due(self._runs, largest_merge):
            self._merge(parts)

    def view(self, size: int) -> View:
        """Return what a search over `size` entries needs."""
        runs, memory = self._runs, list[Block]()
        if 0 < size - self.stop <= TAIL:
            run, memory = self._builder.next(self._head, runs)
            runs = [*runs, run]
        return View(self._index, tuple(runs), tuple(memory), min(size, _stop(runs)))

    def renew(self, damage: IndexDamaged, seen: Sequence[Run]) -> bool:
        """Discard the index if its runs are those `seen`. Return whether they are."""
        if self._runs != list(seen):
            return False
        self._index.discard(damage)
        return True

    def _read(self) -> list[Run]:
        """Return the runs. An index that is damaged, or is of another state of the log, is deleted first."""
        try:
            return self._read_once()
        except IndexDamaged:
            # The log may have grown or been recovered, and been indexed by another process, after the head was read.
            self._head = self._log.verified_head(self._head.log)
            self._index = self._store.of(self._head.log, self._head.generation)
        try:
            return self._read_once()
        except IndexDamaged as damage:
            self._index.discard(damage)
            return []

    def _read_once(self) -> list[Run]:
        runs = self._index.runs()
        if _stop(runs) > self._head.size:
            raise IndexDamaged("the index has more entries than the log")
        return runs

    def _merge(self, parts: Sequence[Run]) -> None:
        run, before = joined(parts), self._runs
        try:
            blocks = list(merged(self._index, run, parts))
        except IndexDamaged as damage:
            self._runs = self._read()
            self.renew(damage, before)
            self._runs = self._read()
        else:
            self._put(run, blocks)

    def _put(self, run: Run, blocks: Sequence[Block]) -> None:
        """Store a run. Read the runs again if another process changed them."""
        if self._index.put(run, blocks, self._runs):
            self._runs = [*(one for one in self._runs if one.end <= run.first), run]
        else:
            self._runs = self._read()


def _stop(runs: Sequence[Run]) -> int:
    return runs[-1].stop if runs else 0

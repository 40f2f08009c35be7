"""The runs and blocks of the search index, each sealed.

A seal is a MAC under a key that is not in the database. It binds a block to its run and to its interval of keys, so
whoever can write the database cannot change, move or invent a block. The runs of a log have to follow each other, and
the intervals of the blocks of a run too, so a missing row is noticed by the search that would have needed it. An older
row with a valid seal says the same as before, because a run never changes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hmac import compare_digest
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.index.errors import IndexDamaged
from linewarden.audit.index.format import HIGHEST, LOWEST, Block, Run
from linewarden.audit.keyring import RowMac
from linewarden.audit.store.index_database import INDEX_DAMAGED, IndexDatabase
from linewarden.audit.store.index_file import octets, whole
from linewarden.audit.store.index_tables import BLOCK_COLUMNS, LOOKUPS, PROBES, RUN_COLUMNS, index_block, index_run

_SEAL_BYTES = 16


def delete(database: IndexDatabase, log_id: int) -> None:
    """Delete the index of a log.

    Raises:
        LogUnavailable: the database failed.
    """
    with database.writing() as connection:
        # A run that another process adds at this moment must not stay alone.
        connection.execute(sa.select(index_run.c.first).where(index_run.c.log == log_id).with_for_update()).all()
        for table in (index_block, index_run):
            connection.execute(sa.delete(table).where(table.c.log == log_id))


class LogIndex:
    """The index of one generation of one log. Rows are sealed with `row_mac`.

    `on_event` is called with INDEX_DAMAGED and the damage before the index is deleted.
    """

    def __init__(
        self,
        database: IndexDatabase,
        row_mac: RowMac,
        on_event: Callable[[str, BaseException], None],
        log_id: int,
        generation: int,
    ) -> None:
        self._database = database
        self._mac = row_mac
        self._on_event = on_event
        self._log = log_id
        self._generation = generation

    def runs(self) -> list[Run]:
        """Return the runs in their order. They cover the entries from the first one on.

        Raises:
            IndexDamaged: a run is missing, or is not one that the service wrote in this generation of the log.
            LogUnavailable: the database failed.
        """
        query = sa.select(*RUN_COLUMNS).where(index_run.c.log == self._log).order_by(index_run.c.first)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            runs = [self._opened_run(row) for row in rows]
        ends = [(0, 0), *((run.end, run.stop) for run in runs)]
        if any((run.first, run.start) != end for run, end in zip(runs, ends, strict=False)):
            raise IndexDamaged("a run of the index is missing")
        return runs

    def put(self, run: Run, blocks: Iterable[Block], seen: Sequence[Run]) -> bool:
        """Store a run after the runs that the caller has seen, or in the place of the last ones, merged to it.

        Return False if another process changed the runs meanwhile.

        Raises:
            LogUnavailable: the database failed.
        """
        rows = [
            {
                "log": self._log, "run": run.first, "key": block.key, "next": block.next, "rank": block.rank,
                "body": block.body, "seal": self._block_seal(run, block),
            }
            for block in blocks
        ]  # fmt: skip
        try:
            with self._database.writing() as connection:
                if not self._are_as_seen(connection, [one for one in seen if one.end >= run.first]):
                    return False
                for table, first in ((index_block, index_block.c.run), (index_run, index_run.c.first)):
                    connection.execute(sa.delete(table).where(table.c.log == self._log, first >= run.first))
                connection.execute(sa.insert(index_run), self._row_of(run))
                connection.execute(sa.insert(index_block), rows)
                return True
        except LogUnavailable as fault:
            if isinstance(fault.__cause__, IntegrityError):  # two processes added the same run
                return False
            raise

    def _row_of(self, run: Run) -> dict[str, object]:
        fields = {**run._asdict(), "ordered": int(run.ordered)}
        return {"log": self._log, **fields, "seal": self._run_seal(run)}

    def _are_as_seen(self, connection: sa.Connection, last: Sequence[Run]) -> bool:
        """Return whether the stored runs end with these, and have this generation. They stay so until the end."""
        beyond = index_run.c.end >= (last[0].end if last else 0)
        query = sa.select(index_run.c.seal).where(index_run.c.log == self._log, beyond).order_by(index_run.c.first)
        # PostgreSQL locks the rows, so that two processes never replace them both. SQLite has one writer.
        query = query.with_for_update()
        return [octets(seal) for seal in connection.scalars(query)] == [self._run_seal(one) for one in last]

    def discard(self, damage: IndexDamaged) -> None:
        """Report that the index is damaged, or belongs to another log, and delete it.

        Raises:
            LogUnavailable: the database failed.
        """
        self._on_event(INDEX_DAMAGED, damage)
        delete(self._database, self._log)

    def covering(self, probes: Sequence[tuple[Run, bytes]]) -> list[Block]:
        """Return for each run and key the block in whose interval the key lies.

        Raises:
            IndexDamaged: a block is missing, or is not one that the service wrote.
            LogUnavailable: the database failed.
        """
        with self._database.reading() as connection:
            parts = (probes[at : at + PROBES[-1]] for at in range(0, len(probes), PROBES[-1]))
            return [block for part in parts for block in self._covering(connection, part)]

    def _covering(self, connection: sa.Connection, probes: Sequence[tuple[Run, bytes]]) -> Iterator[Block]:
        count = next(count for count in PROBES if count >= len(probes))
        values: dict[str, object] = {"log": self._log}
        for n in range(count):
            run, key = probes[min(n, len(probes) - 1)]
            values |= {f"n{n}": n, f"r{n}": run.first, f"k{n}": key}
        rows = {number: row for number, *row in connection.execute(LOOKUPS[count], values)}
        for n, (run, key) in enumerate(probes):
            block = self._opened(run, rows[n]) if n in rows else None
            if block is None or not block.key <= key < block.next:
                raise IndexDamaged("a block of the index is missing")
            yield block

    def blocks(
        self,
        run: Run,
        *,
        low: bytes = LOWEST,
        high: bytes = HIGHEST,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Block]:
        """Return the blocks of a run that begin from `low` up to `high`, exclusive: the first ones, or the last ones.

        Raises:
            IndexDamaged: a block between two of them is missing, or one is not one that the service wrote.
            LogUnavailable: the database failed.
        """
        key = index_block.c.key
        query = (
            sa.select(*BLOCK_COLUMNS)
            .where(index_block.c.log == self._log, index_block.c.run == run.first, key >= low, key < high)
            .order_by(key.desc() if descending else key)
            .limit(limit)
        )
        with self._database.reading() as connection:
            found = [self._opened(run, row) for row in connection.execute(query)]
        for one, other in pairwise(found):
            if (other.next != one.key) if descending else (one.next != other.key):
                raise IndexDamaged("a block of the index is missing")
        return found

    def _opened_run(self, row: Sequence[Any]) -> Run:
        *numbers, ordered, seal = row
        first, end, start, stop, low_us, high_us = map(whole, numbers)
        run = Run(first, end, start, stop, low_us, high_us, bool(ordered))
        if not compare_digest(self._run_seal(run), octets(seal)):
            raise IndexDamaged("a run of the index has no valid seal")
        return run

    def _opened(self, run: Run, row: Sequence[object]) -> Block:
        block = Block(octets(row[0]), octets(row[1]), whole(row[2]), octets(row[3]))
        if not compare_digest(self._block_seal(run, block), octets(row[4])):
            raise IndexDamaged("a block of the index has no valid seal")
        return block

    def _run_seal(self, run: Run) -> bytes:
        return self._mac.mac(b"index run", (self._log, self._generation, *run))[:_SEAL_BYTES]

    def _block_seal(self, run: Run, block: Block) -> bytes:
        fields = (self._log, self._generation, *run, len(block.key), len(block.next), block.rank)
        return self._mac.mac(b"index block", fields, block.key + block.next + block.body)[:_SEAL_BYTES]

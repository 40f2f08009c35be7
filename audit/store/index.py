"""The runs and blocks of the search index, each sealed.

A seal is a MAC under a key that is not in the database. It binds a block to its run and to its interval of keys, so
whoever can write the database cannot change, move or invent a block. The runs of a log have to follow each other, and
the intervals of the blocks of a run too, so a missing row is noticed by the search that would have needed it. An older
row with a valid seal says the same as before, because a run never changes.
"""

from collections.abc import Callable, Iterable, Sequence
from hmac import compare_digest
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.keyring import RowMac
from linewarden.audit.postings import HIGHEST, LOWEST, Block, Run
from linewarden.audit.store.index_database import IndexDatabase, metadata
from linewarden.audit.store.index_file import octets, whole
from linewarden.audit.store.schema import BigInt

#: To be raised when the tables change. An index of another version is dropped and filled again.
INDEX_VERSION = 3

#: Tables of earlier versions.
_FORMER = ("index_access", "index_person", "index_node", "index_mark")

_SEAL_BYTES = 16

_run = sa.Table(
    "index_run",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("first", BigInt, primary_key=True, autoincrement=False, comment="the first ordinal"),
    sa.Column("end", BigInt, nullable=False),
    sa.Column("start", BigInt, nullable=False, comment="the first entry"),
    sa.Column("stop", BigInt, nullable=False),
    sa.Column("low_us", BigInt, nullable=False),
    sa.Column("high_us", BigInt, nullable=False),
    sa.Column("ordered", BigInt, nullable=False),
    sa.Column("seal", sa.LargeBinary, nullable=False),
)

_block = sa.Table(
    "index_block",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("run", BigInt, primary_key=True, autoincrement=False, comment="the first ordinal of the run"),
    sa.Column("key", sa.LargeBinary, primary_key=True, comment="the first key of the interval"),
    sa.Column("next", sa.LargeBinary, nullable=False, comment="the first key after the interval"),
    sa.Column("rank", BigInt, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="see `postings`"),
    sa.Column("seal", sa.LargeBinary, nullable=False),
)

_RUN_COLUMNS = tuple(_run.c[name] for name in (*Run._fields, "seal"))
_BLOCK_COLUMNS = tuple(_block.c[name] for name in ("key", "next", "rank", "body", "seal"))

#: Keys that one statement looks up. Fewer are repeated up to one of these numbers, so that few statements are compiled.
_PROBES = (1, 4, 16, 64)


class IndexDamaged(LogUnavailable):
    """A row of the index is not one that the service wrote, or is missing. The index of the log is to be made anew."""


class IndexStore:
    """The index of all logs. Rows are sealed with `row_mac`."""

    def __init__(
        self,
        engine: sa.Engine,
        row_mac: RowMac,
        on_event: Callable[[str, BaseException], None] = lambda _event, _error: None,
    ) -> None:
        self._database = IndexDatabase(engine, INDEX_VERSION, _FORMER, on_event)
        self._mac = row_mac
        self._lookups = {count: _lookup(count) for count in _PROBES}
        self.on_event = on_event

    def close(self) -> None:
        """Close the store, which cannot be used again."""
        self._database.close()

    def prepare(self) -> None:
        """Create the tables. Drop those of another version.

        Raises:
            LogUnavailable: the database failed.
        """
        self._database.prepare()

    def runs(self, log_id: int, generation: int) -> list[Run]:
        """Return the runs of a log in their order. They cover its entries from the first one on.

        Raises:
            IndexDamaged: a run is missing, or is not one that the service wrote in this generation of the log.
            LogUnavailable: the database failed.
        """
        query = sa.select(*_RUN_COLUMNS).where(_run.c.log == log_id).order_by(_run.c.first)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            runs = [self._opened_run(log_id, generation, row) for row in rows]
        ends = [(0, 0), *((run.end, run.stop) for run in runs)]
        if any((run.first, run.start) != end for run, end in zip(runs, ends, strict=False)):
            raise IndexDamaged("a run of the index is missing")
        return runs

    def put(
        self, log_id: int, generation: int, run: Run, blocks: Iterable[Block], replaced: Sequence[Run] = ()
    ) -> bool:
        """Store a run in the place of the runs that were merged to it, or after the last one.

        Return False if another process changed the runs meanwhile.

        Raises:
            LogUnavailable: the database failed.
        """
        rows = [
            {
                "log": log_id, "run": run.first, "key": block.key, "next": block.next, "rank": block.rank,
                "body": block.body, "seal": self._block_seal(log_id, generation, run, block),
            }
            for block in blocks
        ]  # fmt: skip
        own = {"log": log_id, **run._asdict(), "ordered": int(run.ordered)}
        own["seal"] = self._run_seal(log_id, generation, run)
        try:
            with self._database.writing() as connection:
                if not self._are_as_expected(connection, log_id, run, replaced):
                    return False
                for one in replaced:
                    connection.execute(sa.delete(_block).where(_block.c.log == log_id, _block.c.run == one.first))
                    connection.execute(sa.delete(_run).where(_run.c.log == log_id, _run.c.first == one.first))
                connection.execute(sa.insert(_run), own)
                connection.execute(sa.insert(_block), rows)
                return True
        except LogUnavailable as fault:
            if isinstance(fault.__cause__, IntegrityError):  # two processes added the same run
                return False
            raise

    @staticmethod
    def _are_as_expected(connection: sa.Connection, log_id: int, run: Run, replaced: Sequence[Run]) -> bool:
        columns = (_run.c.first, _run.c.end)
        query = sa.select(*columns).where(_run.c.log == log_id, _run.c.end > run.first).order_by(_run.c.first)
        found = [(first, end) for first, end in connection.execute(query) if first < run.end]
        return found == [(one.first, one.end) for one in replaced]

    def forget(self, log_id: int) -> None:
        """Delete the index of a log, because it belongs to another log or is wrong.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._database.writing() as connection:
            for table in (_block, _run):
                connection.execute(sa.delete(table).where(table.c.log == log_id))

    def covering(self, log_id: int, generation: int, probes: Sequence[tuple[Run, bytes]]) -> list[Block]:
        """Return for each run and key the block in whose interval the key lies.

        Raises:
            IndexDamaged: a block is missing, or is not one that the service wrote.
            LogUnavailable: the database failed.
        """
        blocks: list[Block] = []
        with self._database.reading() as connection:
            for at in range(0, len(probes), _PROBES[-1]):
                part = probes[at : at + _PROBES[-1]]
                count = next(count for count in _PROBES if count >= len(part))
                values: dict[str, object] = {"log": log_id}
                for n in range(count):
                    run, key = part[min(n, len(part) - 1)]
                    values |= {f"n{n}": n, f"r{n}": run.first, f"k{n}": key}
                rows = {number: row for number, *row in connection.execute(self._lookups[count], values)}
                for n, (run, key) in enumerate(part):
                    if n not in rows:
                        raise IndexDamaged("a block of the index is missing")
                    block = self._opened(log_id, generation, run, rows[n])
                    if not block.key <= key < block.next:
                        raise IndexDamaged("a block of the index is missing")
                    blocks.append(block)
        return blocks

    def blocks(
        self,
        log_id: int,
        generation: int,
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
        key = _block.c.key
        query = (
            sa.select(*_BLOCK_COLUMNS)
            .where(_block.c.log == log_id, _block.c.run == run.first, key >= low, key < high)
            .order_by(key.desc() if descending else key)
            .limit(limit)
        )
        with self._database.reading() as connection:
            found = [self._opened(log_id, generation, run, row) for row in connection.execute(query)]
        for one, other in pairwise(found):
            if (other.next != one.key) if descending else (one.next != other.key):
                raise IndexDamaged("a block of the index is missing")
        return found

    def _opened_run(self, log_id: int, generation: int, row: Sequence[Any]) -> Run:
        *numbers, ordered, seal = row
        first, end, start, stop, low_us, high_us = map(whole, numbers)
        run = Run(first, end, start, stop, low_us, high_us, bool(ordered))
        if not compare_digest(self._run_seal(log_id, generation, run), octets(seal)):
            raise IndexDamaged("a run of the index has no valid seal")
        return run

    def _opened(self, log_id: int, generation: int, run: Run, row: Sequence[object]) -> Block:
        block = Block(octets(row[0]), octets(row[1]), whole(row[2]), octets(row[3]))
        if not compare_digest(self._block_seal(log_id, generation, run, block), octets(row[4])):
            raise IndexDamaged("a block of the index has no valid seal")
        return block

    def _run_seal(self, log_id: int, generation: int, run: Run) -> bytes:
        return self._mac.mac(b"index run", (log_id, generation, *run))[:_SEAL_BYTES]

    def _block_seal(self, log_id: int, generation: int, run: Run, block: Block) -> bytes:
        fields = (log_id, generation, *run, len(block.key), len(block.next), block.rank)
        return self._mac.mac(b"index block", fields, block.key + block.next + block.body)[:_SEAL_BYTES]


def _lookup(count: int) -> sa.TextClause:
    """Return the statement that finds the blocks of `count` keys."""
    values = ", ".join(f"(:n{n}, :r{n}, :k{n})" for n in range(count))
    return sa.text(
        f"WITH probe (number, run, key) AS (VALUES {values}) "  # noqa: S608 - the text has parameters only
        'SELECT probe.number, b.key, b.next, b."rank", b.body, b.seal FROM probe JOIN index_block b '
        "ON b.log = :log AND b.run = probe.run AND b.key = (SELECT max(k.key) FROM index_block k "
        "WHERE k.log = :log AND k.run = probe.run AND k.key <= probe.key)"
    )

"""The transaction that appends: heads are locked, verified, extended and written.

A statement that is executed for every batch is compiled once and passed to the driver as text, because SQLAlchemy's own
execution costs another 150 µs for each batch. That is about the cost of a small batch.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from linewarden.audit.entry import time_of
from linewarden.audit.errors import AuditError, ClockBehind, LogBusy, LogUnavailable, RolledBack, TenantUnknown
from linewarden.audit.keyring import RowMac
from linewarden.audit.merkle import TILE_LEAVES, Frontier
from linewarden.audit.model import Head, Unit, entry_id
from linewarden.audit.store.heads import COLUMNS, LockedHead, Revisions, opened, parameters
from linewarden.audit.store.marks import Marks
from linewarden.audit.store.nodes import insert_text, row_of
from linewarden.audit.store.schema import log_entry, log_head, position_of

#: How far the time of an entry may be behind the log, microseconds: differences of clocks, and the wait of a record.
#: An earlier time is of a clock that was set back.
CLOCK_TOLERANCE_US = 5_000_000

#: Units with the leaf hashes of their entries.
Hashed = Sequence[tuple[Unit, Sequence[bytes]]]

#: The logs that are refused, each with its error.
Refusals = dict[int, AuditError]


class AppendStatements:
    """The statements of an append, and their execution.

    `open_head` verifies a row of another log's head, for guards.
    """

    def __init__(self, engine: sa.Engine, row_mac: RowMac, marks: Marks, open_head: Callable[[Any], Head]) -> None:
        self._row_mac = row_mac
        self._marks = marks
        self._open_head = open_head
        dialect = engine.dialect

        def text(statement: sa.Executable) -> str:
            return str(statement.compile(dialect=dialect))  # type: ignore[attr-defined]

        read = sa.select(*COLUMNS).where(log_head.c.log == sa.bindparam("key"))
        growth = sa.and_(log_entry.c.position >= sa.bindparam("a"), log_entry.c.position < sa.bindparam("b"))
        self._read_growth = text(sa.select(log_entry.c.leaf_hash).where(growth).order_by(log_entry.c.position))
        self._read_head = text(read)
        self._lock_head = text(read.with_for_update())
        self._lock_if_free = text(read.with_for_update(skip_locked=True))
        self._insert = text(sa.insert(log_entry))
        self._insert_node = insert_text(engine)
        self._update = text(
            sa.update(log_head)
            .where(log_head.c.log == sa.bindparam("key"))
            .values(
                size=sa.bindparam("n"),
                frontier=sa.bindparam("f"),
                revision=sa.bindparam("r"),
                time_us=sa.bindparam("t"),
                seal=sa.bindparam("s"),
            )
        )

    def run(
        self, connection: sa.Connection, cursor: Any, units: Hashed, refused: Refusals, *, wait: bool
    ) -> tuple[list[int | AuditError], list[Head]]:
        """Append inside an open transaction. Return the result of each unit, and the new heads.

        Without `wait`, heads that another transaction has locked are skipped. Logs that are refused are added to
        `refused`.
        """
        heads = self._lock(cursor, {unit.log for unit, _ in units} - refused.keys(), refused, wait=wait)
        revisions = Revisions(heads, lambda log_id: self._revision(cursor, log_id))
        rows: list[dict[str, object]] = []
        results: list[int | AuditError] = []
        for unit, digests in units:
            try:
                self._check(connection, cursor, heads, revisions, unit, refused)
                results.append(extend(heads[unit.log], unit, digests, rows))
            except AuditError as error:
                results.append(error)
        if rows:
            cursor.executemany(self._insert, rows)
        nodes = [row_of(self._row_mac, head.found, node) for head in heads.values() for node in head.nodes]
        if nodes:
            cursor.executemany(self._insert_node, nodes)
        extended = [head.extended() for head in heads.values()]
        for head in extended:
            cursor.execute(self._update, parameters(self._row_mac, head))
        return results, extended

    def _lock(self, cursor: Any, logs: set[int], refused: Refusals, *, wait: bool) -> dict[int, LockedHead]:
        """Lock heads in the order of their numbers, so that two writers cannot wait for each other."""
        heads: dict[int, LockedHead] = {}
        for log_id in sorted(logs):
            cursor.execute(self._lock_head if wait else self._lock_if_free, {"key": log_id})
            for row in cursor.fetchall():
                try:
                    heads[log_id] = LockedHead.of(self._continuing(cursor, row))
                except LogUnavailable as error:  # of this log; the other logs are appended
                    refused[log_id] = error
        return heads

    def _continuing(self, cursor: Any, row: Any) -> Head:
        """Return the head in a row after verifying that it continues the newest head seen of the log."""
        head = opened(self._row_mac, row)
        seen = self._marks.seen(head.log)
        self._marks.check(head, seen)
        if seen is not None and head.size > seen.size and head.generation == seen.generation:
            cursor.execute(
                self._read_growth, {"a": position_of(head.log, seen.size), "b": position_of(head.log, head.size)}
            )
            check_growth(seen, head, (bytes(leaf) for (leaf,) in cursor.fetchall()))
        return head

    def _check(
        self,
        connection: sa.Connection,
        cursor: Any,
        heads: dict[int, LockedHead],
        revisions: Revisions,
        unit: Unit,
        refused: Refusals,
    ) -> None:
        if unit.log in refused:
            raise refused[unit.log]
        if unit.log not in heads:
            if self._revision(cursor, unit.log) >= 0:
                raise LogBusy("another transaction holds the lock of the log")
            raise TenantUnknown("there is no such log")
        head = heads[unit.log]
        time_us = max(map(time_of, unit.entries), default=0)
        if 0 < time_us < head.time_us - CLOCK_TOLERANCE_US:
            raise ClockBehind(f"the log has an entry that is {(head.time_us - time_us) / 1e6:.0f} s later")
        revisions.check(unit.guards)
        if unit.effect is not None:
            self._run_effect(connection, cursor, unit.effect)
        head.time_us = max(head.time_us, time_us)

    @staticmethod
    def _run_effect(connection: sa.Connection, cursor: Any, effect: Callable[[Any], None]) -> None:
        # An effect that fails half way must not leave its first half in a batch that commits.
        cursor.execute("SAVEPOINT effect")
        try:
            effect(connection)
        except AuditError:
            cursor.execute("ROLLBACK TO SAVEPOINT effect")
            raise
        cursor.execute("RELEASE SAVEPOINT effect")

    def _revision(self, cursor: Any, log_id: int) -> int:
        # Read without a lock. A change that was acknowledged before the guarded request was sent was committed before
        # this statement began, so it is visible. A change that is not visible was not yet acknowledged.
        cursor.execute(self._read_head, {"key": log_id})
        rows = cursor.fetchall()
        return self._open_head(rows[0]).revision if rows else -1


def extend(head: LockedHead, unit: Unit, digests: Sequence[bytes], rows: list[dict[str, object]]) -> int:
    """Extend a log by the entries of a unit, and `rows` by their rows. Return the id of the first entry.

    The nodes of the tree that become complete are added to the head.
    """
    first = index = head.frontier.size
    for entry, digest in zip(unit.entries, digests, strict=True):
        rows.append({"position": position_of(unit.log, index), "leaf_hash": digest, "entry": entry})
        index += 1
        if index % TILE_LEAVES:
            head.frontier.append(digest)
        else:
            head.nodes += head.frontier.complete_tile(digest)
    if unit.moves_revision:
        head.revision += 1
    return entry_id(head.found.generation, first)


def check_growth(seen: Head, head: Head, leaves: Iterable[bytes]) -> None:
    """Verify that a head continues an earlier head of its log by these leaf hashes.

    Raises:
        RolledBack: the head has another history.
    """
    frontier = Frontier.from_bytes(seen.size, seen.frontier)
    for leaf in leaves:
        frontier.append(leaf)
    if frontier.to_bytes() != head.frontier:
        raise RolledBack("has another history than was seen before", head.log, expected=seen.size, found=head.size)

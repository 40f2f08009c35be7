"""The log in a database: append under the lock of its head row, and read.

What a crash leaves behind: a transaction is there whole or not at all, so a log is always the entries 0 to size - 1 and
the frontier over just these.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from linewarden.audit.errors import AuditError, EntryNotFound, LogUnavailable, RolledBack, TenantUnknown
from linewarden.audit.keyring import Seals
from linewarden.audit.merkle import leaf_hash
from linewarden.audit.model import Head, Unit
from linewarden.audit.store.gate import gate_for
from linewarden.audit.store.heads import ADOPTS, COLUMNS, SEALS, LockedHead, Revisions, create, opened
from linewarden.audit.store.schema import INDEX_BITS, log_entry, log_head, position_of

_WRITER_TIMEOUT_MS = 2_000

#: So often may others create a log at the same moment before something else must be wrong.
_RACES = 10


class LogStore:
    """All logs of one database. Appending is for one thread at a time; reading is for any.

    A statement that is executed for every batch is compiled once and handed to the driver as text: SQLAlchemy's own
    execution costs 150 µs a batch more, about as much as a small batch itself.

    Heads are sealed with `seals`, and so are the rows that effects write. Without, they are under a key that nobody
    knows afterwards: another store believes none of them. `adopts` is for the migration to seals, see there.
    """

    def __init__(self, engine: sa.Engine, seals: Seals | None = None, *, adopts: bool = False) -> None:
        self._engine = engine
        self.seals = seals or Seals(os.urandom(32))
        self._options = {SEALS: self.seals, ADOPTS: adopts}
        self._gate = gate_for(engine)
        self._writer: sa.Connection | None = None
        self._begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "BEGIN"
        read = sa.select(*COLUMNS).where(log_head.c.log == sa.bindparam("key"))
        self._read_head = self._text(read)
        self._lock_head = self._text(read.with_for_update())
        self._insert = self._text(sa.insert(log_entry))
        self._update = self._text(
            sa.update(log_head)
            .where(log_head.c.log == sa.bindparam("key"))
            .values(
                size=sa.bindparam("n"), frontier=sa.bindparam("f"), revision=sa.bindparam("r"), seal=sa.bindparam("s")
            )
        )

    def append(self, units: Sequence[Unit]) -> list[int | AuditError]:
        """Append each unit or say why not; what was appended is durable when this returns.

        The answer is, for each unit in order, the index of its first entry, or RevisionMoved, TenantUnknown,
        EffectRefused, or LogUnavailable where the head is not one that the service wrote. Units refused leave no trace.

        Raises:
            LogUnavailable: the transaction failed; whether it took place is not known.
        """
        hashes = [[leaf_hash(entry) for entry in unit.entries] for unit in units]
        try:
            with self._gate():
                return self._append(units, hashes)
        except (SQLAlchemyError, self._engine.dialect.dbapi.Error, OSError) as error:  # type: ignore[union-attr]
            self.close_writer()
            raise LogUnavailable("the log's database failed") from error

    def close_writer(self) -> None:
        """Let go of the connection used for appending; the next append opens another."""
        connection, self._writer = self._writer, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def close(self) -> None:
        """Let go of everything; the store can be used no more."""
        self.close_writer()
        self._gate.close()

    def create(self, tenant: str, origin_id: str, now_us: int) -> int:
        """Create the log of a tenant, the empty name meaning the system; returns its number. Existing logs stay.

        Raises:
            LogUnavailable: the database failed.
        """
        for _ in range(_RACES):
            try:
                return self._create(tenant, origin_id, now_us)
            except LogUnavailable as fault:
                # Somebody else took the number, or made this very log: look again.
                if not isinstance(fault.__cause__, IntegrityError):
                    raise
        return self._create(tenant, origin_id, now_us)

    def _create(self, tenant: str, origin_id: str, now_us: int) -> int:
        with self.writing() as connection:
            return create(connection, tenant, origin_id, now_us)

    @staticmethod
    def creation(tenant: str, origin_id: str, now_us: int) -> Callable[[sa.Connection], None]:
        """The effect that creates a log, for an entry that says so."""

        def effect(connection: sa.Connection) -> None:
            create(connection, tenant, origin_id, now_us)

        return effect

    def heads(self) -> list[Head]:
        """The heads of all logs, in the order of their numbers."""
        return self._heads(sa.true())

    def head(self, log: int) -> Head:
        """The head of one log.

        Raises:
            TenantUnknown: there is no such log.
        """
        for head in self._heads(log_head.c.log == log):
            return head
        raise TenantUnknown("there is no such log")

    def head_of(self, tenant: str) -> Head:
        """The head of a tenant's log.

        Raises:
            TenantUnknown: there is no such tenant.
        """
        for head in self._heads(log_head.c.tenant == tenant):
            return head
        raise TenantUnknown("there is no such tenant")

    def entry(self, log: int, index: int) -> bytes:
        """The bytes of one entry.

        Raises:
            EntryNotFound: the log is shorter.
        """
        for entry in self.entries(log, index, index + 1):
            return entry
        raise EntryNotFound("the log has no entry at that index")

    def entries(self, log: int, start: int, stop: int) -> Iterator[bytes]:
        """The bytes of the entries `start` to `stop - 1`, in order, as they were hashed."""
        return self._column(log_entry.c.entry, log, start, stop)

    def entries_at(self, log: int, indexes: Sequence[int]) -> dict[int, bytes]:
        """The bytes of single entries, by index; what is not there is left out.

        Raises:
            RolledBack: an entry is not the one that was hashed when it was appended.
            LogUnavailable: the database failed.
        """
        keys = [position_of(log, index) for index in indexes]
        columns = (log_entry.c.position, log_entry.c.leaf_hash, log_entry.c.entry)
        with self.reading() as connection:
            rows = connection.execute(sa.select(*columns).where(log_entry.c.position.in_(keys))).all()
        if any(leaf_hash(bytes(entry)) != bytes(digest) for _, digest, entry in rows):
            raise RolledBack("a stored entry is not the one that was hashed")
        return {position & (1 << INDEX_BITS) - 1: bytes(entry) for position, _, entry in rows}

    def leaf_hashes(self, log: int, start: int, stop: int) -> Iterator[bytes]:
        """The leaf hashes of the entries `start` to `stop - 1`, in order."""
        return self._column(log_entry.c.leaf_hash, log, start, stop)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that sees one state of the database.

        Raises:
            LogUnavailable: the database failed.
        """
        try:
            with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise LogUnavailable("the log's database failed") from error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A write transaction beside the log, for rows that are not entries.

        Raises:
            LogUnavailable: the database failed.
        """
        try:
            with self._gate(), self._engine.connect() as plain:
                connection = plain.execution_options(writes=True, **self._options)
                with connection.begin():
                    yield connection
        except (SQLAlchemyError, OSError) as error:
            raise LogUnavailable("the log's database failed") from error

    def _append(self, units: Sequence[Unit], hashes: list[list[bytes]]) -> list[int | AuditError]:
        connection = self._writing_connection()
        cursor: Any = connection.connection.cursor()
        cursor.execute(self._begin)
        try:
            results = self._append_locked(connection, cursor, units, hashes)
            cursor.execute("COMMIT")
        except BaseException:
            self._roll_back(cursor)
            raise
        finally:
            cursor.close()
        return results

    def _append_locked(
        self, connection: sa.Connection, cursor: Any, units: Sequence[Unit], hashes: list[list[bytes]]
    ) -> list[int | AuditError]:
        # Heads are locked in the order of their numbers, so that two writers cannot wait for each other.
        heads: dict[int, LockedHead] = {}
        for log in sorted({unit.log for unit in units}):
            cursor.execute(self._lock_head, {"key": log})
            for row in cursor.fetchall():
                with suppress(LogUnavailable):  # said below of each of its units; the others are appended
                    heads[log] = LockedHead.of(opened(self.seals, row))
        revisions = Revisions(heads, lambda log: self._revision(cursor, log))
        rows: list[dict[str, object]] = []
        results: list[int | AuditError] = []
        for unit, digests in zip(units, hashes, strict=True):
            try:
                self._admit(connection, cursor, heads, revisions, unit)
                results.append(_extend(heads[unit.log], unit, digests, rows))
            except AuditError as refused:
                results.append(refused)
        if rows:
            cursor.executemany(self._insert, rows)
        for head in heads.values():
            cursor.execute(self._update, head.parameters(self.seals))
        return results

    def _admit(
        self,
        connection: sa.Connection,
        cursor: Any,
        heads: dict[int, LockedHead],
        revisions: Revisions,
        unit: Unit,
    ) -> None:
        if unit.log not in heads:
            self._revision(cursor, unit.log)
            raise TenantUnknown("there is no such log")
        revisions.check(unit.guards)
        if unit.effect is not None:
            self._run_effect(connection, cursor, unit.effect)

    @staticmethod
    def _run_effect(connection: sa.Connection, cursor: Any, effect: Callable[[Any], None]) -> None:
        # An effect that is refused half way must not leave its first half in a batch that commits.
        cursor.execute("SAVEPOINT effect")
        try:
            effect(connection)
        except AuditError:
            cursor.execute("ROLLBACK TO SAVEPOINT effect")
            raise
        cursor.execute("RELEASE SAVEPOINT effect")

    def _revision(self, cursor: Any, log: int) -> int:
        # Read without a lock: a change that was acknowledged before the guarded request was sent was committed before
        # this statement began, so it is seen. What is not seen yet was not acknowledged yet.
        cursor.execute(self._read_head, {"key": log})
        rows = cursor.fetchall()
        return opened(self.seals, rows[0]).revision if rows else -1

    def _writing_connection(self) -> sa.Connection:
        if self._writer is None:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT", **self._options)
            if self._engine.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET statement_timeout = {_WRITER_TIMEOUT_MS}")
            self._writer = connection
        return self._writer

    @staticmethod
    def _roll_back(cursor: Any) -> None:
        # The connection is thrown away anyway; the first fault is the one to tell.
        with suppress(Exception):
            cursor.execute("ROLLBACK")

    def _heads(self, condition: sa.ColumnElement[bool]) -> list[Head]:
        columns = (log_head.c.log, log_head.c.tenant, log_head.c.origin_id, log_head.c.size, log_head.c.revision)
        query = sa.select(*columns, log_head.c.frontier).where(condition).order_by(log_head.c.log)
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return [Head(log, tenant, origin, size, revision, bytes(f)) for log, tenant, origin, size, revision, f in rows]

    def _column(self, column: sa.Column[bytes], log: int, start: int, stop: int) -> Iterator[bytes]:
        step = 2_000
        for begin in range(start, stop, step):
            end = min(begin + step, stop)
            key = log_entry.c.position
            inside = sa.and_(key >= position_of(log, begin), key < position_of(log, end))
            with self.reading() as connection:
                values = connection.scalars(sa.select(column).where(inside).order_by(key)).all()
            if len(values) != end - begin and stop - start > 1:
                raise LogUnavailable("the log's database misses entries below the size it states")
            yield from map(bytes, values)

    def _text(self, statement: sa.Executable) -> str:
        return str(statement.compile(dialect=self._engine.dialect))  # type: ignore[attr-defined]


def _extend(head: LockedHead, unit: Unit, digests: list[bytes], rows: list[dict[str, object]]) -> int:
    first = index = head.frontier.size
    for entry, digest in zip(unit.entries, digests, strict=True):
        head.frontier.append(digest)
        rows.append({"position": position_of(unit.log, index), "leaf_hash": digest, "entry": entry})
        index += 1
    if unit.moves_revision:
        head.revision += 1
    return first

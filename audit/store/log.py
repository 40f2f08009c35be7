"""The log in a database: append under the lock of its head row, and read.

What a crash leaves behind: a transaction is there whole or not at all, so a log is always the entries 0 to size - 1 and
the frontier over just these.

A log that cannot be appended to holds up no other. Logs share a transaction, and where it fails for what one of them
holds, each log gets a transaction of its own. No wait for a lock is long; a caller that may wait longer tries again.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from linewarden.audit.entry import time_of
from linewarden.audit.errors import (
    AuditError,
    ClockBehind,
    EntryNotFound,
    LogBusy,
    LogDamaged,
    LogUnavailable,
    RolledBack,
    TenantUnknown,
    UnsafeDatabase,
)
from linewarden.audit.keyring import Seals
from linewarden.audit.merkle import Frontier, leaf_hash
from linewarden.audit.model import INDEX_BITS, Head, Unit, entry_id
from linewarden.audit.store.files import DatabaseFiles
from linewarden.audit.store.gate import PATIENCE_S, gate_for
from linewarden.audit.store.heads import (
    ADOPTS,
    COLUMNS,
    SEALS,
    LockedHead,
    Revisions,
    create,
    fields_of,
    opened,
    parameters,
    seal_of,
)
from linewarden.audit.store.marks import Marks
from linewarden.audit.store.schema import log_entry, log_head, position_of
from linewarden.audit.store.sessions import (
    APPEND_WAIT_S,
    COMMIT,
    WAIT_S,
    check_flushed,
    check_server,
    pin_commit,
    pin_writer,
)
from linewarden.audit.store.wal import rewrite

#: How long one try waits for SQLite's write lock: first for the gate, then as long again for the lock, seconds.
TRY_S = 0.25

#: What PostgreSQL says of a lock that was not free in time, and of two that wait for each other.
_LOCKED = frozenset({"55P03", "40P01"})

#: Entries of an append, or a change of policy, that a database server may take its time for.
MUCH_ENTRIES = 2_000

#: How often the writer's session is checked as a whole, seconds.
_CHECK_S = 2.0

#: So much may the clocks of processes differ, and a record wait, before a time counts as one of a clock that was set
#: back, microseconds.
CLOCK_TOLERANCE_US = 5_000_000

#: What an append changes of a head, with the names of `heads.parameters`.
_APPENDED = {"size": "n", "frontier": "f", "revision": "r", "time_us": "t", "seal": "s"}

#: So often may others create a log at the same moment before something else must be wrong.
_RACES = 10


class LogStore:
    """All logs of one database. Appending is for one thread at a time; reading is for any.

    A statement that is executed for every batch is compiled once and handed to the driver as text: SQLAlchemy's own
    execution costs 150 µs a batch more, about as much as a small batch itself.

    Heads are sealed with `seals`, and so are the rows that effects write. Without, they are under a key that nobody
    knows afterwards: another store believes none of them. `adopts` is for the migration to seals, see there.

    Every head is compared with `marks`. Before the first append to a log, `admit` hears its number: it verifies that
    the log continues what was seen of it before, and raises RolledBack if not.
    """

    def __init__(
        self, engine: sa.Engine, seals: Seals | None = None, *, adopts: bool = False, marks: Marks | None = None
    ) -> None:
        self._engine = engine
        self.marks = marks or Marks()
        self.admit: Callable[[int], None] = lambda _log: None
        self._files = DatabaseFiles(engine)
        self.seals = seals or Seals(os.urandom(32))
        self._options = {SEALS: self.seals, ADOPTS: adopts}
        self._gate = gate_for(engine)
        self._writer: sa.Connection | None = None
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._settled = not self._is_sqlite
        self._checked = 0.0
        self._warned = False
        self._takes_much = False
        database: Any = engine.dialect.dbapi
        self._database_error = database.Error
        self._constraint_error = database.IntegrityError
        self._failures = (SQLAlchemyError, database.Error, OSError, UnsafeDatabase)
        read = sa.select(*COLUMNS).where(log_head.c.log == sa.bindparam("key"))
        growth = sa.and_(log_entry.c.position >= sa.bindparam("a"), log_entry.c.position < sa.bindparam("b"))
        self._read_growth = self._text(sa.select(log_entry.c.leaf_hash).where(growth).order_by(log_entry.c.position))
        self._read_head = self._text(read)
        self._lock_head = self._text(read.with_for_update())
        self._lock_if_free = self._text(read.with_for_update(skip_locked=True))
        self._insert = self._text(sa.insert(log_entry))
        self._update = self._text(
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

    def append(self, units: Sequence[Unit]) -> list[int | AuditError]:
        """Append each unit or say why not; what was appended is durable when this returns.

        The answer is, for each unit in order, the id of its first entry (see `model.entry_id`), or RevisionMoved,
        TenantUnknown, EffectRefused, ClockBehind, LogBusy, RolledBack, or LogUnavailable where the log cannot be
        appended to. Units refused leave no trace.

        Raises:
            LogBusy: the database's lock is held by another; nothing was recorded.
            LogUnavailable: the transaction failed; whether it took place is not known.
        """
        until = time.monotonic() + PATIENCE_S
        results: list[int | AuditError] = [LogBusy("the lock of the log is held by another")] * len(units)
        left = list(range(len(units)))
        while True:
            with suppress(LogBusy):
                for place, result in zip(left, self.try_append([units[place] for place in left]), strict=True):
                    results[place] = result
            left = [place for place in left if isinstance(results[place], LogBusy)]
            if time.monotonic() >= until and len(left) == len(units) > 0:
                raise LogBusy("the lock of the log is held by another")
            if not left or time.monotonic() >= until:
                return results

    def try_append(self, units: Sequence[Unit], *, wait: bool = True) -> list[int | AuditError]:
        """Append as `append` does, waiting TRY_S for the database's lock, and for a log's shorter or not at all."""
        hashes = [[leaf_hash(entry) for entry in unit.entries] for unit in units]
        refused = self._admit_logs(units)
        with self._gate(TRY_S):
            try:
                return self._append(units, hashes, refused, self._lock_head if wait else self._lock_if_free)
            except self._failures as error:
                if self._was_taken_back(error):
                    return self._append_apart(units, hashes, refused)
                self.close_writer()
                if not self._files.are_same():
                    self._engine.dispose()
                raise LogUnavailable("the log's database failed") from error

    def close_writer(self) -> None:
        """Let go of the connection used for appending; the next append opens another."""
        connection, self._writer = self._writer, None
        self._settled = not self._is_sqlite
        if connection is not None:
            connection.invalidate()
            connection.close()

    def close(self) -> None:
        """Let go of everything; the store can be used no more."""
        self.close_writer()
        self._gate.close()
        self.marks.close()

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

    def amend(
        self,
        log: int,
        amendment: Callable[[Head], tuple[Head, bytes]],
        effect: Callable[[sa.Connection, Head, Head], None],
    ) -> Head:
        """Change the head of a log as no append may, with an entry that says so; for acts of the operator.

        The head is not compared with what was seen of the log. `amendment` makes of it the one to go on with, and the
        entry; `effect` runs in the same transaction, and gets the head before and the one after.

        Raises:
            TenantUnknown: there is no such log.
            LogUnavailable: the head is not one that the service wrote, or the database failed.
        """
        with self.writing() as connection:
            query = sa.select(*COLUMNS).where(log_head.c.log == log).with_for_update()
            row = connection.execute(query).one_or_none()
            if row is None:
                raise TenantUnknown("there is no such log")
            before = opened(self.seals, row)
            changed, entry = amendment(before)
            locked, rows = LockedHead.of(changed), list[dict[str, object]]()
            locked.time_us = max(changed.time_us, time_of(entry))
            _extend(locked, Unit(log, (entry,)), [leaf_hash(entry)], rows)
            after = locked.made()
            connection.execute(sa.insert(log_entry), rows)
            row_of = {**dict(zip(Head.__slots__, fields_of(after), strict=True)), "seal": seal_of(self.seals, after)}
            connection.execute(sa.update(log_head).where(log_head.c.log == log).values(row_of))
            effect(connection, before, after)
        self.check_files()
        self.marks.note(after, new=True)
        return after

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

    def verified_head(self, log: int) -> Head:
        """The head of one log, compared with its seal and with what was seen of it.

        Raises:
            TenantUnknown: there is no such log.
            RolledBack: it is older than, or differs from, what was seen.
            LogUnavailable: it is not one that the service wrote, or the database failed.
        """
        seen = self.marks.seen(log)  # before the row is read: another thread may append meanwhile
        with self.reading() as connection:
            row = connection.execute(sa.select(*COLUMNS).where(log_head.c.log == log)).one_or_none()
        if row is None:
            raise TenantUnknown("there is no such log")
        head = opened(self.seals, row)
        self.marks.check(head, seen)
        self._remember(head, seen)
        return head

    def admitted_head(self, log: int) -> Head:
        """As `verified_head`, of a log that is admitted first if this process has not met it."""
        if self.marks.seen(log) is None:
            self.admit(log)
        return self.verified_head(log)

    def opened(self, row: Any) -> Head:
        """The head in a row of `heads.COLUMNS`. Raises as `verified_head` does."""
        head = opened(self.seals, row)
        seen = self.marks.seen(head.log)
        try:
            self.marks.check(head, seen)
        except RolledBack:
            self.verified_head(head.log)  # the row may only have been read before another thread appended
        else:
            self._remember(head, seen)
        return head

    def check_files(self) -> None:
        """Make sure that the files of the database are those that were opened; open them again if not.

        Raises:
            LogUnavailable: they were replaced or removed since.
        """
        if not self._files.are_same():
            self.close_writer()
            self._engine.dispose()
            raise LogUnavailable("the database file was replaced or removed")

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
            LogDamaged: an entry is not the one that was hashed when it was appended.
            LogUnavailable: the database failed.
        """
        keys = [position_of(log, index) for index in indexes]
        columns = (log_entry.c.position, log_entry.c.leaf_hash, log_entry.c.entry)
        with self.reading() as connection:
            rows = connection.execute(sa.select(*columns).where(log_entry.c.position.in_(keys))).all()
        if any(leaf_hash(bytes(entry)) != bytes(digest) for _, digest, entry in rows):
            raise LogDamaged("a stored entry is not the one that was hashed")
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
                    self._settle()
                    yield connection
        except (SQLAlchemyError, OSError) as error:
            self._settled = not self._is_sqlite
            raise LogUnavailable("the log's database failed") from error

    def _admit_logs(self, units: Sequence[Unit]) -> dict[int, AuditError]:
        """Verify the logs that this process appends to for the first time; returns those that are refused."""
        refused: dict[int, AuditError] = {}
        for log in {unit.log for unit in units}:
            if self.marks.seen(log) is None:
                try:
                    self.admit(log)
                except TenantUnknown:
                    continue  # said below, of each of its units
                except AuditError as error:
                    refused[log] = error
        return refused

    def _append_apart(
        self, units: Sequence[Unit], hashes: list[list[bytes]], refused: dict[int, AuditError]
    ) -> list[int | AuditError]:
        """Append log by log, after a transaction of all of them was taken back for what may be the matter of one."""
        results: list[int | AuditError] = [LogUnavailable("the log's database failed")] * len(units)
        for log in sorted({unit.log for unit in units}):
            places = [place for place, unit in enumerate(units) if unit.log == log]
            own: list[int | AuditError]
            try:
                own = self._append([units[n] for n in places], [hashes[n] for n in places], refused, self._lock_if_free)
            except LogUnavailable as refusal:
                own = [refusal] * len(places)
            except self._failures as error:
                own = [_refusal(error)] * len(places)
                if not self._was_taken_back(error):
                    self.close_writer()
                    return results
            for place, result in zip(places, own, strict=True):
                results[place] = result
        return results

    def _append(
        self, units: Sequence[Unit], hashes: list[list[bytes]], refused: dict[int, AuditError], lock: str
    ) -> list[int | AuditError]:
        connection = self._writing_connection()
        cursor: Any = connection.connection.cursor()
        try:
            self._allow_time(connection, cursor, units)
            self._begin(cursor)
            results, heads = self._append_locked(connection, cursor, units, hashes, refused, lock)
            self._commit(cursor)
        except BaseException:
            self._roll_back(cursor)
            raise
        finally:
            cursor.close()
        # The commit may have gone into a file that has no name any more.
        self.check_files()
        for head in heads:
            self.marks.note(head, new=self.marks.seen(head.log) is None)
        return results

    def _allow_time(self, connection: sa.Connection, cursor: Any, units: Sequence[Unit]) -> None:
        """Give a transaction the time that its entries need, on a server that would end it."""
        much = sum(len(unit.entries) for unit in units) > MUCH_ENTRIES or any(unit.moves_revision for unit in units)
        if self._is_sqlite or much == self._takes_much:
            return
        driver: Any = connection.connection.driver_connection
        driver.wait_s = WAIT_S if much else APPEND_WAIT_S
        pin_writer(cursor, much=much)
        self._takes_much = much

    def _begin(self, cursor: Any) -> None:
        try:
            cursor.execute("BEGIN IMMEDIATE" if self._is_sqlite else "BEGIN")
        except self._database_error as error:
            if str(error) == "database is locked":
                raise LogBusy("another program holds the lock of the database") from error
            raise
        self._files.remember_wal()
        self._settle()

    def _settle(self) -> None:
        # Under the write lock, and before this transaction writes: see `wal`.
        if not self._settled:
            rewrite(str(self._engine.url.database))
            self._settled = True

    def _commit(self, cursor: Any) -> None:
        if self._is_sqlite:
            cursor.execute("COMMIT")
            return
        self._warned = False
        cursor.execute(COMMIT, prepare=False)
        cursor.nextset()
        check_flushed(*cursor.fetchone())
        if self._warned:
            # Synchronous replication: a wait for a standby that was cut off ends with a warning and a commit.
            raise UnsafeDatabase("PostgreSQL warned at COMMIT: a standby may not have the record")

    def _append_locked(
        self,
        connection: sa.Connection,
        cursor: Any,
        units: Sequence[Unit],
        hashes: list[list[bytes]],
        refused: dict[int, AuditError],
        lock: str,
    ) -> tuple[list[int | AuditError], list[Head]]:
        # Heads are locked in the order of their numbers, so that two writers cannot wait for each other.
        heads: dict[int, LockedHead] = {}
        for log in sorted({unit.log for unit in units} - refused.keys()):
            cursor.execute(lock, {"key": log})
            for row in cursor.fetchall():
                try:
                    heads[log] = LockedHead.of(self._continuing(cursor, row))
                except LogUnavailable as error:  # of this log; the others are appended
                    refused[log] = error
        revisions = Revisions(heads, lambda log: self._revision(cursor, log))
        rows: list[dict[str, object]] = []
        results: list[int | AuditError] = []
        for unit, digests in zip(units, hashes, strict=True):
            try:
                self._check_unit(connection, cursor, heads, revisions, unit, refused)
                results.append(_extend(heads[unit.log], unit, digests, rows))
            except AuditError as error:
                results.append(error)
        if rows:
            cursor.executemany(self._insert, rows)
        made = [head.made() for head in heads.values()]
        for head in made:
            cursor.execute(self._update, parameters(self.seals, head))
        return results, made

    def _continuing(self, cursor: Any, row: Any) -> Head:
        """The head in a row, verified to continue what was seen of the log; entries of others are hashed for that."""
        head = opened(self.seals, row)
        seen = self.marks.seen(head.log)
        self.marks.check(head, seen)
        if seen is not None and head.size > seen.size and head.generation == seen.generation:
            cursor.execute(
                self._read_growth, {"a": position_of(head.log, seen.size), "b": position_of(head.log, head.size)}
            )
            check_growth(seen, head, (bytes(leaf) for (leaf,) in cursor.fetchall()))
        return head

    def _check_unit(
        self,
        connection: sa.Connection,
        cursor: Any,
        heads: dict[int, LockedHead],
        revisions: Revisions,
        unit: Unit,
        refused: dict[int, AuditError],
    ) -> None:
        if unit.log in refused:
            raise refused[unit.log]
        if unit.log not in heads:
            if self._revision(cursor, unit.log) >= 0:
                raise LogBusy("the head of the log is locked by another")
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
        return self.opened(rows[0]).revision if rows else -1

    def _writing_connection(self) -> sa.Connection:
        connection = self._writer
        if connection is None:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT", **self._options)
            self._writer = connection
            self._begin_session(connection)
        elif not self._is_sqlite and time.monotonic() - self._checked > _CHECK_S:
            self._check_session(connection)
        return connection

    def _begin_session(self, connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        if self._is_sqlite:
            driver.execute(f"PRAGMA busy_timeout={round(TRY_S * 1_000)}")
            return
        driver.add_notice_handler(self._hear)
        driver.wait_s, self._takes_much = APPEND_WAIT_S, False
        with driver.cursor() as cursor:
            pin_writer(cursor)
        self._checked = time.monotonic()

    def _check_session(self, connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            pin_commit(cursor)
            check_server(cursor)
        self._checked = time.monotonic()

    def _hear(self, notice: Any) -> None:
        self._warned |= notice.severity_nonlocalized == "WARNING"

    def _was_taken_back(self, error: BaseException) -> bool:
        """Whether the database took the transaction back for what it held, and the connection can go on.

        Of SQLite only a broken constraint counts: after an error of the disk nothing goes on as before.
        """
        cause = error.orig if isinstance(error, DBAPIError) else error
        if self._is_sqlite:
            return isinstance(cause, self._constraint_error)
        writer = self._writer
        if writer is None or writer.invalidated or not isinstance(cause, self._database_error):
            return False
        driver: Any = writer.connection.driver_connection
        return bool(driver.info.transaction_status.name == "IDLE")

    @staticmethod
    def _roll_back(cursor: Any) -> None:
        # Where this fails, the connection is thrown away; the first fault is the one to tell.
        with suppress(Exception):
            cursor.execute("ROLLBACK")

    def _heads(self, condition: sa.ColumnElement[bool]) -> list[Head]:
        query = sa.select(*COLUMNS).where(condition).order_by(log_head.c.log)
        with self.reading() as connection:
            return [Head(*row[:-1]) for row in connection.execute(query)]

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

    def _remember(self, head: Head, seen: Head | None) -> None:
        """Remember a head that another process made, once it is verified to continue the one seen before."""
        if seen is not None and head.size > seen.size and head.generation == seen.generation:
            check_growth(seen, head, self.leaf_hashes(head.log, seen.size, head.size))
            self.marks.note(head)

    def _text(self, statement: sa.Executable) -> str:
        return str(statement.compile(dialect=self._engine.dialect))  # type: ignore[attr-defined]


def _refusal(error: BaseException) -> LogUnavailable:
    cause = error.orig if isinstance(error, DBAPIError) else error
    busy = getattr(cause, "sqlstate", None) in _LOCKED
    refusal = LogBusy("a lock of the log is held by another") if busy else LogUnavailable("the log's database failed")
    refusal.__cause__ = error
    return refusal


def _extend(head: LockedHead, unit: Unit, digests: list[bytes], rows: list[dict[str, object]]) -> int:
    first = index = head.frontier.size
    for entry, digest in zip(unit.entries, digests, strict=True):
        head.frontier.append(digest)
        rows.append({"position": position_of(unit.log, index), "leaf_hash": digest, "entry": entry})
        index += 1
    if unit.moves_revision:
        head.revision += 1
    return entry_id(head.found.generation, first)


def check_growth(seen: Head, head: Head, leaves: Iterable[bytes]) -> None:
    """Verify that a head continues an earlier one of its log by these leaf hashes.

    Raises:
        RolledBack: it does not.
    """
    frontier = Frontier.from_bytes(seen.size, seen.frontier)
    for leaf in leaves:
        frontier.append(leaf)
    if frontier.to_bytes() != head.frontier:
        raise RolledBack("has another history than was seen before", head.log, expected=seen.size, found=head.size)

"""The logs in a database: appending under the lock of a head row, and reading.

After a crash a transaction is either complete or absent. So a log always has the entries 0 to size - 1 and the frontier
over exactly these.

A log that cannot be appended to does not delay the others. Logs share a transaction. If it fails because of the data of
one log, each log gets a transaction of its own. All waits for locks are short; a caller that may wait longer tries
again.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from linewarden.audit.entry import time_of
from linewarden.audit.errors import (
    AuditError,
    EntryNotFound,
    LogBusy,
    LogUnavailable,
    RolledBack,
    TenantUnknown,
)
from linewarden.audit.keyring import RowMac
from linewarden.audit.merkle import leaf_hash
from linewarden.audit.model import Head, Unit
from linewarden.audit.store.append import AppendStatements, Hashed, Refusals, check_growth, extend
from linewarden.audit.store.append_session import TRY_S, AppendSession
from linewarden.audit.store.entry_rows import EntryRows
from linewarden.audit.store.files import DatabaseFiles
from linewarden.audit.store.heads import ADOPTS, COLUMNS, ROW_MAC, LockedHead, create, fields_of, opened, seal_of
from linewarden.audit.store.marks import Marks
from linewarden.audit.store.moved import HeadWatch
from linewarden.audit.store.nodes import NodeRows, OnProgress
from linewarden.audit.store.schema import log_entry, log_head
from linewarden.audit.store.write_lock import LOCK_WAIT_S, write_lock_for

#: PostgreSQL's codes for a lock that was not free in time, and for a deadlock.
_LOCKED = frozenset({"55P03", "40P01"})

#: How often other processes may create a log first before the error must have another cause.
_RACES = 10


class LogStore:
    """All logs of one database. One thread may append at once; all threads may read.

    Heads, and the rows that effects write, are sealed with `row_mac`. Without it they are sealed under a random key
    that is not stored, so that no other store accepts them. `adopts` is for the migration that introduces seals.

    Every head is compared with `marks`. Before the first append to a log, `admit` is called with its number. It
    verifies that the log continues the state seen before, and raises RolledBack otherwise.
    """

    def __init__(
        self, engine: sa.Engine, row_mac: RowMac | None = None, *, adopts: bool = False, marks: Marks | None = None
    ) -> None:
        self._engine = engine
        self.marks = marks or Marks()
        self.admit: Callable[[int], None] = lambda _log: None
        self._files = DatabaseFiles(engine)
        self.row_mac = row_mac or RowMac(os.urandom(32))
        self._options = {ROW_MAC: self.row_mac, ADOPTS: adopts}
        self._write_lock = write_lock_for(engine)
        self._session = AppendSession(engine, self._files, self._options)
        self._statements = AppendStatements(engine, self.row_mac, self.marks, self.opened)
        self._entries = EntryRows(engine, self.reading)
        self._nodes = NodeRows(engine, self.row_mac, self.reading, self._entries)
        self._watches: list[HeadWatch] = []

    def append(self, units: Sequence[Unit]) -> list[int | AuditError]:
        """Append each unit, or return the error that prevented it. Appended entries are durable on return.

        The result of each unit, in order, is the id of its first entry (see `model.entry_id`), or RevisionMoved,
        TenantUnknown, EffectRefused, ClockBehind, LogBusy, RolledBack, or LogUnavailable if the log cannot be appended
        to. Refused units leave no trace.

        Raises:
            LogBusy: another process or thread holds the lock of the database; nothing was recorded.
            LogUnavailable: the transaction failed, and it may or may not have been committed.
        """
        until = time.monotonic() + LOCK_WAIT_S
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
        hashed = [(unit, [leaf_hash(entry) for entry in unit.entries]) for unit in units]
        refused = self._admit_logs(units)
        session = self._session
        with self._write_lock(TRY_S):
            try:
                return self._append(hashed, refused, wait=wait)
            except session.failures as error:
                if session.was_rolled_back(error):
                    return self._append_apart(hashed, refused)
                session.close()
                if not self._files.are_same():
                    self._engine.dispose()
                raise LogUnavailable("the log's database failed") from error

    def close_writer(self) -> None:
        """Close the connection for appending. The next append opens another one."""
        self._session.close()

    def close(self) -> None:
        """Close the store, which cannot be used again."""
        self.close_writer()
        for watch in self._watches:
            watch.close()
        self._write_lock.close()
        self.marks.close()

    def create(self, tenant: str, origin_id: str, now_us: int) -> int:
        """Create the log of a tenant, unless it exists. Return its number. The system log has the empty name.

        Raises:
            LogUnavailable: the database failed.
        """
        for _ in range(_RACES):
            try:
                return self._create(tenant, origin_id, now_us)
            except LogUnavailable as fault:
                # Another process took the number or created the same log: try again.
                if not isinstance(fault.__cause__, IntegrityError):
                    raise
        return self._create(tenant, origin_id, now_us)

    def _create(self, tenant: str, origin_id: str, now_us: int) -> int:
        with self.writing() as connection:
            return create(connection, tenant, origin_id, now_us)

    def amend(
        self,
        log_id: int,
        amendment: Callable[[Head], tuple[Head, bytes]],
        effect: Callable[[sa.Connection, Head, Head], None],
    ) -> Head:
        """Change the head of a log in a way that no append can, and record it in an entry. For acts of the operator.

        The head is not compared with the state seen before. `amendment` returns the new head and the entry. `effect`
        runs in the same transaction, and gets the heads before and after. If the generation changes, the nodes of the
        tree are sealed again, as far as they lead to the head; see `nodes`.

        Raises:
            TenantUnknown: there is no such log.
            LogUnavailable: the service did not write the head, or the database failed.
        """
        with self.writing() as connection:
            query = sa.select(*COLUMNS).where(log_head.c.log == log_id).with_for_update()
            row = connection.execute(query).one_or_none()
            if row is None:
                raise TenantUnknown("there is no such log")
            before = opened(self.row_mac, row)
            changed, entry = amendment(before)
            locked, rows = LockedHead.of(changed), list[dict[str, object]]()
            locked.time_us = max(changed.time_us, time_of(entry))
            extend(locked, Unit(log_id, (entry,)), [leaf_hash(entry)], rows)
            after = locked.extended()
            connection.execute(sa.insert(log_entry), rows)
            if after.generation != before.generation:
                nodes = self._nodes.verified(before, lambda _done: None) or []
                self._nodes.delete(connection, log_id)
                self._nodes.write(connection, after, nodes)
            self._nodes.write(connection, after, locked.nodes)
            row_of = {**dict(zip(Head.__slots__, fields_of(after), strict=True)), "seal": seal_of(self.row_mac, after)}
            connection.execute(sa.update(log_head).where(log_head.c.log == log_id).values(row_of))
            effect(connection, before, after)
        self.check_files()
        self.marks.note(after, new=True)
        return after

    @staticmethod
    def creation(tenant: str, origin_id: str, now_us: int) -> Callable[[sa.Connection], None]:
        """Return the effect that creates a log, for the entry that records it."""

        def effect(connection: sa.Connection) -> None:
            create(connection, tenant, origin_id, now_us)

        return effect

    def watch(self) -> HeadWatch:
        """Return a new watch of the heads, which this store closes."""
        self._watches.append(HeadWatch(self._engine))
        return self._watches[-1]

    def heads(self) -> list[Head]:
        """Return the heads of all logs, in the order of their numbers."""
        return self._heads(sa.true())

    def head(self, log_id: int) -> Head:
        """Return the head of one log.

        Raises:
            TenantUnknown: there is no such log.
        """
        for head in self._heads(log_head.c.log == log_id):
            return head
        raise TenantUnknown("there is no such log")

    def head_of(self, tenant: str) -> Head:
        """Return the head of a tenant's log.

        Raises:
            TenantUnknown: there is no such tenant.
        """
        for head in self._heads(log_head.c.tenant == tenant):
            return head
        raise TenantUnknown("there is no such tenant")

    def verified_head(self, log_id: int) -> Head:
        """Return the head of a log after verifying its seal and comparing it with the state seen before.

        Raises:
            TenantUnknown: there is no such log.
            RolledBack: the head is older than, or differs from, the state seen before.
            LogUnavailable: the service did not write the head, or the database failed.
        """
        seen = self.marks.seen(log_id)  # before the row is read: another thread may append meanwhile
        with self.reading() as connection:
            row = connection.execute(sa.select(*COLUMNS).where(log_head.c.log == log_id)).one_or_none()
        if row is None:
            raise TenantUnknown("there is no such log")
        head = opened(self.row_mac, row)
        self.marks.check(head, seen)
        self._remember(head, seen)
        return head

    def verified_heads(self, log_ids: Sequence[int]) -> dict[int, Head | AuditError]:
        """Return for each log what `verified_head` returns or raises, from one read.

        Raises:
            LogUnavailable: the database failed.
        """
        with self.reading() as connection:
            rows = connection.execute(sa.select(*COLUMNS).where(log_head.c.log.in_(log_ids))).all()
        found: dict[int, Head | AuditError] = dict.fromkeys(log_ids, TenantUnknown("there is no such log"))
        for row in rows:
            try:
                found[row.log] = self.opened(row)
            except AuditError as error:
                found[row.log] = error
        return found

    def admitted_head(self, log_id: int) -> Head:
        """Return what `verified_head` returns. A log that is new to this process is admitted first."""
        if self.marks.seen(log_id) is None:
            self.admit(log_id)
        return self.verified_head(log_id)

    def opened(self, row: Any) -> Head:
        """Return the head in a row of `heads.COLUMNS`. Raises as `verified_head` does."""
        head = opened(self.row_mac, row)
        seen = self.marks.seen(head.log)
        try:
            self.marks.check(head, seen)
        except RolledBack:
            self.verified_head(head.log)  # another thread may have appended after the row was read
        else:
            self._remember(head, seen)
        return head

    def check_files(self) -> None:
        """Check that the files of the database are those that are open. Close all connections if not.

        Raises:
            LogUnavailable: the files were replaced or removed.
        """
        if not self._files.are_same():
            self.close_writer()
            self._engine.dispose()
            raise LogUnavailable("the database file was replaced or removed")

    def entry(self, log_id: int, index: int) -> bytes:
        """Return the bytes of one entry.

        Raises:
            EntryNotFound: the log is shorter, or lacks the entry.
        """
        found = self.stored(log_id, index, index + 1).get(index)
        if found is None:
            raise EntryNotFound("the log has no entry at that index")
        return found[1]

    def entries(self, log_id: int, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of the entries `start` to `stop - 1`, in order, as they were hashed.

        Raises:
            LogDamaged: an entry is missing. Those before it were yielded, except at most 2,047.
            LogUnavailable: the database failed.
        """
        return self._entries.entries(log_id, start, stop)

    def leaf_hashes(self, log_id: int, start: int, stop: int) -> Iterator[bytes]:
        """Yield the leaf hashes of the entries `start` to `stop - 1`, in order. Raises as `entries` does."""
        return self._entries.leaf_hashes(log_id, start, stop)

    def stored(self, log_id: int, start: int, stop: int) -> dict[int, tuple[bytes, bytes]]:
        """Return the stored leaf hash and bytes of each entry from `start` to `stop - 1`, by index.

        Neither is verified. An entry whose row is missing, or has a value that is not bytes, is left out.

        Raises:
            ValueError: these are more than 4,096 entries.
            LogUnavailable: the database failed.
        """
        return self._entries.stored(log_id, start, stop)

    def entries_at(self, log_id: int, indexes: Sequence[int]) -> dict[int, bytes]:
        """Return the bytes of single entries by index, not verified. Missing entries are left out.

        Raises:
            LogUnavailable: the database failed.
        """
        return self._entries.entries_at(log_id, indexes)

    def damaged(self, log_id: int, start: int, stop: int) -> list[int]:
        """Return the entries from `start` to `stop - 1` that are missing or do not have their stored leaf hash.

        These are the first 256 at most.

        Raises:
            LogUnavailable: the database failed.
        """
        return self._entries.damaged(log_id, start, stop)

    def nodes(self, log_id: int, level: int, start: int, stop: int) -> list[bytes | None]:
        """Return the hashes of the stored nodes `start` to `stop - 1` of a level; None where no valid one is stored.

        `level` is one of KEPT_LEVELS.

        Raises:
            TenantUnknown: there is no such log.
            LogUnavailable: the service did not write the head, or the database failed.
        """
        # The generation comes from a verified head, or an intruder could set it back together with the nodes.
        head = self.marks.seen(log_id) or self.verified_head(log_id)
        return self._nodes.stored(log_id, head.generation, level, start, stop)

    def rebuild_nodes(self, log_id: int, on_progress: OnProgress = lambda _done: None) -> bool:
        """Store all nodes of a log again, if its leaf hashes lead to its head. Return whether they do.

        `on_progress` is called with the number of entries that are done, about every 65,536 entries.

        Raises:
            TenantUnknown: there is no such log.
            RolledBack: the log is older than it was seen before.
            LogUnavailable: the service did not write the head, or the database failed.
        """
        head = self.verified_head(log_id)
        nodes = self._nodes.verified(head, on_progress)
        if nodes is None:
            return False
        with self.writing() as connection:
            query = sa.select(*COLUMNS).where(log_head.c.log == log_id).with_for_update()
            if opened(self.row_mac, connection.execute(query).one()).generation != head.generation:
                raise LogUnavailable("the log was recovered a moment ago: try again")
            self._nodes.write(connection, head, nodes)
        return True

    def without_nodes(self) -> list[int]:
        """Return the logs with at least 256 entries and no stored node of the first of these.

        Raises:
            LogUnavailable: the database failed.
        """
        return self._nodes.missing()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Provide a connection that reads one consistent state of the database.

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
        """Provide a write transaction for rows that are not entries.

        Raises:
            LogUnavailable: the database failed.
        """
        try:
            with self._write_lock(), self._engine.connect() as plain:
                connection = plain.execution_options(writes=True, **self._options)
                with connection.begin():
                    self._session.settle()
                    yield connection
        except (SQLAlchemyError, OSError) as error:
            self._session.unsettle()
            raise LogUnavailable("the log's database failed") from error

    def _admit_logs(self, units: Sequence[Unit]) -> Refusals:
        """Admit the logs to which this process appends for the first time. Return those that are refused."""
        refused: Refusals = {}
        for log_id in {unit.log for unit in units}:
            if self.marks.seen(log_id) is None:
                try:
                    self.admit(log_id)
                except TenantUnknown:
                    continue  # returned below as the result of each of its units
                except AuditError as error:
                    refused[log_id] = error
        return refused

    def _append_apart(self, hashed: Hashed, refused: Refusals) -> list[int | AuditError]:
        """Append log by log, after a transaction of all logs was rolled back because of data of one of them."""
        results: list[int | AuditError] = [LogUnavailable("the log's database failed")] * len(hashed)
        for log_id in sorted({unit.log for unit, _ in hashed}):
            places = [place for place, (unit, _) in enumerate(hashed) if unit.log == log_id]
            own: list[int | AuditError]
            try:
                own = self._append([hashed[place] for place in places], refused, wait=False)
            except LogUnavailable as refusal:
                own = [refusal] * len(places)
            except self._session.failures as error:
                own = [_refusal(error)] * len(places)
                if not self._session.was_rolled_back(error):
                    self.close_writer()
                    return results
            for place, result in zip(places, own, strict=True):
                results[place] = result
        return results

    def _append(self, hashed: Hashed, refused: Refusals, *, wait: bool) -> list[int | AuditError]:
        session = self._session
        connection = session.connection()
        cursor: Any = connection.connection.cursor()
        try:
            session.begin(cursor, [unit for unit, _ in hashed])
            results, heads = self._statements.run(connection, cursor, hashed, refused, wait=wait)
            session.commit(cursor)
        except BaseException:
            session.roll_back(cursor)
            raise
        finally:
            cursor.close()
        # The commit may have been written to a file that was removed.
        self.check_files()
        for head in heads:
            self.marks.note(head, new=self.marks.seen(head.log) is None)
        return results

    def _heads(self, condition: sa.ColumnElement[bool]) -> list[Head]:
        query = sa.select(*COLUMNS).where(condition).order_by(log_head.c.log)
        with self.reading() as connection:
            return [Head(*row[:-1]) for row in connection.execute(query)]

    def _remember(self, head: Head, seen: Head | None) -> None:
        """Remember a head that another process wrote, after verifying that it continues the one seen before."""
        if seen is not None and head.size > seen.size and head.generation == seen.generation:
            check_growth(seen, head, self.leaf_hashes(head.log, seen.size, head.size))
            self.marks.note(head)


def _refusal(error: BaseException) -> LogUnavailable:
    cause = error.orig if isinstance(error, DBAPIError) else error
    busy = getattr(cause, "sqlstate", None) in _LOCKED
    refusal = LogBusy("a lock of the log is held by another") if busy else LogUnavailable("the log's database failed")
    refusal.__cause__ = error
    return refusal

"""Records with a state, receipts of notices, and the leases of captures that run.

A record is changed only inside an append of the log, and only from the version it was read at. Of two concurrent
changes one is refused, and must be made again. Leases and live counters are not history. They are written outside the
log, and a lease that a crash leaves behind expires.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from linewarden.audit.errors import EffectRefused
from linewarden.audit.store.log import LogStore
from linewarden.diagnostics.consent_model import Receipt, ReceiptCounts, ReceiptFact
from linewarden.diagnostics.store.schema import lease as _lease
from linewarden.diagnostics.store.schema import receipt as _receipt
from linewarden.diagnostics.store.schema import record as _record


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as read. A change must name its `version`."""

    log: int
    kind: str
    id: str
    version: int
    created_us: int
    state: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RecordChange:
    """The new content of a record. `replaces` is the version it was read at, 0 for a new record.

    `due_us` is when the service must process the record without a request; None if never.
    """

    kind: str
    id: str
    replaces: int
    created_us: int
    state: str
    body: bytes
    due_us: int | None = None


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The maximum number of records of a kind in these states, the change that it comes with included."""

    kind: str
    states: frozenset[str]
    most: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The process that watches the worker of a capture, the end of its lease, and the counters at the last renewal."""

    holder: str
    until_us: int
    counters: bytes


class RecordStore:
    """Reads records, receipts and leases of all tenants."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def get(self, log_id: int, kind: str, id: str) -> StoredRecord | None:
        """Return one record; None if it does not exist.

        Raises:
            LogUnavailable: the database failed.
        """
        rows = self._select(sa.and_(_record.c.log == log_id, _record.c.kind == kind, _record.c.id == id), 1)
        return rows[0] if rows else None

    def page(self, log_id: int, kind: str, before: tuple[int, str] | None, size: int) -> list[StoredRecord]:
        """Return records of a kind, the newest first; `before` is time and id of the last record of the page before.

        Raises:
            LogUnavailable: the database failed.
        """
        condition = sa.and_(_record.c.log == log_id, _record.c.kind == kind)
        if before is not None:
            at, id = before
            older = sa.or_(_record.c.created_us < at, sa.and_(_record.c.created_us == at, _record.c.id < id))
            condition = sa.and_(condition, older)
        return self._select(condition, size)

    def in_state(self, kind: str, states: Iterable[str], log_id: int | None = None) -> list[StoredRecord]:
        """Return all records of a kind in one of these states, of one tenant or of all.

        Raises:
            LogUnavailable: the database failed.
        """
        condition = sa.and_(_record.c.kind == kind, _record.c.state.in_(list(states)))
        return self._select(condition if log_id is None else sa.and_(condition, _record.c.log == log_id), None)

    def due(self, kind: str, now_us: int, after: tuple[int, str], most: int) -> list[StoredRecord]:
        """Return the due records of all tenants, in the order of log and id, after `after`; at most `most`.

        Raises:
            LogUnavailable: the database failed.
        """
        log_id, id = after
        later = sa.or_(_record.c.log > log_id, sa.and_(_record.c.log == log_id, _record.c.id > id))
        condition = sa.and_(_record.c.kind == kind, _record.c.due_us <= now_us, later)
        return self._select(condition, most, (_record.c.log, _record.c.id))

    def count(self, log_id: int, kind: str, states: Iterable[str]) -> int:
        """Return the number of records of a kind in one of these states.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._store.reading() as connection:
            return _count(connection, log_id, kind, states)

    def counts(self, log_id: int, notice: str, version: int) -> ReceiptCounts:
        """Return the number of persons for each fact, for any capture.

        Raises:
            LogUnavailable: the database failed.
        """
        where = (_receipt.c.log == log_id, _receipt.c.notice == notice, _receipt.c.notice_version == version)
        people = sa.func.count(sa.distinct(_receipt.c.sid))
        query = sa.select(_receipt.c.fact, people).where(*where).group_by(_receipt.c.fact)
        with self._store.reading() as connection:
            found = {ReceiptFact(fact): int(count) for fact, count in connection.execute(query)}
        return ReceiptCounts(**{fact.value: found.get(fact, 0) for fact in ReceiptFact})

    def receipts(self, log_id: int, notice: str, version: int, capture: str, fact: ReceiptFact) -> dict[str, int]:
        """Return the time of this fact, by person.

        Raises:
            LogUnavailable: the database failed.
        """
        query = sa.select(_receipt.c.sid, _receipt.c.at_us).where(
            _receipt.c.log == log_id,
            _receipt.c.notice == notice,
            _receipt.c.notice_version == version,
            _receipt.c.session == capture,
            _receipt.c.fact == fact.value,
        )
        with self._store.reading() as connection:
            return {sid: int(at) for sid, at in connection.execute(query)}

    def lease(self, log_id: int, capture: str) -> Lease | None:
        """Return the lease of a capture; None if it never had one.

        Raises:
            LogUnavailable: the database failed.
        """
        query = sa.select(_lease.c.holder, _lease.c.until_us, _lease.c.counters)
        with self._store.reading() as connection:
            row = connection.execute(query.where(_lease.c.log == log_id, _lease.c.session == capture)).first()
        return None if row is None else Lease(row[0], int(row[1]), bytes(row[2]))

    def renew(self, log_id: int, capture: str, lease: Lease) -> None:
        """Write the lease of a capture.

        Raises:
            LogUnavailable: the database failed.
        """
        values = {"holder": lease.holder, "until_us": lease.until_us, "counters": lease.counters}
        key = sa.and_(_lease.c.log == log_id, _lease.c.session == capture)
        with self._store.writing() as connection:
            if not connection.execute(sa.update(_lease).where(key).values(values)).rowcount:
                connection.execute(sa.insert(_lease), values | {"log": log_id, "session": capture})

    def _select(
        self,
        condition: sa.ColumnElement[bool],
        limit: int | None,
        order: Sequence[sa.ColumnElement[Any]] = (_record.c.created_us.desc(), _record.c.id.desc()),
    ) -> list[StoredRecord]:
        columns = (
            _record.c.log,
            _record.c.kind,
            _record.c.id,
            _record.c.version,
            _record.c.created_us,
            _record.c.state,
        )
        query = sa.select(*columns, _record.c.body).where(condition)
        query = query.order_by(*order).limit(limit)
        with self._store.reading() as connection:
            rows = connection.execute(query).all()
        return [
            StoredRecord(log_id, kind, id, version, at, state, bytes(body))
            for log_id, kind, id, version, at, state, body in rows
        ]


def apply_changes(connection: Any, log_id: int, changes: Sequence[RecordChange]) -> None:
    """Write records inside an append, under the lock of their log.

    Raises:
        EffectRefused: a record was changed since it was read.
    """
    for change in changes:
        values = {"version": change.replaces + 1, "state": change.state, "body": change.body, "due_us": change.due_us}
        key = sa.and_(_record.c.log == log_id, _record.c.kind == change.kind, _record.c.id == change.id)
        if change.replaces:
            known = sa.and_(key, _record.c.version == change.replaces)
            fresh = connection.execute(sa.update(_record).where(known).values(values)).rowcount == 1
        else:
            fresh = not connection.scalar(sa.select(sa.func.count()).select_from(_record).where(key))
            if fresh:
                row = {"log": log_id, "kind": change.kind, "id": change.id, "created_us": change.created_us}
                connection.execute(sa.insert(_record), values | row)
        if not fresh:
            raise EffectRefused("a record was changed meanwhile")


def check_unchanged(connection: Any, log_id: int, records: Iterable[StoredRecord]) -> None:
    """Make sure, inside an append, that records are unchanged since they were read.

    Raises:
        EffectRefused: a record was changed.
    """
    for record in records:
        key = sa.and_(_record.c.log == log_id, _record.c.kind == record.kind, _record.c.id == record.id)
        if connection.scalar(sa.select(_record.c.version).where(key)) != record.version:
            raise EffectRefused("a record was changed meanwhile")


def check_ceilings(connection: Any, log_id: int, ceilings: Iterable[Ceiling]) -> None:
    """Make sure, inside an append and after its changes, that no ceiling is exceeded.

    Raises:
        EffectRefused: a ceiling is exceeded.
    """
    for ceiling in ceilings:
        if _count(connection, log_id, ceiling.kind, ceiling.states) > ceiling.most:
            raise EffectRefused("there are too many records of this kind")


def add_receipts(connection: Any, log_id: int, notice: str, version: int, receipts: Sequence[Receipt]) -> None:
    """Write receipts inside an append.

    Raises:
        EffectRefused: a receipt was recorded since the list was made.
    """
    frame = {"log": log_id, "notice": notice, "notice_version": version}
    for receipt in receipts:
        row = frame | {"session": receipt.capture, "sid": receipt.sid, "fact": receipt.fact.value}
        key = [getattr(_receipt.c, name) == value for name, value in row.items()]
        if connection.scalar(sa.select(sa.func.count()).select_from(_receipt).where(*key)):
            raise EffectRefused("the receipt was recorded meanwhile")
        channel = "" if receipt.channel is None else receipt.channel.value
        connection.execute(sa.insert(_receipt), row | {"channel": channel, "at_us": receipt.at_us})


def _count(connection: Any, log_id: int, kind: str, states: Iterable[str]) -> int:
    condition = sa.and_(_record.c.log == log_id, _record.c.kind == kind, _record.c.state.in_(list(states)))
    return int(connection.scalar(sa.select(sa.func.count()).select_from(_record).where(condition)))

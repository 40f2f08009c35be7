"""Statements and versions of policies, for every revision.

A statement is never changed: it is added in one revision and removed in another. So the policy in force at any
revision can be read, and a process that knows one revision reads only what changed since. The id of a statement is
the revision that added it and its place among the added: it says nothing about the text, which may name persons, and
can therefore stand in the log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from linewarden.audit.store.log import LogStore
from linewarden.audit.store.schema import BigInt, Name

metadata = sa.MetaData()

_version = sa.Table(
    "policy_version",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("revision", BigInt, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)

_statement = sa.Table(
    "policy_statement",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("added_in", BigInt, primary_key=True, autoincrement=False),
    sa.Column("ordinal", BigInt, primary_key=True, autoincrement=False),
    sa.Column("removed_in", BigInt),
    sa.Column("text", Name, nullable=False),
    sa.Index("policy_statement_removed", "log", "removed_in"),
)

NO_POLICY_HASH = bytes(32)


@dataclass(frozen=True, slots=True)
class StoredStatement:
    """A statement in force, with the id that decisions refer to."""

    added_in: int
    ordinal: int
    text: str

    @property
    def id(self) -> str:
        """`revision.ordinal`."""
        return f"{self.added_in}.{self.ordinal}"


@dataclass(frozen=True, slots=True)
class PolicyDelta:
    """What leads from the policy of one revision to that of `revision`."""

    revision: int
    hash: bytes
    added: Sequence[StoredStatement]
    removed: Sequence[StoredStatement]


class PolicyStore:
    """The policies of all tenants."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def since(self, log: int, revision: int) -> PolicyDelta:
        """What changed since `revision`; 0 is the empty policy.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._store.reading() as connection:
            # Bounded by the version read first: a change that commits between the statements belongs to the next look.
            now, hash = _latest(connection, log)
            gone = sa.and_(_statement.c.removed_in.is_not(None), _statement.c.removed_in <= now)
            new = sa.and_(_statement.c.added_in > revision, _statement.c.added_in <= now)
            added = _select(connection, log, sa.and_(new, sa.not_(gone)))
            old = sa.and_(_statement.c.added_in <= revision, _statement.c.removed_in > revision)
            removed = _select(connection, log, sa.and_(old, _statement.c.removed_in <= now))
        return PolicyDelta(now, hash, added, removed)

    def version(self, log: int) -> tuple[int, bytes]:
        """The revision and the hash of the policy in force.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._store.reading() as connection:
            return _latest(connection, log)

    def page(self, log: int, revision: int, after: tuple[int, int], limit: int) -> list[StoredStatement]:
        """Statements in force at `revision`, in the order of their ids, beyond the id `after`.

        Raises:
            LogUnavailable: the database failed.
        """
        beyond = sa.tuple_(_statement.c.added_in, _statement.c.ordinal) > sa.tuple_(*map(sa.literal, after))
        with self._store.reading() as connection:
            return list(_select(connection, log, sa.and_(_in_force(revision), beyond), limit))


def apply_change(
    connection: sa.Connection, log: int, revision: int, hash: bytes, added: Iterable[str], removed: Iterable[str]
) -> None:
    """Store what makes `revision`, inside an append, under the lock of the log. `removed` are ids."""
    connection.execute(sa.insert(_version), {"log": log, "revision": revision, "hash": hash})
    rows = [{"log": log, "added_in": revision, "ordinal": n, "text": text} for n, text in enumerate(added, 1)]
    if rows:
        connection.execute(sa.insert(_statement), rows)
    keys = [dict(zip(("a", "o"), map(int, id.split(".")), strict=True)) for id in removed]
    if keys:
        key = sa.and_(_statement.c.added_in == sa.bindparam("a"), _statement.c.ordinal == sa.bindparam("o"))
        gone = sa.update(_statement).where(_statement.c.log == log, key).values(removed_in=revision)
        connection.execute(gone, keys)


def _latest(connection: sa.Connection, log: int) -> tuple[int, bytes]:
    newest = sa.select(_version.c.revision, _version.c.hash).where(_version.c.log == log)
    row = connection.execute(newest.order_by(_version.c.revision.desc()).limit(1)).one_or_none()
    return (0, NO_POLICY_HASH) if row is None else (int(row.revision), bytes(row.hash))


def _in_force(revision: int) -> sa.ColumnElement[bool]:
    removed = _statement.c.removed_in
    return sa.and_(_statement.c.added_in <= revision, sa.or_(removed.is_(None), removed > revision))


def _select(
    connection: sa.Connection, log: int, condition: sa.ColumnElement[bool], limit: int | None = None
) -> Sequence[StoredStatement]:
    key = (_statement.c.added_in, _statement.c.ordinal)
    query = sa.select(*key, _statement.c.text).where(_statement.c.log == log, condition).order_by(*key).limit(limit)
    return [StoredStatement(*row) for row in connection.execute(query)]

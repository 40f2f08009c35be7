"""Statements and versions of policies, for every revision.

A statement is never changed: one revision adds it and another removes it. So the policy of any revision can be read,
and a process that knows one revision reads only the later changes. The id of a statement is the revision that added it
and its ordinal there. It says nothing about the text, which may name persons, so the log may contain it.

Each version has a seal, a MAC over the set of statements in force. Statements that are read are verified against the
seal of the revision that the head of the log names.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from linewarden.audit.errors import LogDamaged, LogUnavailable, RolledBack
from linewarden.audit.keyring import SUMS, RowMac
from linewarden.audit.model import Head
from linewarden.audit.store.heads import COLUMNS, row_mac_of
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.schema import BigInt, Name, log_head
from linewarden.authz.errors import PolicyNotOurs
from linewarden.authz.store.seal import EMPTY, NONCE_BYTES, Version, open_version, seal_version, sum_of

metadata = sa.MetaData()

_version = sa.Table(
    "policy_version",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("revision", BigInt, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("seal", sa.LargeBinary, comment="see `seal`; without one the policy is not believed"),
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
    """A statement in force, with the id by which decisions refer to it."""

    added_in: int
    ordinal: int
    text: str

    @property
    def id(self) -> str:
        """`revision.ordinal`."""
        return f"{self.added_in}.{self.ordinal}"


@dataclass(frozen=True, slots=True)
class PolicyDelta:
    """The changes from an earlier revision to `revision`, whose statements have the sum `total`."""

    revision: int
    hash: bytes
    added: Sequence[StoredStatement]
    removed: Sequence[StoredStatement]
    total: int


class PolicyStore:
    """The stored policies of all tenants."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def since(self, log_id: int, revision: int, total: int = EMPTY) -> PolicyDelta:
        """Return the changes since `revision`, whose statements have the sum `total`. Revision 0 is the empty policy.

        Raises:
            PolicyNotOurs: the result is not the policy that the service wrote.
            LogUnavailable: the database failed.
        """
        with self._store.reading() as connection:
            # Bounded by the version read first, because a change may commit between these queries.
            version = self._latest(connection, log_id)
            now = version.revision
            gone = sa.and_(_statement.c.removed_in.is_not(None), _statement.c.removed_in <= now)
            new = sa.and_(_statement.c.added_in > revision, _statement.c.added_in <= now)
            added = _select(connection, log_id, sa.and_(new, sa.not_(gone)))
            # The sum keeps SQLite from using the primary key for `added_in`, where it would scan the whole policy
            # instead of the few rows in the index of removed statements.
            old = sa.and_(_statement.c.added_in + 0 <= revision, _statement.c.removed_in > revision)
            removed = _select(connection, log_id, sa.and_(old, _statement.c.removed_in <= now))
        row_mac = self._store.row_mac
        total += sum_of(row_mac, log_id, added) - sum_of(row_mac, log_id, removed)
        if version.total != total % SUMS:
            raise PolicyNotOurs("statements of the policy are not those that the service wrote", log_id)
        return PolicyDelta(now, version.hash, added, removed, version.total)

    def by_size(self) -> list[int]:
        """Return the logs that have a policy, those with the most statements first.

        Raises:
            LogUnavailable: the database failed.
        """
        in_force = sa.func.count()
        query = sa.select(_statement.c.log).where(_statement.c.removed_in.is_(None)).group_by(_statement.c.log)
        with self._store.reading() as connection:
            return list(connection.scalars(query.order_by(in_force.desc(), _statement.c.log)))

    def _latest(self, connection: sa.Connection, log_id: int) -> Version:
        # One statement, so that head and version are of the same state in every database.
        of_head = sa.and_(_version.c.log == log_head.c.log, _version.c.revision == log_head.c.revision)
        both = sa.select(*COLUMNS, _version.c.hash, _version.c.seal).select_from(log_head.outerjoin(_version, of_head))
        row = connection.execute(both.where(log_head.c.log == log_id)).one_or_none()
        if row is None:
            raise PolicyNotOurs("the log of the policy has no head", log_id)
        try:
            head = self._store.opened(row[:-2])
        except (RolledBack, LogDamaged):
            raise
        except LogUnavailable as fault:
            raise PolicyNotOurs("the head of the policy's log is not one that the service wrote", log_id) from fault
        return _opened(self._store.row_mac, log_id, head.origin_id, head.revision, row[-2:])


def apply_change(
    connection: sa.Connection,
    log_id: int,
    revision: int,
    hash: bytes,
    added: Iterable[str],
    removed: Sequence[StoredStatement],
) -> None:
    """Store the changes that make `revision`, inside an append, under the lock of the log.

    Raises:
        PolicyNotOurs: the version before is not one that the service wrote.
    """
    row_mac = row_mac_of(connection)
    new = [StoredStatement(revision, n, text) for n, text in enumerate(added, 1)]
    # Removed statements were read and verified before. If one was forged, no stored statements have the new sum.
    before = _version_at(connection, log_id, revision - 1)
    total = (before.total + sum_of(row_mac, log_id, new) - sum_of(row_mac, log_id, removed)) % SUMS
    seal = seal_version(row_mac, Version(before.origin, revision, hash, total), os.urandom(NONCE_BYTES))
    connection.execute(sa.insert(_version), {"log": log_id, "revision": revision, "hash": hash, "seal": seal})
    rows = [{"log": log_id, "added_in": one.added_in, "ordinal": one.ordinal, "text": one.text} for one in new]
    if rows:
        connection.execute(sa.insert(_statement), rows)
    keys = [{"a": one.added_in, "o": one.ordinal} for one in removed]
    if keys:
        key = sa.and_(_statement.c.added_in == sa.bindparam("a"), _statement.c.ordinal == sa.bindparam("o"))
        gone = sa.update(_statement).where(_statement.c.log == log_id, key).values(removed_in=revision)
        connection.execute(gone, keys)


def carry_over(connection: sa.Connection, before: Head, after: Head) -> None:
    """Seal the policy in force for the head that an operator's recovery creates, inside its transaction.

    Raises:
        PolicyNotOurs: the policy is not one that the service wrote.
    """
    version = _version_at(connection, before.log, before.revision, before.origin_id)
    carried = version._replace(origin=after.origin_id, revision=after.revision)
    seal = seal_version(row_mac_of(connection), carried, os.urandom(NONCE_BYTES))
    row = {"log": after.log, "revision": after.revision, "hash": carried.hash, "seal": seal}
    connection.execute(sa.insert(_version), row)


def _version_at(connection: sa.Connection, log_id: int, revision: int, origin: str = "") -> Version:
    """Return a version of an origin, by default that of the head, which the append has verified."""
    at = sa.and_(_version.c.log == log_head.c.log, _version.c.revision == revision)
    both = sa.select(log_head.c.origin_id, _version.c.hash, _version.c.seal)
    found, *row = connection.execute(
        both.select_from(log_head.outerjoin(_version, at)).where(log_head.c.log == log_id)
    ).one()
    return _opened(row_mac_of(connection), log_id, origin or found, revision, row)


def _opened(row_mac: RowMac, log_id: int, origin: str, revision: int, row: Sequence[Any]) -> Version:
    """Return the version that the hash and seal of a row state. Revision 0 has no row."""
    found = (
        Version(origin, 0, NO_POLICY_HASH, EMPTY) if revision == 0 else open_version(row_mac, origin, revision, *row)
    )
    if found is None:
        raise PolicyNotOurs("the seal of the policy is not one that the service made", log_id)
    return found


def _select(connection: sa.Connection, log_id: int, condition: sa.ColumnElement[bool]) -> Sequence[StoredStatement]:
    key = (_statement.c.added_in, _statement.c.ordinal)
    query = sa.select(*key, _statement.c.text).where(_statement.c.log == log_id, condition).order_by(*key)
    return [StoredStatement(*row) for row in connection.execute(query)]

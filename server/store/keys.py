"""API keys in the database. A change is an entry of the system log and moves its revision.

Each revision has a seal over all keys. Every read, and every change, compares the keys with the seal of the revision
that the head of the system log names.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from hmac import compare_digest
from typing import Any

import orjson
import sqlalchemy as sa

from linewarden.audit.errors import EffectRefused, LogDamaged, LogUnavailable, RolledBack
from linewarden.audit.keyring import RowMac
from linewarden.audit.model import SYSTEM_LOG, Head
from linewarden.audit.store.heads import COLUMNS, opened, row_mac_of
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.schema import BigInt, Name, log_head
from linewarden.server.credentials import ApiKey, KeySet
from linewarden.server.errors import KeysNotOurs

metadata = sa.MetaData()

_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", Name, primary_key=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("caller", Name, nullable=False),
    sa.Column("tenants", sa.Text, nullable=False, comment="JSON list"),
    sa.Column("methods", sa.Text, nullable=False, comment="JSON list"),
    sa.Column("created_us", BigInt, nullable=False),
    sa.Column("expires_us", BigInt),
    sa.Column("revoked_us", BigInt),
)

_seal = sa.Table(
    "api_key_seal",
    metadata,
    sa.Column("revision", BigInt, primary_key=True, autoincrement=False),
    sa.Column("seal", sa.LargeBinary, nullable=False, comment="over all keys as of this revision"),
)

_PURPOSE = b"keys"


class KeyStore:
    """All keys of one database."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def load(self) -> KeySet:
        """Return all keys and the revision they are of.

        Raises:
            KeysNotOurs: they are not those that the service wrote.
            LogUnavailable: the database failed.
        """
        with self._store.reading() as connection:
            head, rows = _verified(connection, self._store.row_mac, self._store.opened)
        return KeySet(0 if head is None else head.revision, map(_from_row, rows))

    def all(self) -> list[ApiKey]:
        """Return all keys, oldest first.

        Raises:
            KeysNotOurs: they are not those that the service wrote.
            LogUnavailable: the database failed.
        """
        with self._store.reading() as connection:
            _, rows = _verified(connection, self._store.row_mac, self._store.opened)
        return sorted(map(_from_row, rows), key=lambda key: key.created_us)


def insertion(key: ApiKey) -> Callable[[sa.Connection], None]:
    """Return the effect that stores a key. It raises KeysNotOurs. Use one such effect per append."""

    def insert(connection: sa.Connection) -> None:
        head = _verified_head(connection)
        row = {
            "id": key.id,
            "secret_hash": key.secret_hash,
            "caller": key.caller,
            "tenants": orjson.dumps(sorted(key.tenants)).decode(),
            "methods": orjson.dumps(sorted(key.methods)).decode(),
            "created_us": key.created_us,
            "expires_us": key.expires_us,
        }
        connection.execute(sa.insert(_key), row)
        _seal_anew(connection, head)

    return insert


def revocation(id: str, now_us: int) -> Callable[[sa.Connection], None]:
    """Return the effect that revokes a key. It raises EffectRefused without such a valid key; else see `insertion`."""

    def revoke(connection: sa.Connection) -> None:
        head = _verified_head(connection)
        valid = sa.and_(_key.c.id == id, _key.c.revoked_us.is_(None))
        if connection.execute(sa.update(_key).where(valid).values(revoked_us=now_us)).rowcount != 1:
            raise EffectRefused("there is no such key, or it is revoked already")
        _seal_anew(connection, head)

    return revoke


def carry_over(connection: sa.Connection, before: Head, after: Head) -> None:
    """Seal the keys for the head that an operator's recovery of the system log makes, inside its transaction.

    Raises:
        KeysNotOurs: they are not those that the service wrote.
    """
    seals = row_mac_of(connection)
    seal = connection.scalar(sa.select(_seal.c.seal).where(_seal.c.revision == before.revision))
    rows = connection.execute(sa.select(_key)).all()
    if not _is_ours(seals, before, seal or b"", rows):
        raise KeysNotOurs("the stored keys are not those that the service wrote")
    row = {"revision": after.revision, "seal": seal_of(seals, after, list(map(_plain, rows)))}
    connection.execute(sa.insert(_seal), row)


def seal_of(seals: RowMac, head: Head, rows: Sequence[Sequence[object]]) -> bytes:
    """Return the seal over all keys at the revision of a head. A row is its columns, with bytes as hexadecimal."""
    ordered = sorted(map(list, rows), key=lambda row: str(row[0]))
    return seals.mac(_PURPOSE, (head.origin_id, head.revision, ordered))


def _seal_anew(connection: sa.Connection, before: Head) -> None:
    """Seal the changed keys for the revision after that of the head."""
    seals, head = row_mac_of(connection), replace(before, revision=before.revision + 1)
    seal = seal_of(seals, head, list(map(_plain, connection.execute(sa.select(_key)))))
    connection.execute(sa.insert(_seal), {"revision": head.revision, "seal": seal})


def _verified(
    connection: sa.Connection, seals: RowMac, open_head: Callable[[Any], Head]
) -> tuple[Head | None, list[Any]]:
    """Return the head of the system log, or None, and the rows of the keys; inside an append, those before it."""
    # In one statement, so that head, seal and keys are of one moment in every database.
    source = log_head.outerjoin(_seal, _seal.c.revision == log_head.c.revision).outerjoin(_key, sa.true())
    parts = (*COLUMNS, _seal.c.seal.label("keys_seal"), *_key.c)
    query = sa.select(*parts).select_from(source).where(log_head.c.log == SYSTEM_LOG)
    found = connection.execute(query).all()
    if not found:
        return None, []
    first, ends = found[0], len(COLUMNS)
    try:
        head = open_head(first[:ends])
    except (RolledBack, LogDamaged):
        raise
    except LogUnavailable as fault:
        raise KeysNotOurs("the head of the system log is not one that the service wrote") from fault
    rows = [row[ends + 1 :] for row in found if row[ends + 1] is not None]
    if not _is_ours(seals, head, first.keys_seal, rows):
        raise KeysNotOurs("the stored keys are not those that the service wrote")
    return head, rows


def _verified_head(connection: sa.Connection) -> Head:
    """Return the head that a change of keys begins with. Inside an append it exists."""
    seals = row_mac_of(connection)
    head, _ = _verified(connection, seals, lambda row: opened(seals, row))
    assert head is not None
    return head


def _is_ours(seals: RowMac, head: Head, seal: bytes, rows: Sequence[Any]) -> bool:
    if head.revision == 0:
        return not rows
    # SQLite does not check column types, so a foreign program may have stored a number in place of bytes.
    with suppress(TypeError, AttributeError):
        return compare_digest(seal_of(seals, head, list(map(_plain, rows))), seal)
    return False


def _plain(row: Any) -> list[object]:
    id, secret_hash, *others = row
    return [id, secret_hash.hex(), *others]


def _from_row(row: Any) -> ApiKey:
    id, secret_hash, caller, tenants, methods, created_us, expires_us, revoked_us = row
    return ApiKey(
        id=id,
        secret_hash=bytes(secret_hash),
        caller=caller,
        tenants=frozenset(orjson.loads(tenants)),
        methods=frozenset(orjson.loads(methods)),
        created_us=created_us,
        expires_us=expires_us,
        revoked_us=revoked_us,
    )

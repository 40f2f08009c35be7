"""API keys in the database. A change is an entry of the system log and moves its revision."""

from collections.abc import Callable
from typing import Any

import orjson
import sqlalchemy as sa

from linewarden.audit.errors import EffectRefused
from linewarden.audit.model import SYSTEM_LOG
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.schema import BigInt, Name, log_head
from linewarden.server.credentials import ApiKey, KeySet

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


class KeyStore:
    """All keys of one database."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def load(self) -> KeySet:
        """All keys and the revision they are of.

        Raises:
            LogUnavailable: the database failed.
        """
        # The revision is read first: keys newer than it cost one more look, older ones would be a stale answer.
        with self._store.reading() as connection:
            revision = connection.scalar(sa.select(log_head.c.revision).where(log_head.c.log == SYSTEM_LOG))
            rows = connection.execute(sa.select(_key).order_by(_key.c.created_us)).mappings().all()
        return KeySet(int(revision or 0), map(_from_row, rows))

    def all(self) -> list[ApiKey]:
        """All keys, oldest first.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._store.reading() as connection:
            rows = connection.execute(sa.select(_key).order_by(_key.c.created_us)).mappings().all()
        return [_from_row(row) for row in rows]


def insertion(key: ApiKey) -> Callable[[sa.Connection], None]:
    """The effect that stores a key."""

    def insert(connection: sa.Connection) -> None:
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

    return insert


def revocation(id: str, now_us: int) -> Callable[[sa.Connection], None]:
    """The effect that revokes a key; EffectRefused if there is none that is not revoked."""

    def revoke(connection: sa.Connection) -> None:
        valid = sa.and_(_key.c.id == id, _key.c.revoked_us.is_(None))
        if connection.execute(sa.update(_key).where(valid).values(revoked_us=now_us)).rowcount != 1:
            raise EffectRefused("there is no such key, or it is revoked already")

    return revoke


def _from_row(row: Any) -> ApiKey:
    return ApiKey(
        id=row["id"],
        secret_hash=bytes(row["secret_hash"]),
        caller=row["caller"],
        tenants=frozenset(orjson.loads(row["tenants"])),
        methods=frozenset(orjson.loads(row["methods"])),
        created_us=row["created_us"],
        expires_us=row["expires_us"],
        revoked_us=row["revoked_us"],
    )

"""Heads state the latest time of their log, and how often an operator accepted an older state of it."""

import json
from hmac import compare_digest

import sqlalchemy as sa
from alembic import op

from linewarden.audit.keyring import RowMac
from linewarden.audit.model import Head
from linewarden.audit.store.heads import row_mac_of, seal_of
from linewarden.audit.store.schema import position_of

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HEADS = "SELECT log, tenant, origin_id, size, revision, frontier, seal FROM log_head"
_ENTRY = "SELECT entry FROM log_entry WHERE position = :position"
_SEAL = "UPDATE log_head SET time_us = :time, seal = :seal WHERE log = :log"


def upgrade() -> None:
    """Add the columns, and seal each head anew that has a valid seal."""
    for name, comment in (
        ("time_us", "the latest that an entry states"),
        ("generation", "recoveries of the log so far"),
        ("origin_start", "the first entry of this origin"),
    ):
        op.add_column("log_head", sa.Column(name, _BIG, nullable=False, server_default="0", comment=comment))
    comment = "the origin before the recovery"
    op.add_column("log_head", sa.Column("former_origin", sa.Text(), nullable=False, server_default="", comment=comment))
    connection = op.get_bind()
    seals = row_mac_of(connection)
    for log, tenant, origin, size, moved, frontier, seal in connection.execute(sa.text(_HEADS)).all():
        if not _is_ours(seals, (log, tenant, origin, size, moved), frontier, seal):
            continue  # it stays invalid
        time_us = _time(connection, log, size)
        head = Head(log, tenant, origin, size, moved, bytes(frontier), time_us)
        connection.execute(sa.text(_SEAL), {"log": log, "time": time_us, "seal": seal_of(seals, head)})


def _is_ours(seals: RowMac, fields: tuple[object, ...], frontier: object, seal: object) -> bool:
    try:
        return compare_digest(seals.mac(b"head", fields, bytes(frontier)), bytes(seal))  # type: ignore[call-overload]
    except TypeError:
        return False


def _time(connection: sa.Connection, log: int, size: int) -> int:
    row = connection.execute(sa.text(_ENTRY), {"position": position_of(log, size - 1)}).one_or_none() if size else None
    return int(json.loads(bytes(row[0]))["time"]) if row else 0

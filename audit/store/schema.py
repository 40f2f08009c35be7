"""The tables of the main database that belong to the log."""

import sqlalchemy as sa

from linewarden.audit.model import INDEX_BITS

#: BIGINT everywhere. SQLite needs the type INTEGER for a key that is the row id itself.
BigInt = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Byte-wise comparison of names in every database. It is the default of SQLite.
Name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

metadata = sa.MetaData()

log_head = sa.Table(
    "log_head",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("tenant", Name, nullable=False, unique=True, comment="empty for the system log"),
    sa.Column("origin_id", sa.Text, nullable=False, unique=True, comment="random; stands in the checkpoint's origin"),
    sa.Column("size", BigInt, nullable=False),
    sa.Column("frontier", sa.LargeBinary, nullable=False, comment="32 bytes for each bit set in size, largest first"),
    sa.Column("revision", BigInt, nullable=False, comment="of the policy; in the system log, of the keys"),
    sa.Column("created_us", BigInt, nullable=False),
    sa.Column("time_us", BigInt, nullable=False, server_default="0", comment="the latest that an entry states"),
    sa.Column("generation", BigInt, nullable=False, server_default="0", comment="recoveries of the log so far"),
    sa.Column("origin_start", BigInt, nullable=False, server_default="0", comment="the first entry of this origin"),
    sa.Column("former_origin", sa.Text, nullable=False, server_default="", comment="the origin before the recovery"),
    sa.Column("seal", sa.LargeBinary, comment="see `heads`; without one the head is not believed"),
)

log_entry = sa.Table(
    "log_entry",
    metadata,
    sa.Column("position", BigInt, primary_key=True, autoincrement=False, comment="log * 2**40 + index"),
    sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
    sa.Column("entry", sa.LargeBinary, nullable=False, comment="hashed as stored, never encoded again"),
)

log_node = sa.Table(
    "log_node",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("level", BigInt, primary_key=True, autoincrement=False, comment="8, 16, 24 or 32"),
    sa.Column("number", BigInt, primary_key=True, autoincrement=False, comment="of the subtree within its level"),
    sa.Column("hash", sa.LargeBinary, nullable=False, comment="root of the complete subtree of 2**level entries"),
    sa.Column("seal", sa.LargeBinary, nullable=False, comment="see `nodes`; without a valid one the hash is not used"),
)

person = sa.Table(
    "person",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("token", sa.LargeBinary, primary_key=True, comment="HMAC of the name under the look-up key"),
    sa.Column("sid", sa.Text, nullable=False),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False, comment="the person's keys under the key-encryption key"),
    sa.Column("sealed_name", sa.LargeBinary, nullable=False, comment="the name under the person's own key"),
    sa.UniqueConstraint("log", "sid", name="person_sid"),
)


def position_of(log_id: int, index: int) -> int:
    """Return the primary key of entry `index` of a log. A signed 64-bit key allows 2**23 logs of 2**40 entries."""
    return log_id << INDEX_BITS | index

"""The first schema: logs, entries, persons, policies and keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables; what the columns mean stands beside the tables' definitions."""
    _create_log()
    _create_policy()
    _create_keys()


def _big(name: str, *, null: bool = False, comment: str | None = None) -> "sa.Column[int]":
    return sa.Column(name, _BIG, autoincrement=False, nullable=null, comment=comment)


def _create_log() -> None:
    op.create_table(
        "log_head",
        _big("log"),
        sa.Column("tenant", _NAME, nullable=False, comment="empty for the system log"),
        sa.Column("origin_id", sa.Text(), nullable=False, comment="random; stands in the checkpoint's origin"),
        _big("size"),
        sa.Column(
            "frontier", sa.LargeBinary(), nullable=False, comment="32 bytes for each bit set in size, largest first"
        ),
        _big("revision", comment="of the policy; in the system log, of the keys"),
        _big("created_us"),
        sa.PrimaryKeyConstraint("log"),
        sa.UniqueConstraint("origin_id"),
        sa.UniqueConstraint("tenant"),
    )
    op.create_table(
        "log_entry",
        _big("position", comment="log * 2**40 + index"),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False, comment="hashed as stored, never encoded again"),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_table(
        "person",
        _big("log"),
        sa.Column("token", sa.LargeBinary(), nullable=False, comment="HMAC of the name under the look-up key"),
        sa.Column("sid", sa.Text(), nullable=False),
        sa.Column(
            "wrapped_key", sa.LargeBinary(), nullable=False, comment="the person's keys under the key-encryption key"
        ),
        sa.Column("sealed_name", sa.LargeBinary(), nullable=False, comment="the name under the person's own key"),
        sa.PrimaryKeyConstraint("log", "token"),
        sa.UniqueConstraint("log", "sid", name="person_sid"),
    )


def _create_policy() -> None:
    op.create_table(
        "policy_version",
        _big("log"),
        _big("revision"),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", "revision"),
    )
    op.create_table(
        "policy_statement",
        _big("log"),
        _big("added_in"),
        _big("ordinal"),
        _big("removed_in", null=True),
        sa.Column("text", _NAME, nullable=False),
        sa.PrimaryKeyConstraint("log", "added_in", "ordinal"),
    )
    op.create_index("policy_statement_removed", "policy_statement", ["log", "removed_in"])


def _create_keys() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", _NAME, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("caller", _NAME, nullable=False),
        sa.Column("tenants", sa.Text(), nullable=False, comment="JSON list"),
        sa.Column("methods", sa.Text(), nullable=False, comment="JSON list"),
        _big("created_us"),
        _big("expires_us", null=True),
        _big("revoked_us", null=True),
        sa.PrimaryKeyConstraint("id"),
    )

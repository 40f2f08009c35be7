"""Diagnostics: records with a state, receipts of notices, leases of captures, anonymous counts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables; what the columns mean stands beside the tables' definitions."""
    op.create_table(
        "diagnostics_record",
        _big("log"),
        _name("kind"),
        _name("id"),
        _big("version", "counts the changes of the record, from 1"),
        _big("created_us"),
        _name("state"),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="canonical JSON; private values sealed"),
        sa.PrimaryKeyConstraint("log", "kind", "id"),
    )
    op.create_index("diagnostics_record_created", "diagnostics_record", ["log", "kind", "created_us", "id"])
    op.create_index("diagnostics_record_state", "diagnostics_record", ["kind", "state"])
    op.create_table(
        "diagnostics_receipt",
        _big("log"),
        _name("notice"),
        _big("notice_version"),
        _name("session", "empty for the notice in general"),
        _name("sid"),
        _name("fact"),
        _name("channel"),
        _big("at_us"),
        sa.PrimaryKeyConstraint("log", "notice", "notice_version", "session", "sid", "fact"),
    )
    op.create_table(
        "diagnostics_lease",
        _big("log"),
        _name("session"),
        _name("holder", "random; the process that watches the worker"),
        _big("until_us"),
        sa.Column("counters", sa.LargeBinary(), nullable=False, comment="JSON, at the last look"),
        sa.PrimaryKeyConstraint("log", "session"),
    )
    op.create_table(
        "usage_count",
        _big("day", "days since 1970, UTC"),
        _name("name"),
        _big("log"),
        _big("amount"),
        sa.PrimaryKeyConstraint("day", "name", "log"),
    )
    op.create_table(
        "usage_closed",
        _big("day", "days since 1970, UTC"),
        sa.Column("counts", sa.LargeBinary(), nullable=False, comment="JSON; never written again"),
        sa.PrimaryKeyConstraint("day"),
    )


def _big(name: str, comment: str | None = None) -> "sa.Column[int]":
    return sa.Column(name, _BIG, autoincrement=False, nullable=False, comment=comment)


def _name(name: str, comment: str | None = None) -> "sa.Column[str]":
    return sa.Column(name, _NAME, nullable=False, comment=comment)

"""Logs get stored nodes of their hash trees. The start of the server fills the table, see `server.storage`."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table; the comments of the columns stand beside the tables' definitions."""
    op.create_table(
        "log_node",
        _big("log"),
        _big("level", "8, 16, 24 or 32"),
        _big("number", "of the subtree within its level"),
        sa.Column("hash", sa.LargeBinary(), nullable=False, comment="root of the complete subtree of 2**level entries"),
        sa.Column(
            "seal", sa.LargeBinary(), nullable=False, comment="see `nodes`; without a valid one the hash is not used"
        ),
        sa.PrimaryKeyConstraint("log", "level", "number"),
    )


def _big(name: str, comment: str | None = None) -> "sa.Column[int]":
    return sa.Column(name, _BIG, autoincrement=False, nullable=False, comment=comment)

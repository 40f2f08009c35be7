"""Records state when the service must process them, so that it need not read all of them."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLE = "diagnostics_record"
_WAIT_US = 7 * 86_400_000_000
_WAITING = ("pending_attestation", "pending_approval")
_KEPT = ("sealed", "failed")

_record = sa.table(
    _TABLE,
    sa.column("log"),
    sa.column("kind"),
    sa.column("id"),
    sa.column("state"),
    sa.column("body"),
    sa.column("due_us"),
)


def upgrade() -> None:
    """Add the column, and fill it from what the records say."""
    op.add_column(
        _TABLE,
        sa.Column("due_us", _BIG, nullable=True, comment="when the service must look at it; null: never"),
    )
    op.create_index("diagnostics_record_due", _TABLE, ["kind", "due_us"])
    connection = op.get_bind()
    columns = (_record.c.log, _record.c.id, _record.c.state, _record.c.body)
    for log, id, state, body in connection.execute(sa.select(*columns).where(_record.c.kind == "session")).all():
        key = sa.and_(_record.c.log == log, _record.c.kind == "session", _record.c.id == id)
        connection.execute(sa.update(_record).where(key).values(due_us=_due(state, json.loads(body))))


def _due(state: str, session: dict[str, int]) -> int | None:
    if state in _WAITING:
        return session["requested_us"] + _WAIT_US
    if state == "armed":
        return session["start_before_us"]
    if state in _KEPT:
        return session["delete_us"]
    return 0 if state in {"running", "stopping"} else None

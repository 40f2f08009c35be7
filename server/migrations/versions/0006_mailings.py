"""Recorded mailings name their capture `capture`, as captures are named everywhere else."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KIND = "sending"

_record = sa.table(
    "diagnostics_record",
    sa.column("log"),
    sa.column("kind"),
    sa.column("id"),
    sa.column("body"),
)


def upgrade() -> None:
    """Rename the key `session` of each mailing."""
    connection = op.get_bind()
    columns = (_record.c.log, _record.c.id, _record.c.body)
    for log, id, body in connection.execute(sa.select(*columns).where(_record.c.kind == _KIND)).all():
        key = sa.and_(_record.c.log == log, _record.c.kind == _KIND, _record.c.id == id)
        connection.execute(sa.update(_record).where(key).values(body=_renamed(json.loads(bytes(body)))))


def _renamed(mailing: dict[str, Any]) -> bytes:
    """Return the canonical JSON of a mailing, as `codec.canonical` writes it."""
    if "session" in mailing:
        mailing["capture"] = mailing.pop("session")
    return json.dumps(mailing, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

"""Records of older databases are read after the migration."""

import json

import sqlalchemy as sa

from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.log import LogStore
from linewarden.diagnostics import kinds
from linewarden.diagnostics.codec import canonical, read
from linewarden.diagnostics.consent_model import DeliveryOutcome, Mailing, MailResult
from linewarden.diagnostics.store.schema import record
from linewarden.server.schema import migrate

_MAILING = Mailing("lobby", 2, "c-1", "de", "s-1", ("s-2", "s-3"), 4_711, (MailResult(DeliveryOutcome.TAKEN, 250),) * 2)


def test_a_mailing_of_an_older_database_is_read(database_url: str) -> None:
    """A recorded mailing that names its capture `session` has the capture after the migration, in canonical JSON."""
    engine = open_engine(database_url)
    try:
        migrate(LogStore(engine))
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0005'")
            for kind in (kinds.SENDING, kinds.NOTICE):
                connection.execute(sa.insert(record), _row(kind))
        migrate(LogStore(engine))
        with engine.connect() as connection:
            bodies = {row.kind: bytes(row.body) for row in connection.execute(sa.select(record))}
    finally:
        engine.dispose()
    assert read(Mailing, bodies[kinds.SENDING]) == _MAILING
    assert bodies[kinds.SENDING] == canonical(_MAILING)
    assert bodies[kinds.NOTICE] == _row(kinds.NOTICE)["body"]


def _row(kind: str) -> dict[str, object]:
    fields = json.loads(canonical(_MAILING))
    fields["session"] = fields.pop("capture")
    return {
        "log": 1,
        "kind": kind,
        "id": "m",
        "version": 1,
        "created_us": 1,
        "state": "done",
        "body": canonical(fields),
    }

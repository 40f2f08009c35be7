"""Records of older databases are read after the migration."""

import json

import sqlalchemy as sa
from structlog.testing import capture_logs

from linewarden.audit.merkle import leaf_hash, subtree_root
from linewarden.audit.model import Unit
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.schema import log_entry, position_of
from linewarden.audit.tree import Tree
from linewarden.diagnostics import kinds
from linewarden.diagnostics.codec import canonical, read
from linewarden.diagnostics.consent_model import DeliveryOutcome, Mailing, MailResult
from linewarden.diagnostics.store.schema import record
from linewarden.server.missing_nodes import store_missing_nodes
from linewarden.server.schema import migrate

_MAILING = Mailing("lobby", 2, "c-1", "de", "s-1", ("s-2", "s-3"), 4_711, (MailResult(DeliveryOutcome.TAKEN, 250),) * 2)


def test_a_mailing_of_an_older_database_is_read(database_url: str) -> None:
    """A recorded mailing that names its capture `session` has the capture after the migration, in canonical JSON."""
    engine = open_engine(database_url)
    try:
        migrate(LogStore(engine))
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE log_node")
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


def test_logs_of_an_older_database_get_their_nodes(database_url: str) -> None:
    """A start stores the nodes of all logs. A log whose hashes do not lead to its head is reported each time."""
    engine = open_engine(database_url)
    store = LogStore(engine)
    try:
        migrate(store)
        entries = tuple(b"%d" % n for n in range(700))
        for log, tenant in enumerate(("", "acme", "globex")):
            store.create(tenant, f"origin-{log}", 1)
            store.append([Unit(log, entries[: 700 - 500 * log])])
        store.append([Unit(2, entries)])
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE log_node")
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0006'")
            connection.execute(sa.delete(log_entry).where(log_entry.c.position == position_of(2, 300)))
        migrate(store)
        tree = Tree(store)
        with capture_logs() as said:
            store_missing_nodes(store, tree)
            store_missing_nodes(store, tree)
        tiles = [subtree_root(list(map(leaf_hash, entries[at : at + 256]))) for at in (0, 256)]
        assert tree.tiles(0, 0, 3) == [*tiles, None]
        assert tree.tiles(1, 0, 1) == [None], "the log is shorter than a tile"
        assert tree.tiles(2, 0, 2) == [None, None]
    finally:
        store.close()
        engine.dispose()
    fault = {"event": "nodes_not_stored", "log": 2, "error": "LogDamaged", "log_level": "error"}
    assert said == [fault, fault]


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

"""The schema of the main database: the tables of all rooms, brought to the newest version by Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from linewarden.audit.store import schema as audit_schema
from linewarden.audit.store.log import LogStore
from linewarden.authz.store import policy as policy_schema
from linewarden.diagnostics.store import usage as diagnostics_schema
from linewarden.server.store import keys as key_schema

METADATA = (audit_schema.metadata, policy_schema.metadata, diagnostics_schema.metadata, key_schema.metadata)


def migrate(store: LogStore) -> None:
    """Bring the schema to the newest version; does nothing where it is.

    Raises:
        LogUnavailable: the database failed.
    """
    with store.writing() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

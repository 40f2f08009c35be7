"""The schema of the main database: the tables of all packages, migrated by Alembic."""

from contextlib import suppress
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.store import schema as audit_schema
from linewarden.audit.store.log import LogStore
from linewarden.authz.store import policy as policy_schema
from linewarden.diagnostics.store import schema as diagnostics_schema
from linewarden.server.store import keys as key_schema

METADATA = (audit_schema.metadata, policy_schema.metadata, diagnostics_schema.metadata, key_schema.metadata)


#: Processes that start at once on an empty PostgreSQL make the same tables. All but one fail and try again.
_ATTEMPTS = 5

#: The first version of the schema with generations of logs.
_MARKS_SINCE = 5


def migrate(store: LogStore) -> None:
    """Migrate the schema to the newest version.

    Raises:
        LogUnavailable: the database failed.
    """
    for _ in range(_ATTEMPTS - 1):
        with suppress(LogUnavailable):
            return _upgrade(store)
    return _upgrade(store)


def knows_marks(store: LogStore) -> bool:
    """Return whether the schema is empty or of a version that compares heads with marks."""
    with store.reading() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found is None or int(found) >= _MARKS_SINCE


def _upgrade(store: LogStore) -> None:
    with store.writing() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

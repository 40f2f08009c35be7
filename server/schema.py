"""The schema of the main database: the tables of all rooms, brought to the newest version by Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import IntegrityError, ProgrammingError

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.store import schema as audit_schema
from linewarden.audit.store.log import LogStore
from linewarden.authz.store import policy as policy_schema
from linewarden.diagnostics.store import schema as diagnostics_schema
from linewarden.server.store import keys as key_schema

METADATA = (audit_schema.metadata, policy_schema.metadata, diagnostics_schema.metadata, key_schema.metadata)


#: Processes that start at once on an empty PostgreSQL make the same tables; all but one fail, and find them made.
_ATTEMPTS = 5


def migrate(store: LogStore) -> None:
    """Bring the schema to the newest version; does nothing where it is.

    Raises:
        LogUnavailable: the database failed.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _upgrade(store)
        except LogUnavailable as error:
            if attempt == _ATTEMPTS or not isinstance(error.__cause__, IntegrityError | ProgrammingError):
                raise


def _upgrade(store: LogStore) -> None:
    with store.writing() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

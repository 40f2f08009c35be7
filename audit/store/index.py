"""The search index of all logs: opening it, and the index of each log."""

from collections.abc import Callable

import sqlalchemy as sa

from linewarden.audit.keyring import RowMac
from linewarden.audit.store.index_database import IndexDatabase
from linewarden.audit.store.index_rows import LogIndex, delete

#: To be raised when the tables change. An index of another version is dropped and filled again.
INDEX_VERSION = 4

#: Tables of earlier versions.
_FORMER = ("index_access", "index_person", "index_node", "index_mark")


class IndexStore:
    """The index of all logs. Rows are sealed with `row_mac`."""

    def __init__(
        self,
        engine: sa.Engine,
        row_mac: RowMac,
        on_event: Callable[[str, BaseException], None] = lambda _event, _error: None,
    ) -> None:
        self._database = IndexDatabase(engine, INDEX_VERSION, _FORMER, on_event)
        self._mac = row_mac
        self._on_event = on_event

    def close(self) -> None:
        """Close the store, which cannot be used again."""
        self._database.close()

    def prepare(self) -> None:
        """Create the tables. Drop those of another version.

        Raises:
            LogUnavailable: the database failed.
        """
        self._database.prepare()

    def of(self, log_id: int, generation: int) -> LogIndex:
        """Return the index of one generation of a log. A recovery begins another one."""
        return LogIndex(self._database, self._mac, self._on_event, log_id, generation)

    def forget(self, log_id: int) -> None:
        """Delete the index of a log, because it belongs to another generation.

        Raises:
            LogUnavailable: the database failed.
        """
        delete(self._database, log_id)

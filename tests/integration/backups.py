"""Backups of a database and their restoration, as an operator, an accident or an attacker does it."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from linewarden.audit.model import SYSTEM_LOG
from linewarden.server.schema import METADATA
from tests.integration.conftest import Site
from tests.integration.past_the_service import database

_ENTRY_BITS = 40

#: Tables that go with the system log.
_KEYS = ("api_key", "api_key_seal")


class Backup:
    """The rows of all tables as they are now."""

    def __init__(self, site: Site) -> None:
        self._site = site
        with database(site) as connection:
            self._rows = {table.name: _rows(connection, table) for table in _tables()}

    def restore(self, only: int | None = None) -> None:
        """Set the database back; with `only`, set back the rows of that one log."""
        with database(self._site) as connection:
            for table in _tables():
                rows = self._rows[table.name]
                condition: sa.ColumnElement[bool] = sa.true()
                if only is not None:
                    if table.name in _KEYS and only == SYSTEM_LOG:
                        connection.execute(sa.delete(table))
                        connection.execute(sa.insert(table), rows)
                        continue
                    if "log" not in table.c and table.name != "log_entry":
                        continue
                    rows = [row for row in rows if _log_of(row) == only]
                    of_log = table.c.log if "log" in table.c else table.c.position // (1 << _ENTRY_BITS)
                    condition = of_log == only
                connection.execute(sa.delete(table).where(condition))
                if rows:
                    connection.execute(sa.insert(table), rows)


def _tables() -> Iterable[sa.Table]:
    return [table for part in METADATA for table in part.sorted_tables]


def _rows(connection: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def _log_of(row: dict[str, Any]) -> int:
    return int(row["log"]) if "log" in row else int(row["position"]) >> _ENTRY_BITS

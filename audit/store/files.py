"""The identity of a database's files, by device and inode.

SQLite continues to write to a file that was replaced or removed, while other processes open another file of that name.
Commits to the removed file are lost when the last process closes it. So the identity of database file and WAL is stored
when the first connection opens them, and compared after each commit. All connections of an engine have the same files
open. If the identity changes, all connections are closed.
"""

import os
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

_Identity = tuple[int, int] | None


class DatabaseFiles:
    """The database file and WAL of an engine. Only SQLite has them; for other databases all checks pass."""

    def __init__(self, engine: sa.Engine) -> None:
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._path = str(engine.url.database)
        self._opened: _Identity = None
        self._database: _Identity = None
        self._wal: _Identity = None
        if self._is_sqlite:
            # The engine may have connections that were opened before this store: to check the schema, at each start.
            self._database = _identity(self._path)
            event.listen(engine, "do_connect", self._before_connecting)
            event.listen(engine, "connect", self._connected)
            event.listen(engine, "engine_disposed", self._forget)

    def remember_wal(self) -> None:
        """Store the identity of the WAL, unless it is known. A write transaction must be open."""
        if self._is_sqlite and self._wal is None:
            self._wal = _identity(f"{self._path}-wal")

    def are_same(self) -> bool:
        """Return whether the names still refer to the open files."""
        if not self._is_sqlite or self._database is None:
            return True
        if _identity(self._path) != self._database:
            return False
        return self._wal is None or _identity(f"{self._path}-wal") == self._wal

    def _before_connecting(self, *_arguments: Any) -> None:
        self._opened = _identity(self._path)

    def _connected(self, *_arguments: Any) -> None:
        now = _identity(self._path)
        if self._opened is not None and now != self._opened:
            raise OSError("the database file was replaced while it was opened")
        if self._database is None:
            self._database = now
        elif now != self._database:
            raise OSError("the database file was replaced or removed")

    def _forget(self, *_arguments: Any) -> None:
        self._database = self._wal = None


def _identity(path: str) -> _Identity:
    try:
        status = os.stat(path)  # noqa: PTH116 - after each commit: a Path costs five times as much
    except OSError:
        return None
    return status.st_dev, status.st_ino

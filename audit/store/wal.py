"""Repair of SQLite's write-ahead log after a disk error.

A failed fsync leaves the complete frames of its transaction in the file, with valid checksums. The kernel marks their
pages as clean although they are not on the disk, so a later successful fsync does not write them. A connection that
rebuilds the index of the WAL counts these frames as committed. The checksums of all later frames depend on theirs, so a
power failure loses the later frames too. The first connection to a database rebuilds the index if no process has the
database open.

Two rules follow for every process that uses the log:

- `Keeper`: a process keeps a connection open as long as it runs. While any process does, the index is not rebuilt, the
  failed frames are not in it, and the next transaction overwrites them before it is counted.
- `rewrite`: before the first transaction of a process, and before the first one after a fault, the bytes of the WAL are
  written over themselves and synced. That makes their pages dirty, so all frames in the index are on the disk.

The database file needs neither, because a failed checkpoint does not count and the next one writes its pages again.
"""

import os
from pathlib import Path
from threading import Lock
from typing import Any

import pysqlite3.dbapi2 as sqlite3

_PIECE = 1 << 20


class Keeper:
    """A connection that prevents a rebuild of the WAL's index."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._connection: Any = None
        self._lock = Lock()

    def keep(self) -> None:
        """Open the connection, unless it is open."""
        with self._lock:
            if self._connection is None:
                connection = sqlite3.connect(self._database, check_same_thread=False)
                connection.execute("PRAGMA schema_version").fetchone()  # the first read attaches the index
                self._connection = connection

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()


def rewrite(database: str) -> None:
    """Write the WAL over itself and sync it. The caller holds SQLite's write lock, so the file does not change.

    Raises:
        OSError: the WAL could not be written or synced, so its content may not be on the disk.
    """
    path = Path(f"{database}-wal")
    try:
        # SQLite's POSIX locks are on another file, so closing this one releases none of them.
        wal = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        start = 0
        while piece := os.pread(wal, _PIECE, start):
            start += os.pwrite(wal, piece, start)
        os.fsync(wal)
    finally:
        os.close(wal)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

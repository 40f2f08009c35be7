"""The gate in front of SQLite's write lock.

SQLite's own busy wait sleeps between tries and gave tails of 1.4 s with two writers; a blocking file lock wakes the
next writer at once. The kernel releases it when its holder dies, however it dies. PostgreSQL has row locks and needs
no gate.
"""

import fcntl
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import sqlalchemy as sa


class FileGate:
    """A lock between processes, and the threads of each, held while one of them writes."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._close = weakref.finalize(self, os.close, self._file)
        # The file's lock is the process's: its threads need one among themselves.
        self._threads = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold the lock; waits as long as another process holds it."""
        with self._threads:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file. Nobody may hold the lock, or ask for it again."""
        self._close()


class NoGate:
    """What stands in front of a database that has locks of its own."""

    def __call__(self) -> AbstractContextManager[None]:
        """Nothing to wait for."""
        return nullcontext()

    def close(self) -> None:
        """Nothing to let go of."""


def gate_for(engine: sa.Engine) -> FileGate | NoGate:
    """The gate that fits the database."""
    if engine.dialect.name == "sqlite":
        return FileGate(Path(f"{engine.url.database}.lock"))
    return NoGate()

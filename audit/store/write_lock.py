"""The gate in front of SQLite's write lock.

SQLite's own busy wait sleeps between tries and gave tails of 1.4 s with two writers; a blocking file lock wakes the
next writer at once. The kernel releases it when its holder dies, however it dies. A holder that is stopped keeps it, so
waiting has an end. PostgreSQL has row locks and needs no gate.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from linewarden.audit.errors import LogBusy

#: How long to wait for the gate where nothing else is said, seconds.
LOCK_WAIT_S = 1.5


class WriteLock(Protocol):
    """The way to the database's write lock."""

    def __call__(self, within_s: float = LOCK_WAIT_S) -> AbstractContextManager[None]:
        """Hold the gate; raises LogBusy when it is not free within so many seconds."""

    def close(self) -> None:
        """Let go of the file. The gate is not held, and is not asked for again."""


class FileWriteLock:
    """A lock between processes, and the threads of each, held while one of them writes."""

    def __init__(self, path: Path) -> None:
        self._file = _opened(path)
        # The file's lock is the process's: its threads need one among themselves.
        self._threads = threading.Lock()
        self._queue = _Queue(path)

    @contextmanager
    def __call__(self, within_s: float = LOCK_WAIT_S) -> Iterator[None]:
        """Hold the lock.

        Raises:
            LogBusy: another thread or process held it for `within_s` seconds. It is not taken later either.
        """
        until = time.monotonic() + within_s
        if not self._threads.acquire(timeout=within_s):
            raise LogBusy("another thread holds the write lock of the database")
        try:
            file = self._take(until)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def close(self) -> None:
        """Let go of the files."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
            self._queue.close()

    def __del__(self) -> None:
        self.close()

    def _take(self, until: float) -> int:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._queue.take(max(0.0, until - time.monotonic()))
        return self._file


class _Queue:
    """A place among those that wait for a file's lock, with an end.

    The system call has no timeout, so one thread waits in it for all turns of this process. When it gets the lock and
    no turn waits any more, it releases the lock.
    """

    def __init__(self, path: Path) -> None:
        # Its own open file: a lock belongs to that, and the other one's is asked for without waiting.
        self._file = _opened(path)
        self._changed = threading.Condition()
        self._wanted = self._had = self._closed = False
        self._thread: threading.Thread | None = None

    def take(self, within_s: float) -> int:
        """Wait for the lock; returns the file that holds it. For one thread at a time."""
        with self._changed:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="linewarden-write-lock", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._had, within_s)
            self._wanted = False
            if not self._had:
                raise LogBusy("another process holds the write lock of the database")
            self._had = False
            return self._file

    def close(self) -> None:
        """End the thread as soon as it gets the lock, and close the file."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if self._thread is None:
                os.close(self._file)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or (self._wanted and not self._had))
                if self._closed:
                    os.close(self._file)
                    return
            fcntl.flock(self._file, fcntl.LOCK_EX)
            with self._changed:
                if self._wanted and not self._closed:
                    self._had = True
                    self._changed.notify_all()
                else:
                    fcntl.flock(self._file, fcntl.LOCK_UN)


class NoWriteLock:
    """What stands in front of a database that has locks of its own."""

    def __call__(self, within_s: float = LOCK_WAIT_S) -> AbstractContextManager[None]:  # noqa: ARG002 - as WriteLock has it
        """Nothing to wait for."""
        return nullcontext()

    def close(self) -> None:
        """Nothing to let go of."""


def write_lock_for(engine: sa.Engine) -> WriteLock:
    """Return the gate that fits the database."""
    if engine.dialect.name == "sqlite":
        return FileWriteLock(Path(f"{engine.url.database}.lock"))
    return NoWriteLock()


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

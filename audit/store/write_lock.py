"""A lock that writers take before SQLite's own write lock.

SQLite's busy handler sleeps between tries, which caused waits of up to 1.4 s with two writers. A blocking file lock
wakes the next writer at once. The kernel releases the lock when its holder dies. A holder that is stopped keeps it, so
each wait has a limit. PostgreSQL has row locks and needs no such lock.
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

#: How long to wait for the lock by default, seconds.
LOCK_WAIT_S = 1.5


class WriteLock(Protocol):
    """The write lock of a database."""

    def __call__(self, within_s: float = LOCK_WAIT_S) -> AbstractContextManager[None]:
        """Hold the lock while the context is open. Raises LogBusy if it is not free within `within_s` seconds."""

    def close(self) -> None:
        """Close the files. The lock must not be held, and must not be taken again."""


class FileWriteLock:
    """A lock between processes, and the threads of each, held while one of them writes."""

    def __init__(self, path: Path) -> None:
        self._file = _opened(path)
        # The file lock belongs to the process, so its threads need a lock of their own.
        self._threads = threading.Lock()
        self._queue = _Queue(path)

    @contextmanager
    def __call__(self, within_s: float = LOCK_WAIT_S) -> Iterator[None]:
        """Hold the lock.

        Raises:
            LogBusy: another thread or process held the lock for `within_s` seconds. It is not taken later.
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
        """Close the files."""
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
    """A wait for a file lock with a limit of time.

    The system call has no timeout, so one thread of this process waits in it for all callers. If it gets the lock when
    no caller waits any more, it releases the lock.
    """

    def __init__(self, path: Path) -> None:
        # A separate open file, because a lock belongs to an open file and the other one is locked without waiting.
        self._file = _opened(path)
        self._changed = threading.Condition()
        self._wanted = self._had = self._closed = False
        self._thread: threading.Thread | None = None

    def take(self, within_s: float) -> int:
        """Wait for the lock and return the file that holds it. Only one thread may call this at once."""
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
        """Close the file. If the thread waits for the lock, it ends when it gets it."""
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
    """The write lock of a database with locks of its own: no lock at all."""

    def __call__(self, within_s: float = LOCK_WAIT_S) -> AbstractContextManager[None]:  # noqa: ARG002 - as WriteLock has it
        """Return a context without an effect."""
        return nullcontext()

    def close(self) -> None:
        """Do nothing."""


def write_lock_for(engine: sa.Engine) -> WriteLock:
    """Return the write lock for the engine's database."""
    if engine.dialect.name == "sqlite":
        return FileWriteLock(Path(f"{engine.url.database}.lock"))
    return NoWriteLock()


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

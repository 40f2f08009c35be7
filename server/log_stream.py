"""A text stream that drops text it cannot write, and never makes its writer wait.

Goal: an unread pipe, a full disk or a closed terminal costs lines and nothing else. Writers put text into a bounded
queue. One daemon thread takes it out and may block in write(2). *Instead of* O_NONBLOCK, which is a property of the
open file and shared with other processes. Consequence: a crash loses the text in the queue, and the end of a process
waits until the queue is empty.
"""

import io
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

#: Bytes that may wait to be written, some thousand lines.
MAX_WAITING_BYTES = 1 << 20

#: How long the end of a process waits for the queue, seconds.
END_TIMEOUT_S = 2.0


class LossyStream(io.TextIOBase):
    """Writes text in a separate thread with `write`, which may block or raise OSError.

    Text that does not fit into the queue, or cannot be written, is lost. `notice` makes the line that replaces the lost
    lines and states their number.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, write: Callable[[bytes], None], notice: Callable[[int], str]) -> None:
        super().__init__()
        self._write = write
        self._notice = notice
        # A thread can take this lock twice, because a garbage collection under the lock may write here too.
        self._changed = threading.Condition()
        self._queue: deque[tuple[int, bytes]] = deque()
        self._waiting = 0
        self._lost = 0
        self._is_writing = False
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, name="linewarden-log", daemon=True)
        self._thread.start()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Put text into the queue. Return at once and never raise."""
        data = text.encode(self.encoding, self.errors)
        with self._changed:
            if self._has_ended:
                return len(text)
            if self._waiting + len(data) > MAX_WAITING_BYTES:
                self._lost += _lines(data)
            else:
                self._queue.append((self._lost, data))
                self._lost = 0
                self._waiting += len(data)
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Do nothing, because waiting text is written as soon as possible."""

    def drain(self, timeout_s: float) -> bool:
        """Wait until all text is written or lost, `timeout_s` seconds at most. Return whether it is."""
        until = monotonic() + timeout_s
        with self._changed:
            while self._queue or self._lost or self._is_writing:
                left = until - monotonic()
                if left <= 0 or not self._thread.is_alive():
                    return False
                self._changed.wait(left)
        return True

    def end(self, timeout_s: float = END_TIMEOUT_S) -> None:
        """Write the waiting text, `timeout_s` seconds at most, and accept no more."""
        self.drain(timeout_s)
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _run(self) -> None:
        missing = 0
        while (taken := self._take()) is not None:
            lost, data = taken
            missing = self._written(data, missing + lost)
            with self._changed:
                self._waiting -= len(data)
                self._is_writing = False
                self._changed.notify_all()

    def _take(self) -> tuple[int, bytes] | None:
        """Take the next text with the number of lines lost before it. None: the stream has ended."""
        with self._changed:
            while not self._queue and not self._lost and not self._has_ended:
                self._changed.wait()
            self._is_writing = True
            if self._queue:
                return self._queue.popleft()
            lost, self._lost = self._lost, 0
            return (lost, b"") if lost else None

    def _written(self, data: bytes, missing: int) -> int:
        """Write the notice of missing lines and then a text. Return how many lines are missing now."""
        try:
            if missing:
                self._write(self._notice(missing).encode())
                missing = 0
            if data:
                self._write(data)
        except (OSError, ValueError):
            missing += _lines(data)
        return missing


class Descriptor:
    """Writes to an open file by its descriptor, and waits while the file accepts no data.

    Each text is written by one write(2), so that lines of processes that share a pipe do not mix. After a partly
    written text the next one begins on a new line.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_torn = False

    def __call__(self, data: bytes) -> None:
        """Write all bytes.

        Raises:
            OSError: the file cannot take it.
        """
        left = b"\n" + data if self._is_torn else data
        self._is_torn = False
        while left:
            written = self._write(left)
            left = left[written:]
            self._is_torn = bool(left) and (self._is_torn or written > 0)

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # another process that has this file open made it so
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll()
            return 0


def _lines(data: bytes) -> int:
    return max(data.count(b"\n"), 1) if data else 0

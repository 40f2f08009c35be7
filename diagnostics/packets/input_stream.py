"""Input stream: a capture file that arrives through a pipe, from a sender that may stop."""

import os
import select
from collections.abc import Callable

from linewarden.diagnostics.packets.errors import SourceUnusable

_PIECE = 1 << 16


class InputStream:
    """Reads a descriptor for at most `patience` seconds from the last `start_waiting` on.

    Further bytes do not extend the time, because a file of comments alone would keep the worker from its orders.
    """

    def __init__(self, fd: int, patience: float, monotonic: Callable[[], float]) -> None:
        """Read from `fd`; the caller closes it."""
        self._fd = fd
        self._patience = patience
        self._monotonic = monotonic
        self._piece = b""
        self._at = 0
        self._since = monotonic()

    def start_waiting(self) -> None:
        """Restart the time limit."""
        self._since = self._monotonic()

    def waited(self) -> float:
        """Return the seconds since the last start."""
        return self._monotonic() - self._since

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; empty at the end. Raise SourceUnusable at the time limit."""
        if self._at == len(self._piece):
            left = self._patience - self.waited()
            if left <= 0 or not select.select([self._fd], [], [], left)[0]:
                raise SourceUnusable("the capture file stopped arriving")
            self._piece, self._at = os.read(self._fd, _PIECE), 0
        data = self._piece[self._at : self._at + size]
        self._at += len(data)
        return data

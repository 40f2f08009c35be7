"""A capture file as it comes in through a pipe, from someone who may stop sending."""

import os
import select
from collections.abc import Callable

from linewarden.diagnostics.packets.errors import SourceUnusable

_PIECE = 1 << 16


class InputStream:
    """Reads a descriptor for no longer than `patience` seconds from the last `start_waiting` on.

    Bytes that go on coming do not help: a file of nothing but comments would keep the worker from hearing that it shall
    stop.
    """

    def __init__(self, fd: int, patience: float, monotonic: Callable[[], float]) -> None:
        """The descriptor stays the caller's."""
        self._fd = fd
        self._patience = patience
        self._monotonic = monotonic
        self._piece = b""
        self._at = 0
        self._since = monotonic()

    def start_waiting(self) -> None:
        """Patience begins anew."""
        self._since = self._monotonic()

    def waited(self) -> float:
        """Return seconds since patience began."""
        return self._monotonic() - self._since

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes; none at the end. Raises SourceUnusable when patience ends."""
        if self._at == len(self._piece):
            left = self._patience - self.waited()
            if left <= 0 or not select.select([self._fd], [], [], left)[0]:
                raise SourceUnusable("the capture file stopped coming in")
            self._piece, self._at = os.read(self._fd, _PIECE), 0
        data = self._piece[self._at : self._at + size]
        self._at += len(data)
        return data

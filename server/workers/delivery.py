"""Delivery of a sealed file from another host: it is complete, durable and under its name, or absent."""

import fcntl
import hashlib
import os
from pathlib import Path
from typing import NamedTuple


class Delivered(NamedTuple):
    """A delivered file: its size in bytes, and its SHA-256 in hex."""

    bytes: int
    sha256: str


class TooLong(Exception):
    """The file is longer than the limit of the capture permits."""


class Delivery:
    """A file that arrives. Its methods wait for the disk. `abandon` deletes an unfinished file."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        """Begin the file.

        Raises:
            OSError: it cannot be opened, or it exists already.
        """
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._most = most_bytes
        self._bytes = 0
        self._hash = hashlib.sha256()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            raise FileExistsError("the evidence was delivered already")
        # A partial file of a lost process is not evidence.
        self._part.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(self._part, flags, 0o600), "wb", buffering=0)
        # A lock as a sealer holds it, so that a sweeper sees that the file is being written.
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def add(self, content: bytes) -> None:
        """Write the next part.

        Raises:
            TooLong: the file is longer than its maximum.
            OSError: it cannot be written.
        """
        self._bytes += len(content)
        if self._bytes > self._most:
            raise TooLong
        self._hash.update(content)
        rest = memoryview(content)
        while rest:
            rest = rest[self._file.write(rest) :]

    def finish(self) -> Delivered:
        """Make the file durable and give it its name.

        Raises:
            OSError: that fails.
        """
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return Delivered(self._bytes, self._hash.hexdigest())

    def abandon(self) -> None:
        """Delete the file, unless it was finished."""
        self._file.close()
        self._part.unlink(missing_ok=True)

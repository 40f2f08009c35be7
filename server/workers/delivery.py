"""A sealed file as it comes in from another host: whole, durable and under its name, or not there at all."""

import fcntl
import hashlib
import os
from pathlib import Path
from typing import NamedTuple


class Delivered(NamedTuple):
    """What came in: bytes, and SHA-256 in hex."""

    bytes: int
    sha256: str


class TooLong(Exception):
    """More came than the capture may have."""


class Delivery:
    """A file that comes in. Its methods wait for the disk. Of one that is not finished, `abandon` leaves nothing."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        """Begin the file.

        Raises:
            OSError: it cannot be begun, or there is one already.
        """
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._most = most_bytes
        self._bytes = 0
        self._hash = hashlib.sha256()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            raise FileExistsError("the evidence is there already")
        # What an earlier delivery of a process that is gone left there is no evidence of anything.
        self._part.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(self._part, flags, 0o600), "wb", buffering=0)
        # As a sealer does: whoever looks for what a dead process left sees that this one is at work.
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def add(self, content: bytes) -> None:
        """Take the next part.

        Raises:
            TooLong: see there.
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
        """Make it durable and gives it its name.

        Raises:
            OSError: it cannot be.
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
        """Leave nothing, unless it was finished."""
        self._file.close()
        self._part.unlink(missing_ok=True)

"""The file of the index with SQLite: which file it is, what counts as damage, and how it is thrown away.

Goal: damage to what can be rebuilt does not stop the log, and stops queries only while it is rebuilt. The file is
deleted, not set aside: it holds nothing that the log does not hold, and a copy would outlive the erasure of a person.
What is no regular file was put there by an operator; it is renamed.
"""

import os
import stat
from pathlib import Path

import sqlalchemy as sa

#: Primary codes of SQLite: the content of a database is malformed, the file holds no database.
_DAMAGE = frozenset((11, 26))
#: The file system itself says that a file is corrupt.
_CORRUPT_FILE_SYSTEM = 8458
#: The statement does not fit the tables.
_SQL_ERROR = 1
_PARTS = ("", "-wal", "-shm", "-journal")

#: Device and number of a file; another file under the same name has others.
Identity = tuple[int, int]


class OddValue(Exception):
    """A column holds what was never written to it."""


class IndexFile:
    """The file of an index under its name, whatever is there."""

    def __init__(self, path: str) -> None:
        # A link is followed now: what it leads to is what SQLite opens and what is thrown away.
        self._path = Path(os.path.realpath(path))

    def identity(self) -> Identity | None:
        """Return which file it is now; None if there is none.

        Raises:
            OSError: that cannot be told.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def move_what_is_no_file(self) -> bool:
        """Rename what is no regular file. Return whether there was something to rename.

        Raises:
            OSError: it cannot be renamed.
        """
        try:
            if stat.S_ISREG(self._path.stat().st_mode):
                return False
        except FileNotFoundError:
            return False
        number = 1
        while os.path.lexists(aside := f"{self._path}.not-an-index.{number}"):
            number += 1
        self._path.rename(aside)
        return True

    def remove(self) -> None:
        """Delete the file and what SQLite keeps beside it.

        Raises:
            OSError: it cannot be deleted.
        """
        for part in _PARTS:
            Path(f"{self._path}{part}").unlink(missing_ok=True)


def is_damage(error: BaseException) -> bool:
    """Return whether an error shows that the content of the index is damaged, so that another try does not help."""
    if isinstance(error, OddValue):
        return True
    code = _code(error)
    return code is not None and (code & 0xFF in _DAMAGE or code == _CORRUPT_FILE_SYSTEM)


def misses_tables(error: BaseException) -> bool:
    """Return whether an error says that tables are missing, or have other columns."""
    return _code(error) == _SQL_ERROR


def whole(value: object) -> int:
    """Return the whole number that a column holds.

    Raises:
        OddValue: it holds something else.
    """
    if not isinstance(value, int):
        raise OddValue("not a whole number")
    return value


def octets(value: object) -> bytes:
    """Return the bytes that a column holds.

    Raises:
        OddValue: it holds something else.
    """
    if not isinstance(value, bytes | memoryview):
        raise OddValue("not bytes")
    return bytes(value)


def _code(error: BaseException) -> int | None:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    return code if isinstance(code, int) else None

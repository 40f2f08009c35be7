"""The SQLite file of the index: its identity, the signs of damage, and its deletion.

Goal: a damaged index does not stop the log, and stops queries only while it is rebuilt. The file is deleted and not
renamed, because it has nothing that the log does not have, and a copy would survive the erasure of a person. If the
path is not a regular file, an operator put it there, and it is renamed.
"""

import os
import stat
from pathlib import Path

import sqlalchemy as sa

#: Primary codes of SQLite: the content of a database is malformed, the file is not a database.
_DAMAGE = frozenset((11, 26))
#: SQLite's codes for a file that the file system reports as corrupt, and for one that ends before a page that it has.
_DAMAGED_FILE = frozenset((8458, 522))
#: Primary codes of SQLite: the file is locked, and an error of reading or writing.
_MAY_BE_DAMAGE = frozenset((5, 10))
#: SQLite's code for a statement that does not fit the tables.
_SQL_ERROR = 1
_PARTS = ("", "-wal", "-shm", "-journal")

#: Device and inode of a file. Another file of the same name has others.
Identity = tuple[int, int]


class OddValue(Exception):
    """A column has a value of a type that was never written to it."""


class IndexFile:
    """The file of an index, which may exist or not."""

    def __init__(self, path: str) -> None:
        # Links are resolved now, because SQLite opens their target, and the target is what must be deleted.
        self._path = Path(os.path.realpath(path))

    def identity(self) -> Identity | None:
        """Return the identity of the file; None if there is none.

        Raises:
            OSError: the identity cannot be read.
        """
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def move_what_is_no_file(self) -> bool:
        """Rename the path if it is not a regular file. Return whether it was renamed.

        Raises:
            OSError: the path cannot be renamed.
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
        """Delete the file and the files that SQLite keeps beside it.

        Raises:
            OSError: a file cannot be deleted.
        """
        for part in _PARTS:
            Path(f"{self._path}{part}").unlink(missing_ok=True)


def is_damage(error: BaseException) -> bool:
    """Return whether an error shows that the content of the index is damaged, so that another try does not help."""
    if isinstance(error, OddValue):
        return True
    code = _code(error)
    return code is not None and (code & 0xFF in _DAMAGE or code in _DAMAGED_FILE)


def may_be_damage(error: BaseException) -> bool:
    """Return whether an error shows damage if it comes again and again: a file that is locked, or is not read."""
    code = _code(error)
    return code is not None and code & 0xFF in _MAY_BE_DAMAGE


def misses_tables(error: BaseException) -> bool:
    """Return whether an error shows that tables are missing or have other columns."""
    return _code(error) == _SQL_ERROR


def whole(value: object) -> int:
    """Return the whole number in a column.

    Raises:
        OddValue: the column has a value of another type.
    """
    if not isinstance(value, int):
        raise OddValue("not a whole number")
    return value


def octets(value: object) -> bytes:
    """Return the bytes in a column.

    Raises:
        OddValue: the column has a value of another type.
    """
    if not isinstance(value, bytes | memoryview):
        raise OddValue("not bytes")
    return bytes(value)


def _code(error: BaseException) -> int | None:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    return code if isinstance(code, int) else None

"""The files of a database, told apart by more than their names.

SQLite goes on writing into a file that was replaced or removed under it, and whoever opens the name finds another one.
What was committed there is lost with the last process that has it open. So the identity of database file and WAL is
remembered when they are opened, and compared after each commit.
"""

import os

import sqlalchemy as sa

_Identity = tuple[int, int] | None


class DatabaseFiles:
    """Database file and WAL of a SQLite database; of another database there are none."""

    def __init__(self, path: str | None) -> None:
        self._paths = () if path is None else (path, f"{path}-wal")
        self._known: tuple[_Identity, ...] | None = None
        self._expected: tuple[_Identity, ...] = ()

    @classmethod
    def of(cls, engine: sa.Engine) -> "DatabaseFiles":
        """The files of an engine's database."""
        return cls(engine.url.database if engine.dialect.name == "sqlite" else None)

    def before_opening(self) -> None:
        """Note which file the name stands for, before a connection to it is opened."""
        self._known = None
        self._expected = self._now()[:1]

    def remember(self) -> None:
        """Remember which files they are, unless that is known; a write transaction must be open.

        Raises:
            FileNotFoundError: the name stands for another file than before the connection was opened.
        """
        if self._known is None:
            known = self._now()
            if known[:1] != self._expected:
                raise FileNotFoundError("the database file was replaced while it was opened")
            self._known = known

    def are_same(self) -> bool:
        """Whether they are the files that were remembered."""
        return self._known is None or self._now() == self._known

    def _now(self) -> tuple[_Identity, ...]:
        return tuple(map(_identity, self._paths))


def _identity(path: str) -> _Identity:
    try:
        found = os.stat(path)  # noqa: PTH116 - after each commit: a Path costs five times as much
    except OSError:
        return None
    return found.st_dev, found.st_ino

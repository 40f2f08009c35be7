"""The heads that changed since they were last read, found without reading all of them.

*Instead of* reading all heads several times a second in each process, which takes a millisecond for a hundred logs.
*So* the database is asked for a cheap sign of a change first. SQLite counts the commits of other connections.
PostgreSQL stores with each row the transaction that wrote it. Neither sign shows a change of the files that bypasses
the database, so all rows are also compared in turn.
"""

import threading
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.model import Head
from linewarden.audit.store.heads import COLUMNS
from linewarden.audit.store.schema import log_head

#: The time within which every head is compared, whether or not there was a sign of a change, seconds.
ALL_S = 30.0

_Row = tuple[Any, ...]


class HeadWatch:
    """The heads that changed since the last call of `moved`. Thread-safe.

    Every head is compared within `all_s` seconds, whether or not there was a sign of a change. A connection stays open,
    because the signs of a change count from one read of a connection to the next.
    """

    def __init__(self, engine: sa.Engine, all_s: float = ALL_S) -> None:
        self._engine = engine
        self._all_s = all_s
        self._failures = (SQLAlchemyError, engine.dialect.dbapi.Error, OSError)  # type: ignore[union-attr]
        self._sign: _Sign = (_SqliteSign if engine.dialect.name == "sqlite" else _PostgresSign)(engine)
        inside = sa.and_(log_head.c.log >= sa.bindparam("a"), log_head.c.log < sa.bindparam("b"))
        self._turn = str(sa.select(*COLUMNS).where(inside).compile(dialect=engine.dialect))
        self._lock = threading.Lock()
        self._connection: sa.Connection | None = None
        self._known: dict[int, _Row] = {}
        self._turned_at, self._turned_to = 0.0, 0
        self._is_stale = False
        event.listen(engine, "engine_disposed", self._forget)

    def moved(self) -> list[Head]:
        """Return each head that differs from the last call; all heads at the first one. Seals are not verified.

        Raises:
            LogUnavailable: the database failed. The next call returns what this one would have returned.
        """
        with self._lock:
            if self._is_stale:
                self._close()
            was_open = self._connection is not None
            try:
                return self._moved()
            except self._failures as error:
                self._close()
                if not was_open:
                    raise LogUnavailable("the log's database failed") from error
            try:
                return self._moved()  # the server may have closed the connection long ago
            except self._failures as error:
                self._close()
                raise LogUnavailable("the log's database failed") from error

    def last(self, log_id: int) -> Head | None:
        """Return the head that `moved` returned last for a log; None if there was none."""
        row = self._known.get(log_id)
        return None if row is None else Head(*row[:-1])

    def close(self) -> None:
        """Close the connection. The next call of `moved` opens another one."""
        with self._lock:
            self._close()

    def _moved(self) -> list[Head]:
        cursor = self._cursor()
        try:
            rows = [*self._sign.rows(cursor), *self._rows_in_turn(cursor)]
        finally:
            cursor.close()
        moved = {row[0]: row for row in rows if self._known.get(row[0]) != row}
        self._known |= moved
        return [Head(*row[:-1]) for row in moved.values()]

    def _rows_in_turn(self, cursor: Any) -> list[_Row]:
        """Return the next heads by their numbers, as many as the time since the last call asks for."""
        now, count = time.monotonic(), len(self._known)
        start, most = self._turned_to, min(count, int(count * (now - self._turned_at) / self._all_s))
        if most == 0:
            return []
        cursor.execute(self._turn, {"a": start, "b": start + most})
        rows: list[_Row] = cursor.fetchall()
        self._turned_at, self._turned_to = now, start + most if start + most <= max(self._known) else 0
        return rows

    def _cursor(self) -> Any:
        if self._connection is None:
            connection = self._engine.connect()
            self._connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            self._sign.restart()
            self._turned_at = time.monotonic()
        return self._connection.connection.cursor()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._is_stale = False
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _forget(self, *_arguments: Any) -> None:
        # The files may be others. Another thread may be reading, so the next call closes the connection.
        self._is_stale = True


class _SqliteSign:
    """The number of commits of other connections."""

    def __init__(self, engine: sa.Engine) -> None:
        self._all = str(sa.select(*COLUMNS).compile(dialect=engine.dialect))
        self._version: object = None

    def restart(self) -> None:
        """Forget the last read, because numbers of two connections cannot be compared."""
        self._version = None

    def rows(self, cursor: Any) -> list[_Row]:
        """Return all heads if anything was committed since the last call, else no head."""
        # The number first, so that a commit between the two reads counts at the next call.
        version = cursor.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return []
        rows: list[_Row] = cursor.execute(self._all).fetchall()
        self._version = version
        return rows


class _PostgresSign:
    """The transaction that wrote a row."""

    def __init__(self, engine: sa.Engine) -> None:
        query = sa.select(*COLUMNS)
        self._all = str(query.compile(dialect=engine.dialect))
        # `age` compares numbers of transactions that wrapped around.
        newer = query.where(sa.text("age(log_head.xmin) <= age(CAST(:since AS xid))"))
        self._newer = str(newer.compile(dialect=engine.dialect))
        self._since = ""

    def restart(self) -> None:
        """Forget the last read, because another server may continue from an earlier transaction."""
        self._since = ""

    def rows(self, cursor: Any) -> list[_Row]:
        """Return the heads that were written by transactions that the last call may not have seen."""
        # The oldest running transaction first: the next call returns whatever it and later ones will have written.
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
        (oldest,) = cursor.fetchone()
        if self._since:
            cursor.execute(self._newer, {"since": self._since})
        else:
            cursor.execute(self._all)
        rows: list[_Row] = cursor.fetchall()
        self._since = str(int(oldest) % (1 << 32))
        return rows


_Sign = _SqliteSign | _PostgresSign

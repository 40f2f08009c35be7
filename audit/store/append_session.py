"""The session that appends: one connection of a process, with its begin, commit and rollback.

Only one thread may use a session at once. After an error that concerns more than one log the session is closed, and the
next append opens another one.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from linewarden.audit.errors import LogBusy, UnsafeDatabase
from linewarden.audit.model import Unit
from linewarden.audit.store.files import DatabaseFiles
from linewarden.audit.store.sessions import (
    APPEND_WAIT_S,
    COMMIT,
    WAIT_S,
    check_flushed,
    check_server,
    pin_commit,
    pin_writer,
)
from linewarden.audit.store.wal import rewrite

#: How long one try waits for our own write lock, and then as long again for SQLite's, seconds.
TRY_S = 0.25

#: An append of more entries, or one that changes a policy, gets the longer timeouts of a database server.
MUCH_ENTRIES = 2_000

#: How often the settings of the session are checked, seconds.
_CHECK_S = 2.0


class AppendSession:
    """The connection of an engine for appending. `options` are its execution options."""

    def __init__(self, engine: sa.Engine, files: DatabaseFiles, options: Mapping[str, object]) -> None:
        self._engine = engine
        self._files = files
        self._options = dict(options)
        self._is_sqlite = engine.dialect.name == "sqlite"
        database: Any = engine.dialect.dbapi
        self._database_error = database.Error
        self._constraint_error = database.IntegrityError
        #: The exceptions of a failing database.
        self.failures = (SQLAlchemyError, database.Error, OSError, UnsafeDatabase)
        #: The connection, if it is open.
        self.writer: sa.Connection | None = None
        self._settled = not self._is_sqlite
        self._checked = 0.0
        self._warned = False
        self._takes_much = False

    def close(self) -> None:
        """Close the connection."""
        connection, self.writer = self.writer, None
        self.unsettle()
        if connection is not None:
            connection.invalidate()
            connection.close()

    def unsettle(self) -> None:
        """Note a fault, after which the content of the WAL may not be on the disk; see `wal`."""
        self._settled = not self._is_sqlite

    def connection(self) -> sa.Connection:
        """Return the connection. Opens it, or checks its settings again, if necessary.

        Raises:
            one of `failures`: the database failed, or does not guarantee durability.
        """
        connection = self.writer
        if connection is None:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT", **self._options)
            self.writer = connection
            self._begin_session(connection)
        elif not self._is_sqlite and time.monotonic() - self._checked > _CHECK_S:
            self._check_session(connection)
        return connection

    def begin(self, cursor: Any, units: Sequence[Unit]) -> None:
        """Begin a write transaction.

        Raises:
            LogBusy: another program holds the lock of the database.
        """
        self._allow_time(cursor, units)
        try:
            cursor.execute("BEGIN IMMEDIATE" if self._is_sqlite else "BEGIN")
        except self._database_error as error:
            if str(error) == "database is locked":
                raise LogBusy("another program holds the lock of the database") from error
            raise
        self._files.remember_wal()
        self.settle()

    def settle(self) -> None:
        """Write the content of the WAL to the disk, if it may not be there. A write transaction must be open."""
        if not self._settled:
            rewrite(str(self._engine.url.database))
            self._settled = True

    def commit(self, cursor: Any) -> None:
        """Commit the transaction, which is on the disk when this returns.

        Raises:
            UnsafeDatabase: the transaction may not be on the disk.
        """
        if self._is_sqlite:
            cursor.execute("COMMIT")
            return
        self._warned = False
        cursor.execute(COMMIT, prepare=False)
        cursor.nextset()
        check_flushed(*cursor.fetchone())
        if self._warned:
            # Synchronous replication: a cancelled wait for a standby ends with a warning and a commit.
            raise UnsafeDatabase("PostgreSQL warned at COMMIT: a standby may not have the record")

    @staticmethod
    def roll_back(cursor: Any) -> None:
        """Roll the transaction back, if that is possible."""
        # If this fails, the connection is closed. The first error is the one to report.
        with suppress(Exception):
            cursor.execute("ROLLBACK")

    def was_rolled_back(self, error: BaseException) -> bool:
        """Return whether the database rolled back because of the data, so that the connection can be used again.

        With SQLite this is true only of a violated constraint. After a disk error the connection must be closed.
        """
        cause = error.orig if isinstance(error, DBAPIError) else error
        if self._is_sqlite:
            return isinstance(cause, self._constraint_error)
        writer = self.writer
        if writer is None or writer.invalidated or not isinstance(cause, self._database_error):
            return False
        driver: Any = writer.connection.driver_connection
        return bool(driver.info.transaction_status.name == "IDLE")

    def _allow_time(self, cursor: Any, units: Sequence[Unit]) -> None:
        """Set the timeouts of the server so that the transaction has the time that its entries need."""
        much = sum(len(unit.entries) for unit in units) > MUCH_ENTRIES or any(unit.moves_revision for unit in units)
        if self._is_sqlite or much == self._takes_much:
            return
        driver: Any = cursor.connection
        driver.wait_s = WAIT_S if much else APPEND_WAIT_S
        pin_writer(cursor, much=much)
        self._takes_much = much

    def _begin_session(self, connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        if self._is_sqlite:
            driver.execute(f"PRAGMA busy_timeout={round(TRY_S * 1_000)}")
            return
        driver.add_notice_handler(self._hear)
        driver.wait_s, self._takes_much = APPEND_WAIT_S, False
        with driver.cursor() as cursor:
            pin_writer(cursor)
        self._checked = time.monotonic()

    def _check_session(self, connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            pin_commit(cursor)
            check_server(cursor)
        self._checked = time.monotonic()

    def _hear(self, notice: Any) -> None:
        self._warned |= notice.severity_nonlocalized == "WARNING"

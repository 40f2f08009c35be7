"""The database of the search index: opening it, and replacing it when it is damaged.

It is a database of its own (with SQLite a file, with PostgreSQL separate tables), because filling it must not hold the
log's lock. All of it can be rebuilt.

The process that detects a damaged file deletes it and creates another one. Other processes notice the new file.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from time import monotonic

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.store.index_file import Identity, IndexFile, OddValue, is_damage, may_be_damage, misses_tables
from linewarden.audit.store.schema import BigInt
from linewarden.audit.store.write_lock import WriteLock, write_lock_for

#: The interval at which an index that stays unusable is reported, seconds.
REPORT_S = 60.0

#: How often other processes may create a table first before the error must have another cause.
_RACES = 10

#: Errors in a row, each over new connections, after which the files are taken for damaged. When a file was deleted, the
#: last connection to it deletes the WAL of its successor, which then cannot be read. When a file was emptied, idle
#: connections of other processes keep it locked, and nothing can be created in it.
_LASTING = 3

#: Events of the index, for the text log.
INDEX_DAMAGED = "index_damaged"
INDEX_UNUSABLE = "index_unusable"

metadata = sa.MetaData()

_version = sa.Table("index_version", metadata, sa.Column("version", BigInt, primary_key=True, autoincrement=False))


class IndexDatabase:
    """Connections to the index. Tables of `metadata` are created when they are first needed.

    Tables of another `version`, and the tables named in `former`, are dropped. `on_event` is called with the error and
    INDEX_DAMAGED, after a damaged file was deleted, or INDEX_UNUSABLE.
    """

    def __init__(
        self,
        engine: sa.Engine,
        version: int,
        former: tuple[str, ...],
        on_event: Callable[[str, BaseException], None],
    ) -> None:
        self._engine = engine
        self._version = version
        self._former = former
        self._on_event = on_event
        self._driver_error: type[Exception] = engine.dialect.dbapi.Error  # type: ignore[union-attr]
        self._file = IndexFile(str(engine.url.database)) if engine.dialect.name == "sqlite" else None
        self._opening = Lock()
        self._write_lock: WriteLock | None = None
        self._is_prepared = False
        self._identity: Identity | None = None
        self._reported = float("-inf")
        self._failures = 0

    def close(self) -> None:
        """Close the database, which cannot be used again."""
        if self._write_lock is not None:
            self._write_lock.close()

    def prepare(self) -> None:
        """Create the tables. Drop those of another version.

        Raises:
            LogUnavailable: the database failed.
        """
        self._is_prepared = False
        with self._guarded():
            pass

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Provide a connection that reads one consistent state.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._guarded(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Provide a connection in a write transaction.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._guarded(), self._locked(), self._transaction() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Open the index if necessary, and translate its errors to LogUnavailable."""
        used: Identity | None = None
        try:
            self._open()
            used = self._identity
            yield
            self._failures = 0
        except LogUnavailable:
            raise
        except (SQLAlchemyError, self._driver_error, OSError, OddValue) as error:
            self._recover(error, used or self._identity)
            raise LogUnavailable("the index's database failed") from error

    def _open(self) -> None:
        """Create the tables, unless this process did so in the same file."""
        if self._is_prepared and (self._file is None or self._file.identity() == self._identity):
            return
        with self._opening, self._locked():
            self._is_prepared = False
            if self._file is not None:
                self._engine.dispose()  # the open file may be a deleted one
                if self._file.move_what_is_no_file():
                    self._on_event(INDEX_DAMAGED, OSError("no file"))
            self._identity = None if self._file is None else self._file.identity()
            self._settle_tables()
            self._identity = None if self._file is None else self._file.identity()
            self._is_prepared = True

    def _settle_tables(self) -> None:
        """Create the tables. If another process creates them at the same moment, try again and find them."""
        for _ in range(_RACES):
            with suppress(IntegrityError, ProgrammingError):
                return self._make_tables()
        return self._make_tables()

    def _make_tables(self) -> None:
        with self._transaction() as connection:
            _version.create(connection, checkfirst=True)
            version = connection.scalar(sa.select(_version.c.version))
            found = set(sa.inspect(connection).get_table_names())
            if version != self._version or not metadata.tables.keys() <= found:
                for name in found & set(self._former):
                    connection.execute(sa.schema.DropTable(sa.Table(name, sa.MetaData())))
                metadata.drop_all(connection)
                metadata.create_all(connection)
                connection.execute(sa.insert(_version), {"version": self._version})

    def _recover(self, error: BaseException, used: Identity | None) -> None:
        """Delete the file if it is damaged. Otherwise report that the index cannot be used."""
        if isinstance(error, IntegrityError):
            return
        if misses_tables(error):
            self._is_prepared = False
        self._failures = self._failures + 1 if may_be_damage(error) else 0
        if self._file is not None and (is_damage(error) or self._failures >= _LASTING):
            self._failures = 0
            self._is_prepared = False
            if self._deleted(self._file, used):
                self._on_event(INDEX_DAMAGED, error)
            return
        if self._file is not None:
            self._engine.dispose()  # what failed may be the state of a connection whose files were replaced
        if monotonic() - self._reported >= REPORT_S:
            self._reported = monotonic()
            self._on_event(INDEX_UNUSABLE, error)

    def _deleted(self, file: IndexFile, used: Identity | None) -> bool:
        """Delete the file, unless another process replaced it. Return whether it was deleted."""
        try:
            with self._locked():
                if used is None or file.identity() != used:
                    return False
                self._engine.dispose()
                file.remove()
        except OSError as error:
            self._on_event(INDEX_UNUSABLE, error)
            return False
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._write_lock is None:
            self._write_lock = write_lock_for(self._engine)
        with self._write_lock():
            yield

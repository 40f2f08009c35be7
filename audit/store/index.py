"""The search index of the logs, and the nodes of their hash trees. All of it can be rebuilt.

It has a database of its own (with SQLite a file, with PostgreSQL separate tables), because an insert takes longer than
an append to the log and must not hold the log's lock. A row is one item of one entry. Its `place` is index * 1024 +
item, so that the order of places is the order of the log.

The process that detects a damaged file deletes it and creates another one. Other processes notice the new file. Until
the index is filled again, searches are refused, because they would be incomplete.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.store.index_file import Identity, IndexFile, OddValue, is_damage, misses_tables, octets, whole
from linewarden.audit.store.schema import BigInt, Name
from linewarden.audit.store.write_lock import WriteLock, write_lock_for

#: To be raised when the tables change. An index of another version is dropped and filled again.
INDEX_VERSION = 2

#: The interval at which an index that stays unusable is reported, seconds.
REPORT_S = 60.0

#: How often other processes may create a table first before the error must have another cause.
_RACES = 10

#: Bits of a place for the number of an item, so that the items of one entry have neighbouring places.
ITEM_BITS = 10

metadata = sa.MetaData()

_version = sa.Table("index_version", metadata, sa.Column("version", BigInt, primary_key=True, autoincrement=False))

_mark = sa.Table(
    "index_mark",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("indexed", BigInt, nullable=False, comment="entries below this index are in the index"),
    sa.Column("leaf", sa.LargeBinary, nullable=False, comment="leaf hash of the last of them"),
)

_access = sa.Table(
    "index_access",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("place", BigInt, primary_key=True, autoincrement=False),
    sa.Column("time_us", BigInt, nullable=False),
    sa.Column("kind", Name, nullable=False),
    sa.Column("caller", Name),
    sa.Column("request_id", Name),
    sa.Column("actor", Name),
    sa.Column("type", Name),
    sa.Column("token", sa.LargeBinary),
    sa.Column("action", Name),
    sa.Column("effect", Name),
    sa.Column("purpose", Name),
    sa.Index("index_access_time", "log", "time_us"),
    sa.Index("index_access_actor", "log", "actor", "place"),
    sa.Index("index_access_token", "log", "token", "place"),
    sa.Index("index_access_request", "log", "request_id", "place"),
    sa.Index("index_access_caller", "log", "caller", "place"),
)

_person = sa.Table(
    "index_person",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("sid", Name, primary_key=True),
    sa.Column("place", BigInt, primary_key=True, autoincrement=False),
)

_node = sa.Table(
    "index_node",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("level", BigInt, primary_key=True, autoincrement=False),
    sa.Column("number", BigInt, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)


class IndexRow(NamedTuple):
    """The searchable values of one item of one entry. `data_subjects` are the pseudonyms of its owner and parties."""

    place: int
    time_us: int
    kind: str
    caller: str | None
    request_id: str | None
    actor: str | None
    type: str | None
    token: bytes | None
    action: str | None
    effect: str | None
    purpose: str | None
    data_subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """The filters of a search, by pseudonyms and tokens. None does not filter. Times are microseconds, half-open."""

    from_us: int | None = None
    until_us: int | None = None
    kinds: tuple[str, ...] = ()
    caller: str | None = None
    actor: str | None = None
    data_subject: str | None = None
    type: str | None = None
    token: bytes | None = None
    action: str | None = None
    effect: str | None = None
    purpose: str | None = None
    request_id: str | None = None


#: Events of the index, for the text log.
INDEX_DAMAGED = "index_damaged"
INDEX_UNUSABLE = "index_unusable"


class IndexStore:
    """The index of all logs. Its tables are created when they are first needed.

    `on_event` is called with the error and INDEX_DAMAGED, after a damaged file was deleted, or INDEX_UNUSABLE.
    """

    def __init__(
        self, engine: sa.Engine, on_event: Callable[[str, BaseException], None] = lambda _event, _error: None
    ) -> None:
        self._engine = engine
        self._on_event = on_event
        self._driver_error: type[Exception] = engine.dialect.dbapi.Error  # type: ignore[union-attr]
        self._file = IndexFile(str(engine.url.database)) if engine.dialect.name == "sqlite" else None
        self._opening = Lock()
        self._write_lock: WriteLock | None = None
        self._is_prepared = False
        self._identity: Identity | None = None
        self._reported = float("-inf")

    def close(self) -> None:
        """Close the store, which cannot be used again."""
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

    def indexed(self, log_id: int) -> int:
        """Return the number of entries of the log that are in the index.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._reading() as connection:
            return _indexed(connection, log_id)

    def last_leaf(self, log_id: int) -> bytes | None:
        """Return the leaf hash of the last indexed entry; None if there is none.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._reading() as connection:
            leaf = connection.scalar(sa.select(_mark.c.leaf).where(_mark.c.log == log_id))
            return None if leaf is None else octets(leaf)

    def forget(self, log_id: int) -> None:
        """Delete the index of a log, because it belongs to another log or is wrong.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._writing() as connection:
            for table in (_access, _person, _node, _mark):
                connection.execute(sa.delete(table).where(table.c.log == log_id))

    def add(
        self,
        log_id: int,
        start: int,
        stop: int,
        leaf: bytes,
        rows: Sequence[IndexRow],
        nodes: dict[tuple[int, int], bytes],
    ) -> bool:
        """Add the rows and nodes of the entries `start` to `stop - 1`. `leaf` is the leaf hash of the last one.

        Return False if another process added them before.

        Raises:
            LogUnavailable: the database failed.
        """
        try:
            return self._add(log_id, start, stop, leaf, rows, nodes)
        except LogUnavailable as fault:
            # A log without a mark has no row to lock, so of two processes that begin its index the second one fails.
            if isinstance(fault.__cause__, IntegrityError):
                return False
            raise

    def _add(
        self,
        log_id: int,
        start: int,
        stop: int,
        leaf: bytes,
        rows: Sequence[IndexRow],
        nodes: dict[tuple[int, int], bytes],
    ) -> bool:
        with self._writing() as connection:
            query = sa.select(_mark.c.indexed).where(_mark.c.log == log_id).with_for_update()
            mark = connection.scalar(query)
            if (mark or 0) != start:
                return False
            if mark is None:
                connection.execute(sa.insert(_mark), {"log": log_id, "indexed": stop, "leaf": leaf})
            else:
                connection.execute(sa.update(_mark).where(_mark.c.log == log_id).values(indexed=stop, leaf=leaf))
            values = [row._asdict() | {"log": log_id} for row in rows]
            persons = [
                {"log": log_id, "sid": sid, "place": v["place"]} for v in values for sid in v.pop("data_subjects")
            ]
            _insert(connection, _access, values)
            _insert(connection, _person, persons)
            hashes = [{"log": log_id, "level": lv, "number": n, "hash": digest} for (lv, n), digest in nodes.items()]
            _insert(connection, _node, hashes)
            return True

    def search(
        self, log_id: int, wanted: Search, *, after: int | None, below: int, descending: bool, limit: int
    ) -> list[int]:
        """Return the matching places beyond `after` and below `below`, in the order of the log or its reverse.

        Raises:
            LogUnavailable: the database failed, or an entry below `below` is not in the index.
        """
        place = _access.c.place
        query = sa.select(place).where(_access.c.log == log_id, place < below, *_conditions(log_id, wanted))
        if after is not None:
            query = query.where(place < after if descending else place > after)
        query = query.order_by(place.desc() if descending else place).limit(limit)
        with self._reading() as connection:
            places = list(map(whole, connection.scalars(query)))
            # Read after the search, because the index may have been deleted since the caller completed it.
            indexed = _indexed(connection, log_id)
        if indexed << ITEM_BITS < below:
            raise LogUnavailable("the index is not complete yet: try again")
        return places

    def nodes(self, log_id: int, level: int, start: int, stop: int) -> list[bytes]:
        """Return the indexed hashes of the complete subtrees `start` to `stop - 1` of 2**level leaves.

        Raises:
            LogUnavailable: the database failed.
        """
        number = _node.c.number
        inside = sa.and_(_node.c.log == log_id, _node.c.level == level, number >= start, number < stop)
        with self._reading() as connection:
            return list(map(octets, connection.scalars(sa.select(_node.c.hash).where(inside).order_by(number))))

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._guarded(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
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
            if version != INDEX_VERSION or not metadata.tables.keys() <= set(sa.inspect(connection).get_table_names()):
                metadata.drop_all(connection)
                metadata.create_all(connection)
                connection.execute(sa.insert(_version), {"version": INDEX_VERSION})

    def _recover(self, error: BaseException, used: Identity | None) -> None:
        """Delete the file if it is damaged. Otherwise report that the index cannot be used."""
        if isinstance(error, IntegrityError):
            return
        if misses_tables(error):
            self._is_prepared = False
        if self._file is not None and is_damage(error):
            self._is_prepared = False
            if self._deleted(self._file, used):
                self._on_event(INDEX_DAMAGED, error)
        elif monotonic() - self._reported >= REPORT_S:
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


def _indexed(connection: sa.Connection, log_id: int) -> int:
    return whole(connection.scalar(sa.select(_mark.c.indexed).where(_mark.c.log == log_id)) or 0)


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, object]]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def _conditions(log_id: int, wanted: Search) -> Iterator[sa.ColumnElement[bool]]:
    if wanted.from_us is not None:
        yield _access.c.time_us >= wanted.from_us
    if wanted.until_us is not None:
        yield _access.c.time_us < wanted.until_us
    if wanted.kinds:
        yield _access.c.kind.in_(wanted.kinds)
    for name in ("caller", "actor", "type", "token", "action", "effect", "purpose", "request_id"):
        value = getattr(wanted, name)
        if value is not None:
            yield _access.c[name] == value
    if wanted.data_subject is not None:
        sid = sa.and_(_person.c.log == log_id, _person.c.sid == wanted.data_subject, _person.c.place == _access.c.place)
        yield sa.exists().where(sid)

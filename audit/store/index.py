"""The projection of the logs that can be searched, and the nodes of their trees: everything here can be rebuilt.

It lives in a database of its own (with SQLite, a file; with PostgreSQL, tables that nothing else shares), because an
insert into it takes longer than one into the log and must not hold the log's lock. A row is one item of one entry;
`place` is index * 1024 + item, so that the order of places is the order of the log.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.store.gate import gate_for
from linewarden.audit.store.schema import BigInt, Name

#: Raised when rows get another shape; an index of another version is dropped and filled again.
INDEX_VERSION = 2

#: Items of one entry have places next to each other.
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
    """What can be searched of one item of one entry. `data_subjects` are the pseudonyms of its owner and parties."""

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
    """What rows are wanted, by pseudonyms and tokens; None does not narrow. Times are microseconds, half-open."""

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


class IndexStore:
    """The index of all logs."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._gate = gate_for(engine)

    def close(self) -> None:
        """Let go of everything; the store can be used no more."""
        self._gate.close()

    def prepare(self) -> None:
        """Make the tables; throw away those of another version.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._writing() as connection:
            _version.create(connection, checkfirst=True)
            if connection.scalar(sa.select(_version.c.version)) != INDEX_VERSION:
                metadata.drop_all(connection)
                metadata.create_all(connection)
                connection.execute(sa.insert(_version), {"version": INDEX_VERSION})

    def indexed(self, log: int) -> int:
        """How many entries of the log are in the index.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._reading() as connection:
            return int(connection.scalar(sa.select(_mark.c.indexed).where(_mark.c.log == log)) or 0)

    def last_leaf(self, log: int) -> bytes | None:
        """The leaf hash of the last entry that is in the index; None if none is.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._reading() as connection:
            leaf = connection.scalar(sa.select(_mark.c.leaf).where(_mark.c.log == log))
        return None if leaf is None else bytes(leaf)

    def forget(self, log: int) -> None:
        """Throw away what is known of a log: it is not the one that was indexed.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._writing() as connection:
            for table in (_access, _person, _node, _mark):
                connection.execute(sa.delete(table).where(table.c.log == log))

    def add(
        self,
        log: int,
        start: int,
        stop: int,
        leaf: bytes,
        rows: Sequence[IndexRow],
        nodes: dict[tuple[int, int], bytes],
    ) -> bool:
        """Add what the entries `start` to `stop - 1` say, the last of which has that leaf hash.

        False if another process did so already.

        Raises:
            LogUnavailable: the database failed.
        """
        try:
            return self._add(log, start, stop, leaf, rows, nodes)
        except LogUnavailable as fault:
            # A log without a mark has no row to lock: of two who begin its index, the second finds the first one's
            # rows.
            if isinstance(fault.__cause__, IntegrityError):
                return False
            raise

    def _add(
        self,
        log: int,
        start: int,
        stop: int,
        leaf: bytes,
        rows: Sequence[IndexRow],
        nodes: dict[tuple[int, int], bytes],
    ) -> bool:
        with self._writing() as connection:
            query = sa.select(_mark.c.indexed).where(_mark.c.log == log).with_for_update()
            mark = connection.scalar(query)
            if (mark or 0) != start:
                return False
            if mark is None:
                connection.execute(sa.insert(_mark), {"log": log, "indexed": stop, "leaf": leaf})
            else:
                connection.execute(sa.update(_mark).where(_mark.c.log == log).values(indexed=stop, leaf=leaf))
            values = [row._asdict() | {"log": log} for row in rows]
            persons = [{"log": log, "sid": sid, "place": v["place"]} for v in values for sid in v.pop("data_subjects")]
            _insert(connection, _access, values)
            _insert(connection, _person, persons)
            hashes = [{"log": log, "level": lv, "number": n, "hash": digest} for (lv, n), digest in nodes.items()]
            _insert(connection, _node, hashes)
            return True

    def search(
        self, log: int, wanted: Search, *, after: int | None, below: int, descending: bool, limit: int
    ) -> list[int]:
        """Places that fit, in the order of the log or against it, beyond `after` and below `below`.

        Raises:
            LogUnavailable: the database failed.
        """
        place = _access.c.place
        query = sa.select(place).where(_access.c.log == log, place < below, *_conditions(log, wanted))
        if after is not None:
            query = query.where(place < after if descending else place > after)
        query = query.order_by(place.desc() if descending else place).limit(limit)
        with self._reading() as connection:
            return list(connection.scalars(query))

    def nodes(self, log: int, level: int, start: int, stop: int) -> list[bytes]:
        """The hashes of the complete subtrees `start` to `stop - 1` of 2**level leaves, as far as they are indexed.

        Raises:
            LogUnavailable: the database failed.
        """
        number = _node.c.number
        inside = sa.and_(_node.c.log == log, _node.c.level == level, number >= start, number < stop)
        with self._reading() as connection:
            return [
                bytes(digest) for digest in connection.scalars(sa.select(_node.c.hash).where(inside).order_by(number))
            ]

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise LogUnavailable("the index's database failed") from error

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        try:
            with self._gate(), self._engine.connect() as plain:
                connection = plain.execution_options(writes=True)
                with connection.begin():
                    yield connection
        except (SQLAlchemyError, OSError) as error:
            raise LogUnavailable("the index's database failed") from error


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, object]]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def _conditions(log: int, wanted: Search) -> Iterator[sa.ColumnElement[bool]]:
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
        sid = sa.and_(_person.c.log == log, _person.c.sid == wanted.data_subject, _person.c.place == _access.c.place)
        yield sa.exists().where(sid)

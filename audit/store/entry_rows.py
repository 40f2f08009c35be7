"""Reading of entries, also of a log whose rows are damaged.

SQLite does not check types, so another program may have stored a number or a text where bytes belong. Such a value
counts as missing. It is replaced by NULL inside the database, because the driver cannot decode every text.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from linewarden.audit.errors import LogDamaged
from linewarden.audit.merkle import leaf_hash
from linewarden.audit.model import index_of
from linewarden.audit.store.schema import log_entry, position_of

#: Opens a connection that reads.
Reading = Callable[[], AbstractContextManager[sa.Connection]]

#: Entries that `stored` returns at most.
MAX_STORED = 4_096

#: Rows of one statement.
_STEP = 2_048


def octets(column: "sa.Column[bytes]", engine: sa.Engine) -> "sa.ColumnElement[Any]":
    """Return a column for reading, with NULL in place of values that are not bytes."""
    if engine.dialect.name != "sqlite":
        return column
    return sa.case((sa.func.typeof(column) == sa.literal_column("'blob'"), column))


class EntryRows:
    """The rows of all logs, as bytes. `reading` opens a connection."""

    def __init__(self, engine: sa.Engine, reading: Reading) -> None:
        self._reading = reading
        self._leaf_hash = octets(log_entry.c.leaf_hash, engine)
        self._entry = octets(log_entry.c.entry, engine)
        self._entry_text = _range_text((self._entry,), engine)
        self._leaf_hash_text = _range_text((self._leaf_hash,), engine)
        self._rows_text = _range_text((log_entry.c.position, self._leaf_hash, self._entry), engine)

    def entries(self, log_id: int, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of the entries `start` to `stop - 1`, in order. Raises LogDamaged if one is missing."""
        return self._column(self._entry_text, log_id, start, stop)

    def leaf_hashes(self, log_id: int, start: int, stop: int) -> Iterator[bytes]:
        """Yield the leaf hashes of the entries `start` to `stop - 1`, in order. Raises as `entries` does."""
        return self._column(self._leaf_hash_text, log_id, start, stop)

    def stored(self, log_id: int, start: int, stop: int) -> dict[int, tuple[bytes, bytes]]:
        """Return leaf hash and bytes of the entries `start` to `stop - 1` by index, without those that are missing.

        Neither is verified.

        Raises:
            ValueError: these are more than MAX_STORED entries.
        """
        if stop - start > MAX_STORED:
            raise ValueError(f"at most {MAX_STORED} entries are read at once")
        with self._reading() as connection:
            return _whole(connection.exec_driver_sql(self._rows_text, _bounds(log_id, start, stop)).all())

    def entries_at(self, log_id: int, indexes: Sequence[int]) -> dict[int, bytes]:
        """Return the bytes of single entries by index, not verified, without those that are missing."""
        keys = [position_of(log_id, index) for index in indexes]
        query = sa.select(log_entry.c.position, self._entry).where(log_entry.c.position.in_(keys))
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return {index_of(position): bytes(entry) for position, entry in rows if entry is not None}

    def damaged(self, log_id: int, start: int, stop: int, *, at_most: int = 256) -> list[int]:
        """Return the first entries that are missing, or whose bytes do not have their stored leaf hash."""
        damaged: list[int] = []
        for begin in range(start, stop, _STEP):
            end = min(begin + _STEP, stop)
            found = self.stored(log_id, begin, end)
            damaged += damaged_in(found, begin, end)
            if len(damaged) >= at_most:
                break
        return damaged[:at_most]

    def _column(self, text: str, log_id: int, start: int, stop: int) -> Iterator[bytes]:
        for begin in range(start, stop, _STEP):
            end = min(begin + _STEP, stop)
            with self._reading() as connection:
                found = connection.exec_driver_sql(text, _bounds(log_id, begin, end)).scalars()
                values = [value for value in found if value is not None]
            if len(values) != end - begin:
                raise self._lacking(log_id, begin, end)
            yield from map(bytes, values)

    def _lacking(self, log_id: int, start: int, stop: int) -> LogDamaged:
        missing = sorted({*range(start, stop)} - self.stored(log_id, start, stop).keys())
        first = f", the first is entry {missing[0]}" if missing else ""
        return LogDamaged(f"log {log_id} lacks entries below its size{first}: restore the database", missing)


def changed_entries(indexes: Sequence[int]) -> LogDamaged:
    """Return the error for entries that were changed after they were hashed; their indexes may be unknown."""
    first = f": the first is entry {indexes[0]}" if indexes else ""
    return LogDamaged(f"stored entries are not those that were hashed when they were appended{first}", indexes)


def damaged_in(found: dict[int, tuple[bytes, bytes]], start: int, stop: int) -> list[int]:
    """Return the entries that `stored` did not find, or whose bytes do not have their leaf hash."""
    missing = () if len(found) == stop - start else {*range(start, stop)} - found.keys()
    changed = (index for index, (digest, entry) in found.items() if leaf_hash(entry) != digest)
    return sorted((*missing, *changed))


def _range_text(columns: "Sequence[sa.ColumnElement[Any]]", engine: sa.Engine) -> str:
    """Return the statement that reads columns of a range of entries, compiled once because that takes longest."""
    key = log_entry.c.position
    inside = sa.and_(key >= sa.bindparam("a"), key < sa.bindparam("b"))
    return str(sa.select(*columns).where(inside).order_by(key).compile(dialect=engine.dialect))


def _bounds(log_id: int, start: int, stop: int) -> dict[str, int]:
    return {"a": position_of(log_id, start), "b": position_of(log_id, stop)}


def _whole(rows: Iterable[Any]) -> dict[int, tuple[bytes, bytes]]:
    """Return the rows without a NULL, by index."""
    return {
        index_of(position): (bytes(digest), bytes(entry))
        for position, digest, entry in rows
        if digest is not None and entry is not None
    }

"""Rows of persons: the mutable table that links names to pseudonyms and has the wrapped keys."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from linewarden.audit.store.log import LogStore
from linewarden.audit.store.schema import person


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as stored."""

    token: bytes
    sid: str
    wrapped_key: bytes
    sealed_name: bytes


#: Names looked up by one statement, because databases limit the number of parameters.
_STEP = 10_000

_COLUMNS = (person.c.token, person.c.sid, person.c.wrapped_key, person.c.sealed_name)


class PersonStore:
    """Persons of all logs."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def by_token(self, log_id: int, tokens: Sequence[bytes]) -> list[PersonRow]:
        """Return the persons with these look-up tokens. Unknown tokens are left out.

        Raises:
            LogUnavailable: the database failed.
        """
        return self._select(log_id, person.c.token, tokens)

    def by_sid(self, log_id: int, sids: Sequence[str]) -> list[PersonRow]:
        """Return the persons with these pseudonyms. Unknown pseudonyms are left out.

        Raises:
            LogUnavailable: the database failed.
        """
        return self._select(log_id, person.c.sid, sids)

    @staticmethod
    def insert(connection: sa.Connection, log_id: int, rows: Sequence[PersonRow]) -> bool:
        """Insert persons inside an append, under the lock of their log. Return False if one of them exists already."""
        tokens = [row.token for row in rows]
        for part in _parts(tokens):
            known = sa.select(sa.func.count()).where(person.c.log == log_id, person.c.token.in_(part))
            if connection.scalar(known):
                return False
        values = [
            {"log": log_id, "token": r.token, "sid": r.sid, "wrapped_key": r.wrapped_key, "sealed_name": r.sealed_name}
            for r in rows
        ]
        connection.execute(sa.insert(person), values)
        return True

    def _select(
        self, log_id: int, column: sa.Column[str] | sa.Column[bytes], keys: Sequence[object]
    ) -> list[PersonRow]:
        persons: list[PersonRow] = []
        with self._store.reading() as connection:
            for part in _parts(keys):
                rows = connection.execute(sa.select(*_COLUMNS).where(person.c.log == log_id, column.in_(part)))
                persons += [PersonRow(bytes(token), sid, bytes(key), bytes(name)) for token, sid, key, name in rows]
        return persons


def _parts(keys: Sequence[object]) -> Iterator[Sequence[object]]:
    return (keys[start : start + _STEP] for start in range(0, len(keys), _STEP))

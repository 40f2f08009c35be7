"""Tampering with entries, persons and the index, on every database: no answer states a changed fact."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from linewarden.audit.directory import Directory
from linewarden.audit.entry import (
    PERSON_ERASED,
    encode,
)
from linewarden.audit.index.answers import Query
from linewarden.audit.index.indexer import Indexer
from linewarden.audit.index.queries import AuditQueries
from linewarden.audit.merkle import leaf_hash
from linewarden.audit.model import Unit
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.schema import log_entry, log_node, person
from tests.contract.indexing import LOG, accesses, beats, page_of

Tamper = Callable[[sa.Connection], Any]


def _sql(statement: str) -> Tamper:
    return lambda connection: connection.exec_driver_sql(statement)


def _exchange(table: str, column: str, key: str) -> Tamper:
    """Exchange the values of a column, and their seals, between the first two rows."""

    def exchange(connection: sa.Connection) -> None:
        query = f"SELECT {key}, {column}, seal FROM {table} WHERE log = 1 ORDER BY {key} LIMIT 2"
        rows = connection.execute(sa.text(query)).all()
        for (at, _, _), (_, value, seal) in zip(rows, reversed(rows), strict=True):
            change = sa.text(f"UPDATE {table} SET {column} = :value, seal = :seal WHERE log = 1 AND {key} = :at")
            connection.execute(change, {"value": value, "seal": seal, "at": at})

    return exchange


def _older_block(connection: sa.Connection) -> None:
    """Put a block of another log in the place of one of this log."""
    row = connection.execute(sa.text("SELECT body, seal FROM index_block WHERE log = 2 ORDER BY key DESC")).first()
    assert row is not None
    connection.execute(sa.text("UPDATE index_block SET body = :body, seal = :seal WHERE log = 1"), row._asdict())


def _inserted_run(connection: sa.Connection) -> None:
    """Say that the log has more entries than it has, in a copy of the last run."""
    columns = "log, first, end, start, stop, low_us, high_us, ordered, seal"
    copied = columns.replace("first, end, start, stop", '"end", "end" + 5, stop, stop + 5')
    connection.exec_driver_sql(
        f"INSERT INTO index_run ({columns.replace('end', chr(34) + 'end' + chr(34))}) SELECT {copied} FROM index_run"
        " WHERE log = 1 AND first > 0"
    )


@pytest.mark.parametrize("tamper", [
    pytest.param(_sql("DELETE FROM index_block WHERE log = 1 AND run > 0"), id="blocks deleted"),
    pytest.param(_sql("DELETE FROM index_run WHERE log = 1 AND first = 0"), id="first run deleted"),
    pytest.param(_sql("UPDATE index_block SET rank = rank + 1 WHERE log = 1"), id="rank changed"),
    pytest.param(_sql("UPDATE index_run SET stop = stop + 1 WHERE log = 1"), id="run made longer"),
    pytest.param(_sql("UPDATE index_run SET low_us = 5, high_us = 6 WHERE log = 1"), id="times changed"),
    pytest.param(_exchange("index_block", "body", "key"), id="bodies exchanged"),
    pytest.param(_older_block, id="block of another log"),
    pytest.param(_inserted_run, id="run inserted"),
])  # fmt: skip
async def test_a_changed_index_is_noticed_and_made_anew(
    store: LogStore, index_engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory,
    events: list[str], tamper: Tamper,
) -> None:  # fmt: skip
    """A query that needs a changed or missing row of the index answers from an index that was made anew."""
    await accesses(store, directory, 300)
    store.append([Unit(2, beats(20))])
    indexer.catch_up(2, 20)
    indexer.catch_up(1, store.head(1).size)
    await accesses(store, directory, 60)
    indexer.catch_up(1, store.head(1).size)
    queries = (Query(), Query(data_subject="ben"), Query(effect="deny"), Query(from_us=100, until_us=200))
    before = [page_of(reading, store, query, 50).rows for query in queries]
    with index_engine.begin() as connection:
        tamper(connection)
    assert [page_of(reading, store, query, 50).rows for query in queries] == before
    assert events == ["index_damaged"]


async def test_an_older_index_says_what_it_said(
    store: LogStore, index_engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory
) -> None:
    """An earlier state of the index that is put back makes no answer incomplete."""
    tables = [sa.Table(name, sa.MetaData(), autoload_with=index_engine) for name in ("index_run", "index_block")]
    await accesses(store, directory, 300)
    indexer.catch_up(1, store.head(1).size)
    with index_engine.connect() as connection:
        older = [connection.execute(sa.select(table)).mappings().all() for table in tables]
    await accesses(store, directory, 700)
    indexer.catch_up(1, store.head(1).size)
    expected = page_of(reading, store, Query(data_subject="ben"), 2_000).rows
    with index_engine.begin() as connection:
        for table, rows in zip(tables, older, strict=True):
            connection.execute(sa.delete(table))
            connection.execute(sa.insert(table), [dict(row) for row in rows])
    assert page_of(reading, store, Query(data_subject="ben"), 2_000).rows == expected
    assert len(expected) > 600


async def test_an_inserted_entry_is_in_no_answer(
    store: LogStore, engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory
) -> None:
    """A row behind the last entry is not an entry of the log."""
    await accesses(store, directory, 20)
    before = page_of(reading, store, Query(kinds=("decision",)))
    with engine.begin() as connection:
        last = connection.execute(sa.select(log_entry).order_by(log_entry.c.position.desc()).limit(1)).one()
        connection.execute(sa.insert(log_entry).values(**{**last._mapping, "position": last.position + 1}))
    indexer.catch_up(1, store.head(1).size)
    after = page_of(reading, store, Query(kinds=("decision",)))
    assert (after.rows, after.lacks) == (before.rows, before.lacks)


def _changed(entry: bytes) -> bytes:
    assert b'"allow"' in entry
    return entry.replace(b'"allow"', b'"deny"')


def _change(positions: Sequence[int], *, hashed: bool) -> Tamper:
    """Change the effect of entries, with or without their leaf hashes."""

    def change(connection: sa.Connection) -> None:
        for index in positions:
            key = log_entry.c.position == LOG + index
            entry = _changed(bytes(connection.scalar(sa.select(log_entry.c.entry).where(key)) or b""))
            values = {"entry": entry} | ({"leaf_hash": leaf_hash(entry)} if hashed else {})
            connection.execute(sa.update(log_entry).where(key).values(values))

    return change


def _swap(connection: sa.Connection) -> None:
    """Exchange two entries with their leaf hashes."""
    first, second = LOG + 40, LOG + 41
    columns = (log_entry.c.leaf_hash, log_entry.c.entry)
    rows = [connection.execute(sa.select(*columns).where(log_entry.c.position == one)).one() for one in (second, first)]
    for at, row in zip((first, second), rows, strict=True):
        connection.execute(sa.update(log_entry).where(log_entry.c.position == at).values(**row._mapping))


def _delete(connection: sa.Connection) -> None:
    connection.execute(sa.delete(log_entry).where(log_entry.c.position == LOG + 40))


_TAMPERING = [
    pytest.param(_change([40], hashed=False), {40}, id="entry changed"),
    pytest.param(_change([40], hashed=True), {40}, id="entry and hash changed"),
    pytest.param(_swap, {40, 41}, id="entries exchanged"),
    pytest.param(_delete, {40}, id="entry deleted"),
]


@pytest.mark.parametrize(("tamper", "damaged"), _TAMPERING)
async def test_a_changed_entry_is_not_shown_and_is_named(
    store: LogStore, engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory,
    tamper: Tamper, damaged: set[int],
) -> None:  # fmt: skip
    """A query that meets a changed entry shows all others, and says which one is damaged."""
    await accesses(store, directory, 300)
    indexer.catch_up(1, store.head(1).size)
    before = page_of(reading, store, Query(kinds=("decision",)))
    with engine.begin() as connection:
        tamper(connection)
    page = page_of(reading, store, Query(kinds=("decision",)))
    assert set(page.lacks.damaged) == damaged
    assert page.rows == tuple(row for row in before.rows if row.index not in damaged)
    assert not page_of(reading, store, Query(effect="deny")).rows


@pytest.mark.parametrize(("tamper", "damaged"), _TAMPERING)
async def test_a_changed_entry_is_not_counted_and_is_named(
    store: LogStore, engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory,
    tamper: Tamper, damaged: set[int],
) -> None:  # fmt: skip
    """A count, in all and by time, is that of the rows, and names the damaged entries that it leaves out."""
    await accesses(store, directory, 300)
    size = store.head(1).size
    indexer.catch_up(1, size)
    with engine.begin() as connection:
        tamper(connection)
    for query in (Query(), Query(kinds=("decision",)), Query(data_subject="ann", until_us=100)):
        count = reading.count(1, query, size=size, instants=lambda first, last: range(first, last + 1, 50))
        page = page_of(reading, store, query)
        assert count.items == len(page.rows) == sum(items for _, items in count.buckets)
        assert (set(count.lacks.damaged), count.lacks.unchecked) == (set(page.lacks.damaged), 0)
        assert damaged <= set(count.lacks.damaged) or query.data_subject


async def test_a_large_count_says_that_it_was_not_checked(
    store: LogStore, engine: sa.Engine, indexer: Indexer, reading: AuditQueries
) -> None:
    """A count of more items than it reads states how many it took from the index."""
    store.append([Unit(1, beats(1_200))])
    indexer.catch_up(1, 1_200)
    with engine.begin() as connection:
        _delete(connection)
    count = reading.count(1, Query(), size=1_200)
    assert (count.items, count.lacks.unchecked, count.lacks.damaged) == (1_200, 1_200, ())
    count = reading.count(1, Query(until_us=1_000), size=1_200)
    assert (count.items, count.lacks.unchecked, count.lacks.damaged) == (999, 0, (40,))


@pytest.mark.parametrize(("tamper", "damaged"), _TAMPERING)
async def test_an_entry_changed_before_it_is_indexed_marks_every_answer(
    store: LogStore, engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory,
    tamper: Tamper, damaged: set[int],
) -> None:  # fmt: skip
    """An entry that was never verified is in no answer, and every answer over its place names it."""
    await accesses(store, directory, 600)
    with engine.begin() as connection:
        tamper(connection)
    size = store.head(1).size
    indexer.catch_up(1, size)
    for query in (Query(), Query(effect="deny"), Query(caller="nobody")):
        page = page_of(reading, store, query, 2_000)
        assert damaged <= set(page.lacks.damaged) <= set(range(256))
        assert not damaged & {row.index for row in page.rows}
        assert not query.effect or not page.rows
    later = page_of(reading, store, Query(kinds=("decision",)), 2_000)
    assert {row.index for row in later.rows} >= set(range(256, size)), "damage stays inside its tile"


async def test_an_entry_changed_in_the_last_tile_is_found_by_the_head(
    store: LogStore, engine: sa.Engine, reading: AuditQueries, directory: Directory
) -> None:
    """Entries that no stored node covers yet are verified against the head."""
    await accesses(store, directory, 20)
    with engine.begin() as connection:
        _change([10], hashed=True)(connection)
    page = page_of(reading, store, Query(effect="deny"))
    assert not page.rows
    assert 10 in page.lacks.damaged


async def test_a_forged_node_hides_no_entry(
    store: LogStore, engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory
) -> None:
    """A node without a valid seal is computed again from the leaves, if these lead to the head."""
    await accesses(store, directory, 300)
    with engine.begin() as connection:
        connection.execute(sa.update(log_node).values(hash=bytes(32)))
    indexer.catch_up(1, store.head(1).size)
    page = page_of(reading, store, Query(kinds=("decision",)))
    assert (len(page.rows), page.lacks.damaged) == (600, ())


async def test_a_person_whose_row_is_gone_is_named_unless_erased(
    store: LogStore, engine: sa.Engine, reading: AuditQueries, directory: Directory
) -> None:
    """A deleted row of a person does not look like an erasure, which the log records."""
    await accesses(store, directory, 5)
    sid = next(row.subject_sid for row in page_of(reading, store, Query(subject="ann")).rows)
    with engine.begin() as connection:
        connection.execute(sa.delete(person).where(person.c.sid == sid))
    page = page_of(reading, store, Query(data_subject="ben"))
    assert page.lacks.persons == (sid,)
    assert {row.subject for row in page.rows} == {""}
    store.append([Unit(1, (encode(PERSON_ERASED, 99, {"person": {"sid": sid}}),))])
    assert page_of(reading, store, Query(data_subject="ben")).lacks.persons == ()

"""Answers of the index on every database: pages, counts, and what they lack."""

import asyncio
import random
from dataclasses import replace

import pytest
import sqlalchemy as sa

from linewarden.audit.directory import Directory
from linewarden.audit.entry import (
    HEARTBEAT,
    encode,
)
from linewarden.audit.errors import PageTokenInvalid
from linewarden.audit.index.answers import Query
from linewarden.audit.index.indexer import Indexer
from linewarden.audit.index.queries import AuditQueries
from linewarden.audit.model import Unit
from linewarden.audit.store.index import IndexStore
from linewarden.audit.store.log import LogStore
from tests.contract.indexing import Sample, accesses, page_of


async def test_pages_are_stable_while_the_log_grows(
    store: LogStore, reading: AuditQueries, directory: Directory
) -> None:
    """Pages of a query hold each row once, and nothing that was appended after the first page."""
    await accesses(store, directory, 20)
    size = store.head(1).size
    for oldest_first in (True, False):
        query = Query(kinds=("decision",), data_subject="ben", oldest_first=oldest_first)
        page = await asyncio.to_thread(reading.query, 1, query, size=size, page_size=3, token="")
        rows = list(page.rows)
        while page.next_token:
            await accesses(store, directory, 1)
            bound = store.head(1).size
            page = await asyncio.to_thread(reading.query, 1, query, size=bound, page_size=3, token=page.next_token)
            assert page.lacks.size == size
            rows += page.rows
        assert [row.resource_id for row in sorted(rows, key=lambda row: (row.index, row.item))] == [
            f"{kind}{n}" for n in range(0, 20, 3) for kind in "rs"
        ]
        assert {row.owner for row in rows} == {"ben"}


async def test_a_token_of_another_query_is_refused(
    store: LogStore, reading: AuditQueries, directory: Directory
) -> None:
    """A page token continues the query it was made for and no other."""
    await accesses(store, directory, 5)
    size = store.head(1).size
    page = await asyncio.to_thread(reading.query, 1, Query(caller="pbx"), size=size, page_size=2, token="")
    for query, token in ((Query(), page.next_token), (Query(caller="pbx"), "bm9uc2Vuc2U="), (Query(caller="pbx"), "§")):
        with pytest.raises(PageTokenInvalid):
            await asyncio.to_thread(reading.query, 1, query, size=size, page_size=2, token=token)


async def test_an_index_of_another_version_is_made_again(
    store: LogStore, index: IndexStore, index_engine: sa.Engine, indexer: Indexer, reading: AuditQueries,
    directory: Directory,
) -> None:  # fmt: skip
    """An index of another version is filled again from the entries, and the tables of the old one are gone."""
    await accesses(store, directory, 5)
    size = store.head(1).size
    indexer.catch_up(1, size)
    before = page_of(reading, store, Query())
    with index_engine.begin() as connection:
        connection.exec_driver_sql("UPDATE index_version SET version = 2")
        connection.exec_driver_sql("CREATE TABLE index_access (log INTEGER)")
    index.prepare()
    assert index.of(1, 0).runs() == []
    assert not sa.inspect(index_engine).has_table("index_access")
    assert indexer.catch_up(1, size) == size
    assert page_of(reading, store, Query()).rows == before.rows


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_the_index_finds_and_counts_what_the_log_has(
    store: LogStore, indexer: Indexer, reading: AuditQueries, directory: Directory, seed: int
) -> None:
    """Pages and counts are those of a reader of the whole log, wherever the index ends and whatever was merged."""
    sample, some = Sample(store, directory, seed), random.Random(seed)
    for _ in range(4):
        await sample.grow(100)
        while indexer.catch_up(1, size := store.head(1).size, at_most=some.choice((10, 40, 70))) < size - 50:
            pass
    for _ in range(20):
        query, page_size = sample.query(), some.choice((3, 40, 1_000))
        expected = sample.expected(query)
        is_plain = query.kinds or query.caller or query.subject or query.data_subject
        if not is_plain and not (query.verb or query.effect or query.purpose or query.request_id or query.resource_id):
            query = replace(query, kinds=("decision", "log.heartbeat"))  # the introductions of persons are no rows
        found, token = list[tuple[int, int]](), ""
        while len(found) < min(200, 20 * page_size):
            page = reading.query(1, query, size=size, page_size=page_size, token=token)
            assert not page.lacks.damaged
            found += [(row.index, row.item) for row in page.rows]
            if not (token := page.next_token):
                break
        assert found == expected[: len(found)], query
        assert token or len(found) == len(expected), query
        assert reading.count(1, query, size=size).items == len(expected), query


async def test_buckets_of_a_count_add_up(
    store: LogStore, indexer: Indexer, reading: AuditQueries, directory: Directory
) -> None:
    """Each item is counted in the bucket of its time."""
    sample = Sample(store, directory, 5)
    await sample.grow(300)
    indexer.catch_up(1, 200)
    query = Query(effect="deny")
    step = 300_000_000
    count = reading.count(
        1, query, size=store.head(1).size, instants=lambda first, last: range(first - first % step, last + 1, step)
    )
    for start, items in count.buckets:
        inside = replace(query, from_us=start, until_us=start + step)
        assert items == len(sample.expected(inside))
    assert len(count.buckets) > 3
    assert sum(items for _, items in count.buckets) == count.items


async def test_a_person_or_item_unknown_to_the_log_is_said_to_be(
    store: LogStore, reading: AuditQueries, directory: Directory
) -> None:
    """A name that the log does not know is named, so that a typing error does not look like an empty history."""
    await accesses(store, directory, 2)
    page = page_of(reading, store, Query(data_subject="bem", subject="ann"))
    assert (page.rows, page.lacks.unknown) == ((), ("data_subject",))
    assert page_of(reading, store, Query(data_subject="ben")).lacks.unknown == ()


def test_an_index_that_is_far_behind_says_how_far_it_is(
    store: LogStore, reading: AuditQueries, indexer: Indexer
) -> None:
    """A query beside a backlog is answered for the entries that it states, and soon for all."""
    for _ in range(6):
        store.append([Unit(1, tuple(encode(HEARTBEAT, n, {}) for n in range(4_000)))])
    size = store.head(1).size
    covered: list[int] = []
    while not covered or covered[-1] < size:
        page = page_of(reading, store, Query(oldest_first=True), 5)
        assert [row.index for row in page.rows] == [0, 1, 2, 3, 4]
        covered.append(page.lacks.size)
        assert reading.count(1, Query(), size=size).items >= page.lacks.size
    assert 1 < len(covered) < 7
    assert indexer.catch_up(1, size) == size

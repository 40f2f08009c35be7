"""Indexes that are damaged, behind, or changed by another process: they are replaced, or left alone."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from linewarden.audit.directory import Directory
from linewarden.audit.entry import (
    HEARTBEAT,
    encode,
)
from linewarden.audit.errors import LogUnavailable
from linewarden.audit.index.answers import Query
from linewarden.audit.index.builder import RunBuilder
from linewarden.audit.index.errors import IndexDamaged
from linewarden.audit.index.format import Run
from linewarden.audit.index.indexer import IndexedLog, Indexer
from linewarden.audit.index.merging import joined, merged
from linewarden.audit.index.queries import AuditQueries
from linewarden.audit.index.reader import Reader as BlockReader
from linewarden.audit.model import Head, Unit
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.index import IndexStore
from linewarden.audit.store.index_file import OddValue
from linewarden.audit.store.log import LogStore
from linewarden.audit.tree import Tree
from linewarden.audit.verified import VerifiedEntries
from tests.contract.indexing import KEYRING, accesses, beats, indexer_of, page_of


class Thrown:
    """An index of a log with entries, in a file that can be damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[str] = []
        self.stores: list[tuple[sa.Engine, IndexStore]] = []

    def open(self) -> IndexStore:
        """Open the index as another process does."""
        engine = open_engine(f"sqlite:///{self.path}", durable=False)
        store = IndexStore(engine, KEYRING.row_mac, lambda event, _error: self.events.append(event))
        self.stores.append((engine, store))
        return store

    def close(self) -> None:
        """Close all open indexes and engines."""
        for engine, store in self.stores:
            store.close()
            engine.dispose()


@pytest.fixture
def thrown(tmp_path: Path) -> Iterator[Thrown]:
    """Yield an index whose file can be damaged."""
    made = Thrown(tmp_path / "index.db")
    yield made
    made.close()


def test_a_damaged_file_is_replaced_for_every_process(store: LogStore, directory: Directory, thrown: Thrown) -> None:
    """After damage each process finds every entry again, and one of them reports it."""
    store.append([Unit(1, beats(300))])
    indexes = [thrown.open(), thrown.open()]
    readings = []
    for index in indexes:
        indexer = indexer_of(store, index, directory)
        indexer.catch_up(1, 300)
        readings.append(AuditQueries(store, indexer, directory, KEYRING))
    for engine, _ in thrown.stores:
        engine.dispose()
    thrown.path.write_bytes(b"damage" * 1000)
    for reading in readings * 2:
        with suppress(LogUnavailable):
            assert len(page_of(reading, store, Query()).rows) == 300
    assert [len(page_of(reading, store, Query()).rows) for reading in readings] == [300, 300]
    assert thrown.events == ["index_damaged"]


def test_damage_that_another_process_mended_is_left_alone(
    store: LogStore, directory: Directory, thrown: Thrown
) -> None:
    """A process with a damaged file that is no longer the index leaves the new index alone."""
    first, second = thrown.open(), thrown.open()
    store.append([Unit(1, beats(300))])
    indexer_of(store, first, directory).catch_up(1, 300)
    with suppress(LogUnavailable), first._database._guarded():
        thrown.path.unlink()
        indexer_of(store, second, directory).catch_up(1, 300)
        new = thrown.path.stat().st_ino
        raise OddValue("as if the old file were damaged")
    assert thrown.path.stat().st_ino == new
    assert first.of(1, 0).runs()[-1].stop == 300


@pytest.mark.parametrize("statement", [
    "DROP TABLE index_run", "UPDATE index_run SET stop = 'many'", "UPDATE index_run SET seal = 5",
    "DROP TABLE index_version", "DROP TABLE index_block", "UPDATE index_block SET body = 7",
])  # fmt: skip
def test_what_was_never_written_there_is_damage(
    store: LogStore, directory: Directory, thrown: Thrown, statement: str
) -> None:
    """The indexer repairs missing tables and columns with wrong content."""
    index = thrown.open()
    indexer = indexer_of(store, index, directory)
    reading = AuditQueries(store, indexer, directory, KEYRING)
    store.append([Unit(1, beats(300))])
    indexer.catch_up(1, 300)
    with thrown.stores[0][0].begin() as connection:
        connection.exec_driver_sql(statement)
    for _ in range(3):
        with suppress(LogUnavailable):
            indexer.catch_up(1, 300)
            page_of(reading, store, Query())
    assert len(page_of(reading, store, Query()).rows) == 300


async def test_a_merge_beside_a_search_is_no_damage(
    store: LogStore, indexer: Indexer, reading: AuditQueries, directory: Directory, index: IndexStore, events: list[str]
) -> None:
    """A search whose runs another process merges meanwhile begins again, and the index stays."""
    await accesses(store, directory, 100)
    indexer.catch_up(1, store.head(1).size)
    view = indexer.view(1, store.head(1).size)
    for _ in range(12):
        await accesses(store, directory, 50)
        indexer.catch_up(1, store.head(1).size)
    assert tuple(index.of(1, 0).runs()) != view.stored
    with pytest.raises(IndexDamaged) as damage:
        BlockReader(view).covering([(view.runs[0], b"\x80")])
    indexer.renew(1, damage.value, view.stored)
    assert index.of(1, 0).runs()
    assert events == []
    assert len(page_of(reading, store, Query(kinds=("decision",)), 2_000).rows) == 1_400


def test_an_index_that_grew_after_the_head_was_read_is_no_damage(
    store: LogStore, index: IndexStore, indexer: Indexer, directory: Directory, events: list[str]
) -> None:
    """A process that read the head before another one appended and indexed keeps the index."""
    store.append([Unit(1, beats(200))])
    before = store.verified_head(1)
    store.append([Unit(1, beats(200))])
    indexer.catch_up(1, 400)
    builder = RunBuilder(VerifiedEntries(store, Tree(store)), directory, KEYRING)
    assert IndexedLog(store, index, builder, before).stop == 400
    assert events == []


def test_an_index_that_was_made_after_a_recovery_is_no_damage(
    store: LogStore, index: IndexStore, indexer: Indexer, directory: Directory, events: list[str]
) -> None:
    """A process that read the head before a recovery keeps the index that another one made after it."""
    store.append([Unit(1, beats(200))])
    indexer.catch_up(1, 200)
    before = store.verified_head(1)

    def amendment(head: Head) -> tuple[Head, bytes]:
        return replace(head, generation=head.generation + 1, origin_start=head.size), encode(HEARTBEAT, 300, {})

    store.amend(1, amendment, lambda _connection, _before, _after: None)
    index.forget(1)
    indexer.catch_up(1, 201)
    builder = RunBuilder(VerifiedEntries(store, Tree(store)), directory, KEYRING)
    assert IndexedLog(store, index, builder, before).stop == 201
    assert events == []


def test_a_run_is_not_stored_without_those_before_it(
    store: LogStore, index: IndexStore, directory: Directory, events: list[str]
) -> None:
    """A process whose index is deleted while it makes the next run stores nothing, and begins again."""
    store.append([Unit(1, beats(700))])
    builder = RunBuilder(VerifiedEntries(store, Tree(store)), directory, KEYRING)
    log_index = index.of(1, 0)
    first, blocks = builder.next(store.verified_head(1), [])
    assert log_index.put(first, blocks, [])
    store.append([Unit(1, beats(100))])
    second, others = builder.next(store.verified_head(1), [first])
    index.forget(1)
    assert not log_index.put(second, others, [first])
    assert log_index.runs() == []
    assert events == []


def test_runs_that_another_process_merged_are_not_merged_again(
    store: LogStore, index: IndexStore, directory: Directory
) -> None:
    """Of two merges that overlap, one is stored, and the runs follow each other."""
    builder, runs = RunBuilder(VerifiedEntries(store, Tree(store)), directory, KEYRING), list[Run]()
    log_index = index.of(1, 0)
    for _ in range(3):
        store.append([Unit(1, beats(50))])
        run, blocks = builder.next(store.verified_head(1), runs)
        assert log_index.put(run, blocks, runs)
        runs.append(run)
    merges = [(joined(parts), list(merged(log_index, joined(parts), parts))) for parts in (runs, runs[1:])]
    assert [log_index.put(run, blocks, runs) for run, blocks in merges] == [True, False]
    assert log_index.runs() == [merges[0][0]]

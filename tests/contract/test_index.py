"""Promises of the index and the checkpoints on every database."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from linewarden.audit.anchors import Anchors
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.directory import Directory
from linewarden.audit.entry import HEARTBEAT, AccessHeader, AccessItem, encode, encode_decisions
from linewarden.audit.errors import LogDamaged, LogUnavailable, PageTokenInvalid, RolledBack
from linewarden.audit.indexer import Indexer
from linewarden.audit.keyring import Keyring
from linewarden.audit.merkle import leaf_hash, node_hash
from linewarden.audit.model import Unit
from linewarden.audit.note import open_checkpoint
from linewarden.audit.queries import AuditQueries, Query
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.index import ITEM_BITS, IndexRow, IndexStore, Search
from linewarden.audit.store.index_file import OddValue
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.persons import PersonStore
from linewarden.audit.store.schema import log_entry, log_head
from linewarden.audit.tree import Tree
from linewarden.audit.writer import Writer
from tests.deadlines import HANG_S

KEYRING = Keyring(bytes(32))
FINDING = {"effect": "allow", "reason": "allowed_by_rule"}


@pytest.fixture
def index(engine: sa.Engine, tmp_path: Path) -> Iterator[IndexStore]:
    """Yield an index; it is in a separate file where the main database is a file."""
    own = open_engine(f"sqlite:///{tmp_path}/index.db", durable=False) if engine.dialect.name == "sqlite" else engine
    index = IndexStore(own)
    index.prepare()
    yield index
    if own is not engine:
        own.dispose()


@pytest.fixture
def directory(store: LogStore) -> Directory:
    """Return the persons of the store, introduced without a writer's loop."""

    class Direct:
        def append(self, unit: Unit) -> "asyncio.Future[int]":
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            (result,) = store.append([unit])
            if isinstance(result, int):
                future.set_result(result)
            else:
                future.set_exception(result)
            return future

    return Directory(PersonStore(store), KEYRING, Direct())


@pytest.fixture
def indexer(store: LogStore, index: IndexStore, directory: Directory) -> Indexer:
    """Return the indexer that fills the index."""
    return Indexer(store, index, directory, KEYRING)


def _beats(count: int) -> tuple[bytes, ...]:
    return tuple(encode(HEARTBEAT, n, {"n": n}) for n in range(count))


def _root(leaves: list[bytes]) -> bytes:
    """Return the root by the definition of RFC 6962, 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(_root(leaves[:split]), _root(leaves[split:]))


def test_a_checkpoint_is_of_the_whole_log_and_of_its_key(store: LogStore, tmp_path: Path) -> None:
    """Each signed checkpoint has the root over every entry, and each later one has it as a prefix."""
    checkpoints = Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32)))
    entries = _beats(20)
    for start in range(0, 20, 5):
        store.append([Unit(1, entries[start : start + 5])])
        signed = checkpoints.sign(1)
        opened = open_checkpoint(signed.note, checkpoints.signer(store.head(1)).verifier)
        assert opened == signed.checkpoint
        assert opened.size == start + 5
        assert opened.root == _root([leaf_hash(entry) for entry in entries[: start + 5]])
        assert checkpoints.sign(1) == signed


def test_another_process_goes_on_from_the_anchor(store: LogStore, tmp_path: Path) -> None:
    """The next signer checks the last checkpoint, also in another process."""
    store.append([Unit(1, _beats(5))])
    Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32))).sign(1)
    store.append([Unit(1, _beats(7))])
    signed = Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32))).sign(1)
    assert signed.checkpoint.size == 12


def test_a_changed_entry_is_not_signed_for(store: LogStore, engine: sa.Engine, tmp_path: Path) -> None:
    """The indexer notices an entry that was changed in the table before its checkpoint, with any stored hash."""
    store.append([Unit(1, _beats(5))])
    with engine.begin() as connection:
        connection.execute(sa.update(log_entry).where(log_entry.c.position == (1 << 40) + 3).values(entry=b"{}"))
    with pytest.raises(LogDamaged):
        Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32))).sign(1)


def test_a_log_shorter_than_its_anchor_is_not_signed_for(store: LogStore, engine: sa.Engine, tmp_path: Path) -> None:
    """Both the process that signed and a fresh one refuse an older, restored database."""
    store.append([Unit(1, _beats(5))])
    row = sa.select(log_head).where(log_head.c.log == 1)
    with engine.connect() as connection:
        old = connection.execute(row).one()
    store.append([Unit(1, _beats(2))])
    checkpoints = Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32)))
    checkpoints.sign(1)
    with engine.begin() as connection:
        connection.execute(sa.delete(log_entry).where(log_entry.c.position >= (1 << 40) + old.size))
        connection.execute(sa.update(log_head).where(log_head.c.log == 1).values(**old._mapping))
    for signer in (checkpoints, Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32)))):
        with pytest.raises(RolledBack):
            signer.sign(1)


async def _accesses(store: LogStore, directory: Directory, count: int) -> None:
    persons = await directory.meet(1, ("ann", "ben"), 1)
    await directory.append(Unit(1, ()), persons)
    writer = Writer(store, batch_limit=64, queue_limit=10_000, timeout_s=HANG_S)
    for n in range(count):
        owner = persons["ann"] if n % 3 else persons["ben"]
        item = AccessItem("play", "recording", f"r{n}", owner, owned=True, outcome=FINDING, resource={})
        header = AccessHeader(n, f"q{n}", "pbx", persons["ann"], 1)
        ((data, _),) = encode_decisions(header, [item, item._replace(id=f"s{n}")])
        await writer.append(Unit(1, (data,)))
    await writer.close()


async def test_pages_are_stable_while_the_log_grows(
    store: LogStore, index: IndexStore, indexer: Indexer, directory: Directory
) -> None:
    """Pages of a query hold each row once, and nothing that was appended after the first page."""
    await _accesses(store, directory, 20)
    reading = AuditQueries(store, index, indexer, directory, KEYRING)
    size = store.head(1).size
    for oldest_first in (True, False):
        query = Query(kinds=("decision",), data_subject="ben", oldest_first=oldest_first)
        page = await asyncio.to_thread(reading.query, 1, query, size=size, page_size=3, token="")
        rows = list(page.rows)
        while page.next_token:
            await _accesses(store, directory, 1)
            bound = store.head(1).size
            page = await asyncio.to_thread(reading.query, 1, query, size=bound, page_size=3, token=page.next_token)
            assert page.size == size
            rows += page.rows
        assert [row.resource_id for row in sorted(rows, key=lambda row: (row.index, row.item))] == [
            f"{kind}{n}" for n in range(0, 20, 3) for kind in "rs"
        ]
        assert {row.owner for row in rows} == {"ben"}


async def test_a_token_of_another_query_is_refused(
    store: LogStore, index: IndexStore, indexer: Indexer, directory: Directory
) -> None:
    """A page token continues the query it was made for and no other."""
    await _accesses(store, directory, 5)
    reading = AuditQueries(store, index, indexer, directory, KEYRING)
    size = store.head(1).size
    page = await asyncio.to_thread(reading.query, 1, Query(caller="pbx"), size=size, page_size=2, token="")
    for query, token in ((Query(), page.next_token), (Query(caller="pbx"), "bm9uc2Vuc2U="), (Query(caller="pbx"), "§")):
        with pytest.raises(PageTokenInvalid):
            await asyncio.to_thread(reading.query, 1, query, size=size, page_size=2, token=token)


async def test_an_index_of_another_version_is_made_again(
    store: LogStore, index: IndexStore, indexer: Indexer, directory: Directory
) -> None:
    """The next query fills an index of another version again from the entries."""
    await _accesses(store, directory, 5)
    reading = AuditQueries(store, index, indexer, directory, KEYRING)
    size = store.head(1).size
    before = await asyncio.to_thread(reading.query, 1, Query(), size=size, page_size=100, token="")
    with index._writing() as connection:
        connection.exec_driver_sql("UPDATE index_version SET version = 0")
    index.prepare()
    assert index.indexed(1) == 0
    after = await asyncio.to_thread(reading.query, 1, Query(), size=size, page_size=100, token="")
    assert after.rows == before.rows


class Thrown:
    """An index of a log with entries, in a file that can be damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[str] = []
        self.stores: list[tuple[sa.Engine, IndexStore]] = []

    def open(self) -> IndexStore:
        """Open the index as another process does."""
        engine = open_engine(f"sqlite:///{self.path}", durable=False)
        store = IndexStore(engine, lambda event, _error: self.events.append(event))
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


def _filled(index: IndexStore) -> None:
    row = IndexRow(0, 1, "log.heartbeat", None, None, None, None, None, None, None, None, ())
    assert index.add(1, 0, 1, bytes(32), [row], {})


def _found(index: IndexStore) -> list[int]:
    return index.search(1, Search(), after=None, below=1 << ITEM_BITS, descending=False, limit=5)


def test_a_search_is_refused_until_the_index_is_complete(thrown: Thrown) -> None:
    """After damage the index refuses searches in every process until it is complete again, and then misses no entry."""
    first, second = thrown.open(), thrown.open()
    _filled(first)
    assert _found(first) == _found(second) == [0]
    for engine, _ in thrown.stores:
        engine.dispose()
    thrown.path.write_bytes(b"damage" * 1000)
    with pytest.raises(LogUnavailable):
        _found(first)
    for index in (first, second):
        with pytest.raises(LogUnavailable, match="not complete"):
            _found(index)
    _filled(second)
    assert _found(first) == _found(second) == [0]
    assert thrown.events == ["index_damaged"]


def test_damage_that_another_process_mended_is_left_alone(thrown: Thrown) -> None:
    """A process with a damaged file that is no longer the index leaves the new index alone."""
    first, second = thrown.open(), thrown.open()
    _filled(first)
    with suppress(LogUnavailable), first._guarded():
        thrown.path.unlink()
        _filled(second)
        new = thrown.path.stat().st_ino
        raise OddValue("as if the old file were damaged")
    assert thrown.path.stat().st_ino == new
    assert _found(first) == [0]


def test_rows_without_their_mark_are_indexed_anew(store: LogStore, directory: Directory, thrown: Thrown) -> None:
    """The indexer discards the rows of a log whose mark is lost, and indexes that log again."""
    index = thrown.open()
    indexer = Indexer(store, index, directory, KEYRING)
    store.append([Unit(1, _beats(20))])
    assert indexer.catch_up(1, 20) == 20
    with thrown.stores[0][0].begin() as connection:
        connection.exec_driver_sql("DELETE FROM index_mark")
    assert indexer.catch_up(1, 20) == 20


@pytest.mark.parametrize("statement", [
    "DROP TABLE index_node", "UPDATE index_mark SET indexed = 'many'", "UPDATE index_mark SET leaf = 5",
    "DROP TABLE index_version", "DROP TABLE index_access",
])  # fmt: skip
def test_what_was_never_written_there_is_damage(
    store: LogStore, directory: Directory, thrown: Thrown, statement: str
) -> None:
    """The indexer repairs missing tables and columns with wrong content."""
    index = thrown.open()
    indexer = Indexer(store, index, directory, KEYRING)
    store.append([Unit(1, _beats(300))])
    indexer.catch_up(1, 300)
    with thrown.stores[0][0].begin() as connection:
        connection.exec_driver_sql(statement)
    checkpoints = Checkpoints(store, Tree(store), Anchors(thrown.path.parent / "anchors", "test", bytes(32)))
    for _ in range(3):
        with suppress(LogUnavailable):
            indexer.catch_up(1, 300)
            index.search(1, Search(), after=None, below=300 << ITEM_BITS, descending=False, limit=500)
    assert checkpoints.inclusion(1, 5, 300)
    assert len(index.search(1, Search(), after=None, below=300 << ITEM_BITS, descending=False, limit=500)) == 300

"""Promises of the index and of checkpoints on every database."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from linewarden.audit.anchors import Anchors
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.directory import Directory
from linewarden.audit.entry import (
    HEARTBEAT,
    PERSON_ERASED,
    AccessHeader,
    AccessItem,
    Requester,
    encode,
    encode_decisions,
)
from linewarden.audit.errors import LogDamaged, LogUnavailable, PageTokenInvalid, RolledBack
from linewarden.audit.index.answers import Page, Query
from linewarden.audit.index.builder import RunBuilder
from linewarden.audit.index.errors import IndexDamaged
from linewarden.audit.index.format import Run
from linewarden.audit.index.indexer import IndexedLog, Indexer
from linewarden.audit.index.merging import joined, merged
from linewarden.audit.index.queries import AuditQueries
from linewarden.audit.index.reader import Reader as BlockReader
from linewarden.audit.keyring import Keyring
from linewarden.audit.merkle import leaf_hash, node_hash
from linewarden.audit.model import Head, Unit
from linewarden.audit.note import open_checkpoint
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.index import IndexStore
from linewarden.audit.store.index_file import OddValue
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.persons import PersonStore
from linewarden.audit.store.schema import log_entry, log_head, log_node, person
from linewarden.audit.tree import Tree
from linewarden.audit.verified import VerifiedEntries
from linewarden.audit.writer import Writer
from tests.deadlines import HANG_S

KEYRING = Keyring(bytes(32))
FINDING = {"effect": "allow", "reason": "allowed_by_rule"}

#: Position of the first entry of log 1.
LOG = 1 << 40


@pytest.fixture
def events() -> list[str]:
    """Return the events that the index reported."""
    return []


@pytest.fixture
def index_engine(engine: sa.Engine, tmp_path: Path) -> Iterator[sa.Engine]:
    """Yield the engine of the index; it is another one where the main database is a file."""
    if engine.dialect.name != "sqlite":
        yield engine
        return
    own = open_engine(f"sqlite:///{tmp_path}/index.db", durable=False)
    yield own
    own.dispose()


@pytest.fixture
def index(index_engine: sa.Engine, events: list[str]) -> Iterator[IndexStore]:
    """Yield an index."""
    index = IndexStore(index_engine, KEYRING.row_mac, lambda event, _error: events.append(event))
    index.prepare()
    yield index
    index.close()


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


def _indexer(store: LogStore, index: IndexStore, directory: Directory) -> Indexer:
    return Indexer(store, VerifiedEntries(store, Tree(store)), index, directory, KEYRING)


@pytest.fixture
def indexer(store: LogStore, index: IndexStore, directory: Directory) -> Indexer:
    """Return the indexer that fills the index."""
    return _indexer(store, index, directory)


@pytest.fixture
def reading(store: LogStore, indexer: Indexer, directory: Directory) -> AuditQueries:
    """Return the queries over the index."""
    return AuditQueries(store, indexer, directory, KEYRING)


def _page(reading: AuditQueries, store: LogStore, query: Query, page_size: int = 1_000) -> Page:
    return reading.query(1, query, size=store.head(1).size, page_size=page_size, token="")


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
    appended = []
    for n in range(count):
        owner = persons["ann"] if n % 3 else persons["ben"]
        item = AccessItem("play", "recording", f"r{n}", owner, owned=True, outcome=FINDING, resource={})
        header = AccessHeader(n, f"q{n}", "pbx", persons["ann"], 1)
        ((data, _),) = encode_decisions(header, [item, item._replace(id=f"s{n}")])
        appended.append(writer.append(Unit(1, (data,))))
    await asyncio.gather(*appended)
    await writer.close()


async def test_pages_are_stable_while_the_log_grows(
    store: LogStore, reading: AuditQueries, directory: Directory
) -> None:
    """Pages of a query hold each row once, and nothing that was appended after the first page."""
    await _accesses(store, directory, 20)
    size = store.head(1).size
    for oldest_first in (True, False):
        query = Query(kinds=("decision",), data_subject="ben", oldest_first=oldest_first)
        page = await asyncio.to_thread(reading.query, 1, query, size=size, page_size=3, token="")
        rows = list(page.rows)
        while page.next_token:
            await _accesses(store, directory, 1)
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
    await _accesses(store, directory, 5)
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
    await _accesses(store, directory, 5)
    size = store.head(1).size
    indexer.catch_up(1, size)
    before = _page(reading, store, Query())
    with index_engine.begin() as connection:
        connection.exec_driver_sql("UPDATE index_version SET version = 2")
        connection.exec_driver_sql("CREATE TABLE index_access (log INTEGER)")
    index.prepare()
    assert index.of(1, 0).runs() == []
    assert not sa.inspect(index_engine).has_table("index_access")
    assert indexer.catch_up(1, size) == size
    assert _page(reading, store, Query()).rows == before.rows


class Sample:
    """A log of random accesses, and what a reader of all entries finds in it."""

    def __init__(self, store: LogStore, directory: Directory, seed: int) -> None:
        self._store = store
        self._directory = directory
        self._random = random.Random(seed)
        self._time = 1_000_000_000
        self._start = 0  # the size of the log before the entries that are being made
        self.rows: list[dict[str, Any]] = []

    async def grow(self, requests: int) -> None:
        """Append requests with one item or many, entries without items, and times that are a little out of order."""
        some = self._random
        names = [f"p{n}" for n in range(8)]
        persons = await self._directory.meet(1, names, self._time)
        await self._directory.append(Unit(1, ()), persons)
        self._start = self._store.head(1).size
        self.rows += [{"time": 0}] * (self._start - len(self.rows))
        data: list[bytes] = []
        for _ in range(requests):
            self._time += some.randrange(20_000_000)
            time = max(self._time - some.randrange(4_000_000), 0)
            if some.random() < 0.1:
                data.append(encode(HEARTBEAT, time, {}))
                self._note(len(data), 0, time=time, kinds="log.heartbeat")
                continue
            actor, caller = some.choice(names), some.choice(("pbx", "crm"))
            items, rows = [], []
            for _ in range(some.choice((1, 1, 1, 2, 40))):
                owner, id, verb = some.choice(names), f"i{some.randrange(30)}", some.choice(("play", "delete"))
                effect = "deny" if some.random() < 0.2 else "allow"
                outcome = {"effect": effect, "reason": "none"}
                items.append(AccessItem(verb, "fax", id, persons[owner], owned=True, outcome=outcome, resource={}))
                rows.append({"data_subject": owner, "resource_id": id, "verb": verb, "effect": effect})
                if some.random() < 0.3:
                    other = {"subject": some.choice(names), "purpose": some.choice(("", "qa")),
                             "request_id": f"i{some.randrange(10**9)}"}  # fmt: skip
                    asked = Requester(persons[other["subject"]], other["purpose"])
                    items[-1] = items[-1]._replace(requester=asked, request_id=other["request_id"])
                    rows[-1] |= other
            request = f"q{some.randrange(10**9)}"
            header = AccessHeader(time, request, caller, persons[actor], 1, purpose=some.choice(("", "qa")))
            for entry, count in encode_decisions(header, items):
                data.append(entry)
                for number, row in enumerate(rows[:count]):
                    common = {"time": time, "kinds": "decision", "caller": caller, "subject": actor}
                    common |= {"purpose": header.purpose, "request_id": request, "resource_type": "fax"}
                    self._note(len(data), number, **common | row)
                rows = rows[count:]
        for start in range(0, len(data), 500):
            self._store.append([Unit(1, tuple(data[start : start + 500]))])

    def _note(self, number: int, item: int, **row: Any) -> None:
        self.rows.append({"place": (self._start + number - 1, item), **row})

    def query(self) -> Query:
        """Return a random query that finds at least one row, unless its time excludes it."""
        some = self._random
        row = some.choice([row for row in self.rows if row.get("caller")])
        names = ["caller", "subject", "data_subject", "verb", "effect", "purpose", "request_id", "kinds", "resource_id"]
        chosen = {name: row[name] for name in some.sample(names, some.choice((0, 1, 1, 2, 3)))}
        if "kinds" in chosen:
            chosen["kinds"] = some.choice((("decision",), ("decision", "log.heartbeat"), ("log.heartbeat",)))
        if "resource_id" in chosen:
            chosen["resource_type"] = "fax"
        for name in ("from_us", "until_us"):
            if some.random() < 0.4:
                chosen[name] = some.choice(self.rows)["time"] + some.randrange(2)
        return Query(**chosen, oldest_first=some.random() < 0.5)

    def expected(self, query: Query) -> list[tuple[int, int]]:
        """Return the places that the query must find, in its order."""
        names = ("caller", "subject", "data_subject", "verb", "effect", "purpose", "request_id", "resource_id")
        places = [
            row["place"]
            for row in self.rows
            if "place" in row
            and all(not getattr(query, name) or row.get(name) == getattr(query, name) for name in names)
            and (not query.kinds or row["kinds"] in query.kinds)
            and (query.from_us is None or row["time"] >= query.from_us)
            and (query.until_us is None or row["time"] < query.until_us)
        ]
        return places if query.oldest_first else places[::-1]


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
    await _accesses(store, directory, 2)
    page = _page(reading, store, Query(data_subject="bem", subject="ann"))
    assert (page.rows, page.lacks.unknown) == ((), ("data_subject",))
    assert _page(reading, store, Query(data_subject="ben")).lacks.unknown == ()


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
    await _accesses(store, directory, 300)
    store.append([Unit(2, _beats(20))])
    indexer.catch_up(2, 20)
    indexer.catch_up(1, store.head(1).size)
    await _accesses(store, directory, 60)
    indexer.catch_up(1, store.head(1).size)
    queries = (Query(), Query(data_subject="ben"), Query(effect="deny"), Query(from_us=100, until_us=200))
    before = [_page(reading, store, query, 50).rows for query in queries]
    with index_engine.begin() as connection:
        tamper(connection)
    assert [_page(reading, store, query, 50).rows for query in queries] == before
    assert events == ["index_damaged"]


async def test_an_older_index_says_what_it_said(
    store: LogStore, index_engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory
) -> None:
    """An earlier state of the index that is put back makes no answer incomplete."""
    tables = [sa.Table(name, sa.MetaData(), autoload_with=index_engine) for name in ("index_run", "index_block")]
    await _accesses(store, directory, 300)
    indexer.catch_up(1, store.head(1).size)
    with index_engine.connect() as connection:
        older = [connection.execute(sa.select(table)).mappings().all() for table in tables]
    await _accesses(store, directory, 700)
    indexer.catch_up(1, store.head(1).size)
    expected = _page(reading, store, Query(data_subject="ben"), 2_000).rows
    with index_engine.begin() as connection:
        for table, rows in zip(tables, older, strict=True):
            connection.execute(sa.delete(table))
            connection.execute(sa.insert(table), [dict(row) for row in rows])
    assert _page(reading, store, Query(data_subject="ben"), 2_000).rows == expected
    assert len(expected) > 600


async def test_an_inserted_entry_is_in_no_answer(
    store: LogStore, engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory
) -> None:
    """A row behind the last entry is not an entry of the log."""
    await _accesses(store, directory, 20)
    before = _page(reading, store, Query(kinds=("decision",)))
    with engine.begin() as connection:
        last = connection.execute(sa.select(log_entry).order_by(log_entry.c.position.desc()).limit(1)).one()
        connection.execute(sa.insert(log_entry).values(**{**last._mapping, "position": last.position + 1}))
    indexer.catch_up(1, store.head(1).size)
    after = _page(reading, store, Query(kinds=("decision",)))
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
    await _accesses(store, directory, 300)
    indexer.catch_up(1, store.head(1).size)
    before = _page(reading, store, Query(kinds=("decision",)))
    with engine.begin() as connection:
        tamper(connection)
    page = _page(reading, store, Query(kinds=("decision",)))
    assert set(page.lacks.damaged) == damaged
    assert page.rows == tuple(row for row in before.rows if row.index not in damaged)
    assert not _page(reading, store, Query(effect="deny")).rows


@pytest.mark.parametrize(("tamper", "damaged"), _TAMPERING)
async def test_a_changed_entry_is_not_counted_and_is_named(
    store: LogStore, engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory,
    tamper: Tamper, damaged: set[int],
) -> None:  # fmt: skip
    """A count, in all and by time, is that of the rows, and names the damaged entries that it leaves out."""
    await _accesses(store, directory, 300)
    size = store.head(1).size
    indexer.catch_up(1, size)
    with engine.begin() as connection:
        tamper(connection)
    for query in (Query(), Query(kinds=("decision",)), Query(data_subject="ann", until_us=100)):
        count = reading.count(1, query, size=size, instants=lambda first, last: range(first, last + 1, 50))
        page = _page(reading, store, query)
        assert count.items == len(page.rows) == sum(items for _, items in count.buckets)
        assert (set(count.lacks.damaged), count.lacks.unchecked) == (set(page.lacks.damaged), 0)
        assert damaged <= set(count.lacks.damaged) or query.data_subject


async def test_a_large_count_says_that_it_was_not_checked(
    store: LogStore, engine: sa.Engine, indexer: Indexer, reading: AuditQueries
) -> None:
    """A count of more items than it reads states how many it took from the index."""
    store.append([Unit(1, _beats(1_200))])
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
    await _accesses(store, directory, 600)
    with engine.begin() as connection:
        tamper(connection)
    size = store.head(1).size
    indexer.catch_up(1, size)
    for query in (Query(), Query(effect="deny"), Query(caller="nobody")):
        page = _page(reading, store, query, 2_000)
        assert damaged <= set(page.lacks.damaged) <= set(range(256))
        assert not damaged & {row.index for row in page.rows}
        assert not query.effect or not page.rows
    later = _page(reading, store, Query(kinds=("decision",)), 2_000)
    assert {row.index for row in later.rows} >= set(range(256, size)), "damage stays inside its tile"


async def test_an_entry_changed_in_the_last_tile_is_found_by_the_head(
    store: LogStore, engine: sa.Engine, reading: AuditQueries, directory: Directory
) -> None:
    """Entries that no stored node covers yet are verified against the head."""
    await _accesses(store, directory, 20)
    with engine.begin() as connection:
        _change([10], hashed=True)(connection)
    page = _page(reading, store, Query(effect="deny"))
    assert not page.rows
    assert 10 in page.lacks.damaged


async def test_a_forged_node_hides_no_entry(
    store: LogStore, engine: sa.Engine, indexer: Indexer, reading: AuditQueries, directory: Directory
) -> None:
    """A node without a valid seal is computed again from the leaves, if these lead to the head."""
    await _accesses(store, directory, 300)
    with engine.begin() as connection:
        connection.execute(sa.update(log_node).values(hash=bytes(32)))
    indexer.catch_up(1, store.head(1).size)
    page = _page(reading, store, Query(kinds=("decision",)))
    assert (len(page.rows), page.lacks.damaged) == (600, ())


async def test_a_person_whose_row_is_gone_is_named_unless_erased(
    store: LogStore, engine: sa.Engine, reading: AuditQueries, directory: Directory
) -> None:
    """A deleted row of a person does not look like an erasure, which the log records."""
    await _accesses(store, directory, 5)
    sid = next(row.subject_sid for row in _page(reading, store, Query(subject="ann")).rows)
    with engine.begin() as connection:
        connection.execute(sa.delete(person).where(person.c.sid == sid))
    page = _page(reading, store, Query(data_subject="ben"))
    assert page.lacks.persons == (sid,)
    assert {row.subject for row in page.rows} == {""}
    store.append([Unit(1, (encode(PERSON_ERASED, 99, {"person": {"sid": sid}}),))])
    assert _page(reading, store, Query(data_subject="ben")).lacks.persons == ()


def test_an_index_that_is_far_behind_says_how_far_it_is(
    store: LogStore, reading: AuditQueries, indexer: Indexer
) -> None:
    """A query beside a backlog is answered for the entries that it states, and soon for all."""
    for _ in range(6):
        store.append([Unit(1, tuple(encode(HEARTBEAT, n, {}) for n in range(4_000)))])
    size = store.head(1).size
    covered: list[int] = []
    while not covered or covered[-1] < size:
        page = _page(reading, store, Query(oldest_first=True), 5)
        assert [row.index for row in page.rows] == [0, 1, 2, 3, 4]
        covered.append(page.lacks.size)
        assert reading.count(1, Query(), size=size).items >= page.lacks.size
    assert 1 < len(covered) < 7
    assert indexer.catch_up(1, size) == size


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
    store.append([Unit(1, _beats(300))])
    indexes = [thrown.open(), thrown.open()]
    readings = []
    for index in indexes:
        indexer = _indexer(store, index, directory)
        indexer.catch_up(1, 300)
        readings.append(AuditQueries(store, indexer, directory, KEYRING))
    for engine, _ in thrown.stores:
        engine.dispose()
    thrown.path.write_bytes(b"damage" * 1000)
    for reading in readings * 2:
        with suppress(LogUnavailable):
            assert len(_page(reading, store, Query()).rows) == 300
    assert [len(_page(reading, store, Query()).rows) for reading in readings] == [300, 300]
    assert thrown.events == ["index_damaged"]


def test_damage_that_another_process_mended_is_left_alone(
    store: LogStore, directory: Directory, thrown: Thrown
) -> None:
    """A process with a damaged file that is no longer the index leaves the new index alone."""
    first, second = thrown.open(), thrown.open()
    store.append([Unit(1, _beats(300))])
    _indexer(store, first, directory).catch_up(1, 300)
    with suppress(LogUnavailable), first._database._guarded():
        thrown.path.unlink()
        _indexer(store, second, directory).catch_up(1, 300)
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
    indexer = _indexer(store, index, directory)
    reading = AuditQueries(store, indexer, directory, KEYRING)
    store.append([Unit(1, _beats(300))])
    indexer.catch_up(1, 300)
    with thrown.stores[0][0].begin() as connection:
        connection.exec_driver_sql(statement)
    for _ in range(3):
        with suppress(LogUnavailable):
            indexer.catch_up(1, 300)
            _page(reading, store, Query())
    assert len(_page(reading, store, Query()).rows) == 300


async def test_a_merge_beside_a_search_is_no_damage(
    store: LogStore, indexer: Indexer, reading: AuditQueries, directory: Directory, index: IndexStore, events: list[str]
) -> None:
    """A search whose runs another process merges meanwhile begins again, and the index stays."""
    await _accesses(store, directory, 100)
    indexer.catch_up(1, store.head(1).size)
    view = indexer.view(1, store.head(1).size)
    for _ in range(12):
        await _accesses(store, directory, 50)
        indexer.catch_up(1, store.head(1).size)
    assert tuple(index.of(1, 0).runs()) != view.stored
    with pytest.raises(IndexDamaged) as damage:
        BlockReader(view).covering([(view.runs[0], b"\x80")])
    indexer.renew(1, damage.value, view.stored)
    assert index.of(1, 0).runs()
    assert events == []
    assert len(_page(reading, store, Query(kinds=("decision",)), 2_000).rows) == 1_400


def test_an_index_that_grew_after_the_head_was_read_is_no_damage(
    store: LogStore, index: IndexStore, indexer: Indexer, directory: Directory, events: list[str]
) -> None:
    """A process that read the head before another one appended and indexed keeps the index."""
    store.append([Unit(1, _beats(200))])
    before = store.verified_head(1)
    store.append([Unit(1, _beats(200))])
    indexer.catch_up(1, 400)
    builder = RunBuilder(VerifiedEntries(store, Tree(store)), directory, KEYRING)
    assert IndexedLog(store, index, builder, before).stop == 400
    assert events == []


def test_an_index_that_was_made_after_a_recovery_is_no_damage(
    store: LogStore, index: IndexStore, indexer: Indexer, directory: Directory, events: list[str]
) -> None:
    """A process that read the head before a recovery keeps the index that another one made after it."""
    store.append([Unit(1, _beats(200))])
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
    store.append([Unit(1, _beats(700))])
    builder = RunBuilder(VerifiedEntries(store, Tree(store)), directory, KEYRING)
    log_index = index.of(1, 0)
    first, blocks = builder.next(store.verified_head(1), [])
    assert log_index.put(first, blocks, [])
    store.append([Unit(1, _beats(100))])
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
        store.append([Unit(1, _beats(50))])
        run, blocks = builder.next(store.verified_head(1), runs)
        assert log_index.put(run, blocks, runs)
        runs.append(run)
    merges = [(joined(parts), list(merged(log_index, joined(parts), parts))) for parts in (runs, runs[1:])]
    assert [log_index.put(run, blocks, runs) for run, blocks in merges] == [True, False]
    assert log_index.runs() == [merges[0][0]]

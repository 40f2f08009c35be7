"""The search index: its cost behind each request, its size, and the cost of queries as the log grows."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from time import process_time

import sqlalchemy as sa
from rounds import figure
from section import Goal, Section
from tenants import postgres

from linewarden.audit.directory import Directory
from linewarden.audit.entry import AccessHeader, AccessItem, encode_decisions
from linewarden.audit.index.answers import Query
from linewarden.audit.index.indexer import Indexer
from linewarden.audit.index.queries import AuditQueries
from linewarden.audit.keyring import Keyring, Person, new_person_keys
from linewarden.audit.model import Unit
from linewarden.audit.store import schema
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.index import IndexStore
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.persons import PersonRow, PersonStore
from linewarden.audit.tree import Tree
from linewarden.audit.verified import VerifiedEntries

_LOG = 1
_PERSONS = 2_000
_PAGE = 100

#: Entries between two rounds of the background at 3,000 requests a second.
_ROUND = 750

#: Rounds of the background that are measured.
_ROUNDS = 20

#: Requests by which a log grows while the index behind them is measured.
_GROWN = _ROUNDS * _ROUND

#: Goals: microseconds behind a Check, milliseconds behind a batch of 50, bytes an item, milliseconds of a page, the
#: factor between the sizes of logs, entries a second.
_CHECK_US, _BATCH_MS, _BYTES, _PAGE_MS, _FLAT, _CATCH_UP = 15.0, 0.4, 60.0, 15.0, 1.5, 30_000.0

_START_US = 1_700_000_000_000_000
_STEP_US = 5_000_000


def measure(scratch: Path, sizes: Sequence[int], rounds: int) -> Section:
    """Measure logs of single checks of these sizes on SQLite and PostgreSQL, and growing logs on SQLite."""
    rows = [["database", "work", "log, entries", "processor time", ""]]
    goals = _of_sizes("SQLite", "", scratch, sizes, rounds, rows)
    with ExitStack() as stack:
        if url := postgres(scratch, stack):
            goals += _of_sizes("PostgreSQL", url, scratch, sizes, rounds, rows)
    for name, batch, count in (("a Check", 1, _GROWN), ("a batch of 50", 50, _GROWN // 15)):
        goals += _growing(name, batch, count, scratch, rows)
    note = (
        f"{_PERSONS:,} persons, an item is met three times on average. A page has {_PAGE} rows, with their entries "
        "read, verified against their indexed leaf hashes, and opened. The index is filled as by the background: a log "
        f"grows by {_ROUND} checks, or by {_ROUND // 15} batches, and is indexed, with all merges that become due. "
        "With PostgreSQL the time is that of the client alone."
    )
    return Section("The search index", rows, [note], goals)


def _of_sizes(
    database: str, url: str, scratch: Path, sizes: Sequence[int], rounds: int, rows: list[list[str]]
) -> list[Goal]:
    """Measure logs of these sizes. Adds rows, and returns the goals."""
    pages: dict[str, list[float]] = {}
    for size in sizes:
        with _site(scratch / f"{database}-{size}", size, 1, url=url) as site:
            per_entry = site.indexed() / size
            rows.append([database, "filling the index", f"{size:,}", f"{figure(per_entry * 1e6)} µs an entry",
                         f"{figure(1 / per_entry)} entries/s"])  # fmt: skip
            if not url:
                size_bytes = figure(site.index_bytes() / size)
                rows.append([database, "the index, single checks", f"{size:,}", "", f"{size_bytes} bytes an item"])
            for name, query in site.queries().items():
                spent = site.page(query, rounds)
                pages.setdefault(name, []).append(spent)
                rows.append([database, name, f"{size:,}", f"{figure(spent * 1e3)} ms", ""])
    last = f"{sizes[-1]:,} entries, {database}"
    goals = [] if url else [Goal(f"filling the index, {last}", _CATCH_UP, 1 / per_entry, "entries/s")]
    for name, times in pages.items():
        goals.append(Goal(f"{name}, {last}", _PAGE_MS, times[-1] * 1e3, "ms", at_most=True))
    worst = max(pages, key=lambda name: pages[name][-1] / pages[name][0])
    factor = pages[worst][-1] / pages[worst][0]
    return [*goals, Goal(f"from {sizes[0]:,} to {last}, {worst}", _FLAT, factor, "times", at_most=True)]


def _growing(name: str, batch: int, count: int, scratch: Path, rows: list[list[str]]) -> list[Goal]:
    """Measure the index behind the requests of a growing log. Adds rows, and returns the goals."""
    with _site(scratch / f"growing-{batch}", 0, batch, grows=count) as site:
        spent = site.grown(count, _ROUND if batch == 1 else _ROUND // 15) / count
        rows.append(["SQLite", f"behind {name}, with merges", f"{count:,}", f"{figure(spent * 1e6)} µs", ""])
        wanted = _CHECK_US if batch == 1 else _BATCH_MS * 1e3
        goals = [Goal(f"the index behind {name}", wanted, spent * 1e6, "µs", at_most=True)]
        if batch > 1:
            size_bytes = site.index_bytes() / (count * batch)
            stated = f"{figure(size_bytes)} bytes an item"
            rows.append(["SQLite", "the index, batches of 50", f"{count:,}", "", stated])
            goals.append(Goal("bytes of an item, batches of 50", _BYTES, size_bytes, "bytes", at_most=True))
        return goals


@dataclass(frozen=True, slots=True)
class _Site:
    """A log with its index, whose database has this engine."""

    engine: sa.Engine
    log: LogStore
    index: IndexStore
    indexer: Indexer
    reading: AuditQueries
    accesses: "_Accesses"

    def indexed(self) -> float:
        """Fill the index. Return the processor time, seconds."""
        size = self.log.head(_LOG).size
        before = process_time()
        while self.indexer.catch_up(_LOG, size, at_most=4_096) < size:
            pass
        return process_time() - before

    def grown(self, entries: int, step: int) -> float:
        """Let the log grow in steps, and index it after each. Return the processor time of indexing, seconds."""
        spent = 0.0
        for _ in range(0, entries, step):
            self.accesses.append(step)
            spent += self.indexed()
        return spent

    def index_bytes(self) -> int:
        """Return the size of the index's tables, without free pages."""
        with self.engine.connect() as connection:
            pages, free, size = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    def queries(self) -> dict[str, Query]:
        """Return the queries to measure, by name."""
        middle = (_START_US + self.accesses.time_us) // 2
        week = 7 * 86_400_000_000
        around = Query(from_us=middle - week // 2, until_us=middle + week // 2)
        return {
            "no filter": Query(),
            "oldest first": Query(oldest_first=True),
            "a caller": Query(caller="portal"),
            "a person who asked often": Query(subject="user0"),
            "an owner": Query(data_subject="user77"),
            "an item": Query(resource_type="recording", resource_id="rec-5"),
            "a verb that never occurs": Query(verb="erase"),
            "denials": Query(effect="deny"),
            "a request": Query(request_id="req-77"),
            "a second in the middle": Query(from_us=middle, until_us=middle + 1_000_000),
            "a week in the middle": around,
            "person and time": replace(around, subject="user0"),
            "item and time": Query(resource_type="recording", resource_id="rec-5", until_us=middle),
            "verb, effect and time": replace(around, verb="delete", effect="deny"),
            "caller and time": Query(caller="crm", until_us=middle),
        }

    def page(self, query: Query, rounds: int) -> float:
        """Return the processor time of the first page, seconds: the median of some rounds."""
        size = self.log.head(_LOG).size
        return median(_spent(lambda: self.reading.query(_LOG, query, size=size, page_size=_PAGE, token=""))
                      for _ in range(rounds))  # fmt: skip


def _spent(act: Callable[[], object]) -> float:
    before = process_time()
    act()
    return process_time() - before


class _NoAppender:
    """An appender that is never used, because reading introduces no person."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Fail."""
        raise AssertionError(unit)


@contextmanager
def _site(folder: Path, entries: int, batch: int, *, grows: int = 0, url: str = "") -> Iterator[_Site]:
    """Provide a log with so many entries, which is to get `grows` more. An empty URL stands for SQLite."""
    folder.mkdir()
    engine = open_engine(_database(url, folder) if url else f"sqlite:///{folder}/log.db", durable=False)
    own = engine if url else open_engine(f"sqlite:///{folder}/index.db", durable=False)
    keyring = Keyring(bytes(32))
    schema.metadata.create_all(engine)
    log, index = LogStore(engine, keyring.row_mac), IndexStore(own, keyring.row_mac)
    try:
        for number, tenant in enumerate(("", "acme")):
            log.create(tenant, f"origin-{number}", 1)
        accesses = _Accesses(log, keyring, batch, items=(entries + grows) * batch // 3 + 10)
        accesses.append(entries)
        directory = Directory(PersonStore(log), keyring, _NoAppender())
        indexer = Indexer(log, VerifiedEntries(log, Tree(log)), index, directory, keyring)
        reading = AuditQueries(log, indexer, directory, keyring)
        yield _Site(own, log, index, indexer, reading, accesses)
    finally:
        log.close()
        index.close()
        for one in (engine, own):
            one.dispose()


def _database(url: str, folder: Path) -> str:
    """Create an empty database on a PostgreSQL server, named after the folder. Return its URL."""
    address = sa.make_url(url).set(drivername="postgresql+psycopg")
    name = folder.name.lower().replace("-", "_")
    admin = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    admin.dispose()
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


class _Accesses:
    """Random requests of `batch` items each, appended to a log. `time_us` is that of the next one."""

    def __init__(self, log: LogStore, keyring: Keyring, batch: int, items: int) -> None:
        self._log = log
        self._batch = batch
        self._items = items
        self._random = random.Random(items)
        self._number = 0
        self.time_us = _START_US
        self._persons: list[Person] = []
        rows: list[PersonRow] = []
        for number in range(_PERSONS):
            sid, keys = new_person_keys()
            person, name = Person(sid, keys), f"user{number}"
            self._persons.append(person)
            wrapped, sealed = keyring.wrap(_LOG, sid, keys), keyring.seal_name(person, name)
            rows.append(PersonRow(keyring.name_token(_LOG, name), sid, wrapped, sealed))

        def insert(connection: sa.Connection) -> None:
            PersonStore.insert(connection, _LOG, rows)

        self._put((), insert)

    def append(self, requests: int) -> None:
        """Append the entries of further requests."""
        requested = (self._request() for _ in range(requests))
        while data := [entry for one in islice(requested, max(2_000 // self._batch, 1)) for entry in one]:
            self._put(data)

    def _put(self, data: Sequence[bytes], effect: Callable[[sa.Connection], None] | None = None) -> None:
        (result,) = self._log.append([Unit(_LOG, tuple(data), effect=effect)])
        if not isinstance(result, int):
            raise SystemExit(f"the store refused entries: {result!r}")

    def _request(self) -> list[bytes]:
        """Return the entries of one request."""
        some, persons = self._random, self._persons
        accesses = []
        for _ in range(self._batch):
            item = some.randrange(self._items)
            effect = "deny" if some.random() < 0.03 else "allow"
            outcome = {"effect": effect, "reason": "allowed_by_rule", "rule": "r-12"}
            verb = some.choice(("play", "play", "download", "delete"))
            type, keeper = some.choice(("recording", "voicemail")), persons[item % _PERSONS]
            accesses.append(AccessItem(verb, type, f"rec-{item}", keeper, owned=True, outcome=outcome, resource={}))
        actor = persons[min(int(some.expovariate(1 / 200)), _PERSONS - 1)]
        caller, purpose = some.choice(("pbx", "portal", "crm")), some.choice(("quality", "support", None))
        header = AccessHeader(self.time_us, f"req-{self._number}", caller, actor, 3, purpose=purpose)
        self._number += 1
        self.time_us += _STEP_US
        return [data for data, _ in encode_decisions(header, accesses)]

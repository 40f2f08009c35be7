"""Background work on logs, most of which are idle, on every database."""

import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from linewarden.audit.anchors import Anchors
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.clock import Clock
from linewarden.audit.continuity import Continuity
from linewarden.audit.entry import HEARTBEAT, encode
from linewarden.audit.errors import LogUnavailable, RolledBack
from linewarden.audit.housekeeping import FEW_ENTRIES, Housekeeper
from linewarden.audit.keyring import RowMac
from linewarden.audit.model import Unit
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.marks import Marks
from linewarden.audit.store.schema import log_head
from linewarden.audit.tree import Tree
from tests.contract.test_continuity import NOW_US

LOGS = range(6)


class Numbers:
    """An index that stores only the number of indexed entries, and takes at most `step` of them at once."""

    def __init__(self, step: int = 1_000) -> None:
        self._step = step
        self.asked: list[int] = []
        self.indexed: dict[int, int] = {}

    def catch_up(self, log_id: int, size: int, *, at_least: int, at_most: int) -> int:
        """Index the next entries of a log, unless they are few."""
        self.asked.append(log_id)
        start = self.indexed.get(log_id, 0)
        if size - start < at_least:
            return start
        self.indexed[log_id] = min(size, start + min(at_most, self._step))
        return self.indexed[log_id]


class House:
    """Six logs with one entry each, and the process that looks after them."""

    def __init__(
        self, engine: sa.Engine, folder: Path, *, heartbeat_s: float = 600, checkpoint_s: float = 1e-9
    ) -> None:
        self.folder = folder
        self.store = LogStore(engine, RowMac(bytes(32)), marks=Marks(folder / "marks"))
        self.anchors = Anchors(folder, "test", bytes(32))
        tree = Tree(self.store)
        self.continuity = Continuity(self.store, self.anchors, tree)
        self.store.admit = self.continuity.admit
        for log in LOGS:
            self.store.create(f"tenant-{log}" if log else "", f"origin-{log}", NOW_US)
        for log in LOGS:
            self.grow(log, time_us=NOW_US + log)
        self.index = Numbers()
        self.faults: dict[int, Exception] = {}
        self.keeper = Housekeeper(
            self.store,
            cast("Any", self.index),
            Checkpoints(self.store, tree, self.anchors),
            checkpoint_s=checkpoint_s,
            heartbeat_s=heartbeat_s,
            clock=Clock(lambda: NOW_US, lambda: 0, lambda: self.store.marks.latest_us),
            on_fault=lambda log, fault: self.faults.update({log: fault}),
        )

    def grow(self, *logs: int, time_us: int = NOW_US, by: int = 1) -> None:
        """Append entries to logs."""
        entries = (encode(HEARTBEAT, time_us, {}),) * by
        results = self.store.append([Unit(log, entries) for log in logs])
        assert all(isinstance(one, int) for one in results)

    def signed(self) -> list[int]:
        """Return the sizes of the last checkpoints."""
        last = [self.anchors.last(f"origin-{log}") for log in LOGS]
        return [0 if one is None else one.checkpoint.size for one in last]


@pytest.fixture
def house(engine: sa.Engine, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Yield a function that makes a house whose logs are signed and indexed."""
    houses: list[House] = []

    def make(**settings: float) -> House:
        houses.append(House(engine, tmp_path / "anchors", **settings))
        houses[-1].keeper.round()
        houses[-1].index.asked.clear()
        return houses[-1]

    yield make
    for one in houses:
        one.store.close()


def test_a_log_that_grew_is_signed_and_indexed_in_that_round(house: Callable[..., House]) -> None:
    """A round signs and indexes the logs that grew, and touches no other."""
    here = house()
    assert here.signed() == [1] * 6
    here.grow(2)
    here.grow(4, by=FEW_ENTRIES)
    here.keeper.round()
    assert here.signed() == [1, 1, 2, 1, 1 + FEW_ENTRIES, 1]
    assert here.index.asked == [4], "the few entries of the other log are left to wait"
    assert here.faults == {}
    here.grow(2, by=FEW_ENTRIES)
    here.keeper.round()
    assert here.index.indexed == {2: 2 + FEW_ENTRIES, 4: 1 + FEW_ENTRIES}


def test_an_idle_round_touches_no_log(house: Callable[..., House]) -> None:
    """A round after which no log grew reads no entry, writes nothing and asks nothing of the index."""
    here = house()
    files = {file: file.stat().st_mtime_ns for file in here.folder.iterdir()}
    heads = here.store.heads()
    assert here.keeper.round() is False
    assert here.index.asked == []
    assert here.store.heads() == heads
    assert {file: file.stat().st_mtime_ns for file in here.folder.iterdir()} == files


def test_an_idle_round_reads_no_entry(sqlite_url: str, tmp_path: Path) -> None:
    """On SQLite an idle round asks whether anything was committed, and reads at most heads whose turn it is."""
    engine, statements = _traced(sqlite_url)
    here = House(engine, tmp_path / "anchors")
    here.keeper.round()
    statements.clear()
    here.keeper.round()
    in_turn = "FROM log_head \nWHERE log_head.log >= "
    assert [one for one in statements if in_turn not in one] == ["PRAGMA data_version"]
    here.store.close()
    engine.dispose()


def test_heartbeats_of_many_logs_are_one_transaction(sqlite_url: str, tmp_path: Path) -> None:
    """The heartbeats of all logs that are due are committed together."""
    engine, statements = _traced(sqlite_url)
    here = House(engine, tmp_path / "anchors", heartbeat_s=0)
    statements.clear()
    here.keeper.round()
    assert statements.count("COMMIT") == 1
    assert [head.size for head in here.store.heads()] == [2] * 6
    assert here.faults == {}
    here.store.close()
    engine.dispose()


def test_the_log_that_grew_last_comes_first_after_a_start(engine: sa.Engine, tmp_path: Path) -> None:
    """The first round begins with the logs that grew last, because those are in use."""
    here = House(engine, tmp_path / "anchors")
    here.keeper.round()
    assert here.index.asked == [5, 4, 3, 2, 1, 0]
    here.store.close()


def test_a_log_that_was_set_back_does_not_stop_the_others(house: Callable[..., House], engine: sa.Engine) -> None:
    """A round reports a log that was set back, does not sign it, and signs the others."""
    here = house()
    before = here.store.head(3)
    here.grow(*LOGS)
    here.keeper.round()
    with engine.begin() as connection:
        older = {"size": before.size, "frontier": before.frontier}
        connection.execute(sa.update(log_head).where(log_head.c.log == 3).values(older))
    here.grow(0, 1, 2, 4, 5)
    here.keeper.round()
    assert here.signed() == [3, 3, 3, 2, 3, 3]
    assert set(here.faults) == {3}


def test_a_head_of_another_type_does_not_stop_the_others(sqlite_url: str, tmp_path: Path) -> None:
    """A round signs the other logs when an intruder stored a text where a number belongs."""
    engine, _statements = _traced(sqlite_url)
    here = House(engine, tmp_path / "anchors")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE log_head SET time_us = 'late', size = 'long' WHERE log = 3")
    here.keeper.round()
    assert here.signed() == [1, 1, 1, 0, 1, 1]
    assert 3 in here.faults
    here.store.close()
    engine.dispose()


def test_a_change_of_an_idle_log_is_noticed(house: Callable[..., House], engine: sa.Engine) -> None:
    """Each process notices that a log was set back, although no request uses it and all other logs are idle."""
    here = house()
    assert here.continuity.look() == {}
    assert here.continuity.look() == {}
    with engine.begin() as connection:
        connection.execute(sa.update(log_head).where(log_head.c.log == 4).values(size=0, frontier=b""))
    for _ in range(3):
        assert set(here.continuity.look()) == {4}


def test_a_restored_log_is_no_longer_reported(house: Callable[..., House], engine: sa.Engine) -> None:
    """A log that was wrong is verified again, and is not reported once it is as it was."""
    here = house()
    here.continuity.look()
    for revision, wrong in ((7, {4}), (0, set[int]())):
        with engine.begin() as connection:
            connection.execute(sa.update(log_head).where(log_head.c.log == 4).values(revision=revision))
        assert set(here.continuity.look()) == wrong


def test_a_state_that_another_process_saw_is_missed(house: Callable[..., House], tmp_path: Path) -> None:
    """A process notices by the marks alone that a log lost entries that only another process of its host has seen."""
    here = house()
    here.continuity.look()
    later = here.store.head(4)
    other = Marks(tmp_path / "anchors/marks")
    other.note(type(later)(4, later.tenant, later.origin_id, later.size + 1, later.revision, bytes(32)))
    other.close()
    assert {log: type(fault) for log, fault in here.continuity.look().items()} == {4: RolledBack}


def test_a_log_that_grew_and_was_set_back_between_two_looks_is_noticed(
    house: Callable[..., House], engine: sa.Engine
) -> None:
    """A process notices that a log lost entries that it has seen, although the head is as at the look before."""
    here = house()
    here.continuity.look()
    before = here.store.head(4)
    here.grow(4)
    with engine.begin() as connection:
        names = ("size", "frontier", "time_us")
        older = {name: getattr(before, name) for name in names}
        connection.execute(sa.update(log_head).where(log_head.c.log == 4).values(older))
    assert set(here.continuity.look()) == {4}


def test_a_log_that_another_process_signs_is_not_waited_for(house: Callable[..., House]) -> None:
    """A round signs the other logs while another process holds the lock of one, and signs that one later."""
    here = house()
    here.grow(*LOGS)
    with (here.folder / "origin-3.checkpoint.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        here.keeper.round()
        assert here.signed() == [2, 2, 2, 1, 2, 2]
    here.keeper.round()
    assert here.signed() == [2] * 6
    assert here.faults == {}


def test_an_anchor_that_cannot_be_written_does_not_stop_the_others(house: Callable[..., House]) -> None:
    """A round reports the log whose anchor cannot be written, and signs the others and later that one."""
    here = house()
    here.grow(*LOGS)
    obstacle = here.folder / "origin-3.new"
    obstacle.mkdir()
    here.keeper.round()
    assert here.signed() == [2, 2, 2, 1, 2, 2]
    assert {log: type(fault) for log, fault in here.faults.items()} == {3: LogUnavailable}
    obstacle.rmdir()
    here.keeper.round()
    assert here.signed() == [2] * 6


def test_a_fault_of_the_folder_is_reported_once(house: Callable[..., House], tmp_path: Path) -> None:
    """A round reports that the folder of the anchors cannot be used, indexes meanwhile, and signs all logs later."""
    here = house()
    here.grow(*LOGS, by=FEW_ENTRIES)
    folder, away = tmp_path / "anchors", tmp_path / "away"
    folder.rename(away)
    folder.write_text("a file in the place of the folder")
    here.keeper.round()
    assert {log: type(fault) for log, fault in here.faults.items()} == {-1: LogUnavailable}
    assert sorted(here.index.asked) == [*LOGS]
    folder.unlink()
    away.rename(folder)
    here.keeper.round()
    assert here.signed() == [1 + FEW_ENTRIES] * 6


def test_the_last_round_signs_every_answer(house: Callable[..., House]) -> None:
    """A housekeeper that is stopped signs all logs that grew, also those signed a moment ago."""
    here = house(checkpoint_s=600)
    here.grow(*LOGS)
    here.keeper.round()
    assert here.signed() == [1] * 6
    stop = Event()
    stop.set()
    here.keeper.run(stop)
    assert here.signed() == [2] * 6


def test_a_log_that_is_far_behind_does_not_delay_the_others(house: Callable[..., House]) -> None:
    """A round indexes a part of each log that is behind, and says that more is left."""
    here = house()
    here.grow(1, by=3 * FEW_ENTRIES)
    here.index._step = FEW_ENTRIES
    here.grow(5, by=FEW_ENTRIES)
    assert here.keeper.round() is True
    assert (here.index.indexed[1], here.index.indexed[5]) == (FEW_ENTRIES, FEW_ENTRIES)
    while here.keeper.round():
        pass
    assert here.index.indexed[1] == 3 * FEW_ENTRIES


def _traced(url: str) -> tuple[sa.Engine, list[str]]:
    """Return an engine with the log's tables, and the list of the statements that its connections execute."""
    statements: list[str] = []
    engine = open_engine(url)
    event.listen(engine, "connect", lambda connection, _record: connection.set_trace_callback(statements.append))
    log_head.metadata.create_all(engine)
    return engine, statements

"""Faults of SQLite under a log: a disk whose syncs fail, and a held gate."""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite3
import pytest

from linewarden.audit.errors import LogBusy
from linewarden.audit.keyring import RowMac
from linewarden.audit.model import Unit
from linewarden.audit.store import schema
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.write_lock import FileWriteLock
from tests.integration.conftest import DATA
from tests.integration.honest_disk import HonestDisk


@pytest.fixture
def disk(tmp_path: Path) -> HonestDisk:
    """Return a disk that keeps only synced data."""
    return HonestDisk(tmp_path / "disk")


def run(disk: HonestDisk, *steps: str) -> list[str]:
    """Run one process that appends until the power is cut; return its output."""
    call = (str(DATA / "append_on_a_disk.py"), str(disk.files / "log.db"), str(disk.switch), *steps)
    return disk.run(*call).splitlines()


def append(disk: HonestDisk, *steps: str) -> dict[int, bytes]:
    """Run one process that appends; return its acknowledged entries by index."""
    lines = [line.split() for line in run(disk, *steps) if line[0].isdigit()]
    return {int(index): entry.encode() for index, entry in lines}


def assert_kept(disk: HonestDisk, acknowledged: dict[int, bytes]) -> None:
    """Check that after the power cut every acknowledged entry is on the disk, at its index."""
    engine = open_engine(f"sqlite:///{disk.left}/log.db")
    store = LogStore(engine, RowMac(bytes(32)))
    kept = dict(enumerate(store.entries(0, 0, store.head(0).size)))
    store.close()
    engine.dispose()
    lost = {index for index, entry in acknowledged.items() if kept.get(index) != entry}
    assert not lost, f"{len(lost)} of {len(acknowledged)} lost"


@pytest.mark.parametrize("between", [(), ("read",)], ids=["alone", "read"])
@pytest.mark.parametrize("file", ["-wal", "log.db"])
def test_nothing_is_acknowledged_on_top_of_a_failed_sync(disk: HonestDisk, between: tuple[str, ...], file: str) -> None:
    """After a failed sync every acknowledged entry is on the disk, although the kernel calls its pages clean."""
    acknowledged = append(disk, "10", f"fail:{file}", "2", *between, "heal", "20")
    assert len(acknowledged) >= 30
    assert_kept(disk, acknowledged)


def test_readers_do_not_see_what_could_not_be_synced(disk: HonestDisk) -> None:
    """Readers see only acknowledged entries, although the transaction of a failed sync lies in the file."""
    printed = run(disk, "10", "fail:-wal", "1", "read", "heal", "read", "1", "read")
    assert [line for line in printed if not line[0].isdigit()] == ["refused", "head 10", "head 10", "head 11"]


def test_a_process_that_comes_after_a_failed_sync_does_not_build_on_it(disk: HonestDisk) -> None:
    """A process writes the unsynced data of another again before it acknowledges anything."""
    acknowledged = append(disk, "10", "fail:-wal", "1")
    assert len(acknowledged) == 10
    disk.switch.unlink()
    acknowledged |= append(disk, "20")
    assert len(acknowledged) == 30
    assert_kept(disk, acknowledged)


def test_syncs_that_go_on_failing_acknowledge_nothing(disk: HonestDisk) -> None:
    """The store acknowledges nothing while syncs fail, and goes on as soon as they succeed."""
    acknowledged = append(disk, "3", *("fail:", "2", "heal", "1") * 5)
    assert len(acknowledged) == 8
    assert_kept(disk, acknowledged)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    """Yield a store with the system log."""
    engine = open_engine(f"sqlite:///{tmp_path}/log.db")
    schema.metadata.create_all(engine)
    store = LogStore(engine, RowMac(bytes(32)))
    store.create("", "origin", 1)
    yield store
    store.close()
    engine.dispose()


@contextmanager
def gate_held(tmp_path: Path) -> Iterator[None]:
    """Hold the gate by another open file, as a stopped process does."""
    with (tmp_path / "log.db.lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def lock_held(tmp_path: Path) -> Iterator[None]:
    """Hold SQLite's write lock as another program."""
    connection = sqlite3.connect(str(tmp_path / "log.db"), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@pytest.mark.parametrize("held", [gate_held, lock_held])
def test_a_lock_that_stays_held_is_busy_and_nothing_is_recorded(store: LogStore, tmp_path: Path, held: Any) -> None:
    """A wait for the write lock ends with a refusal, and its entry is never recorded."""
    with held(tmp_path):
        for _ in range(2):
            with pytest.raises(LogBusy):
                store.append([Unit(0, (b"refused",))])
    assert store.append([Unit(0, (b"kept",))]) == [0]
    assert store.head(0).size == 1


def test_threads_that_wait_for_a_held_gate_do_not_pile_up(store: LogStore, tmp_path: Path) -> None:
    """Each thread that waits for a held gate is refused in the end, and only one of them stays."""
    told: list[str] = []

    def work() -> None:
        try:
            with store.writing():
                told.append("wrote")
        except LogBusy:
            told.append("busy")

    before = threading.active_count()
    with gate_held(tmp_path):
        for _ in range(2):
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert told == ["busy"] * 16
        assert threading.active_count() <= before + 1
    other = FileWriteLock(tmp_path / "log.db.lock")
    for _ in range(20):  # the gate is free again after the thread that held it has gone
        with other(5):
            pass
        time.sleep(0.01)
    other.close()
    work()
    assert told[-1] == "wrote"


def test_a_gate_orders_threads_and_processes(tmp_path: Path) -> None:
    """At most one thread or process holds the gate at a time, through one object or several, and all get it."""
    gates = [FileWriteLock(tmp_path / "lock") for _ in range(2)]
    inside: list[int] = []
    most: list[int] = []

    def work(gate: FileWriteLock) -> None:
        for _ in range(50):
            with gate(60):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work, args=(gate,)) for gate in gates * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 300
    for gate in gates:
        gate.close()

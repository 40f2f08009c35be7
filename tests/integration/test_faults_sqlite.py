"""SQLite under a log: a disk whose syncs fail, and a gate that is held."""

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
    """A disk that keeps only what was synced."""
    return HonestDisk(tmp_path / "disk")


def run(disk: HonestDisk, *steps: str) -> list[str]:
    """Run one process that appends, until the power is cut; returns what it printed."""
    call = (str(DATA / "append_on_a_disk.py"), str(disk.files / "log.db"), str(disk.switch), *steps)
    return disk.run(*call).splitlines()


def append(disk: HonestDisk, *steps: str) -> dict[int, bytes]:
    """Run one process that appends; returns what it acknowledged, by index."""
    lines = [line.split() for line in run(disk, *steps) if line[0].isdigit()]
    return {int(index): entry.encode() for index, entry in lines}


def assert_kept(disk: HonestDisk, acknowledged: dict[int, bytes]) -> None:
    """After the power cut every acknowledged entry is on the disk, at its place."""
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
    """After a sync that failed, all that is acknowledged is on the disk, although the kernel calls its pages clean."""
    acknowledged = append(disk, "10", f"fail:{file}", "2", *between, "heal", "20")
    assert len(acknowledged) >= 30
    assert_kept(disk, acknowledged)


def test_readers_do_not_see_what_could_not_be_synced(disk: HonestDisk) -> None:
    """The log is as long as what was acknowledged, although the transaction of a failed sync lies in the file."""
    printed = run(disk, "10", "fail:-wal", "1", "read", "heal", "read", "1", "read")
    assert [line for line in printed if not line[0].isdigit()] == ["refused", "head 10", "head 10", "head 11"]


def test_a_process_that_comes_after_a_failed_sync_does_not_build_on_it(disk: HonestDisk) -> None:
    """A process that finds what another could not sync writes it again before it acknowledges anything."""
    acknowledged = append(disk, "10", "fail:-wal", "1")
    assert len(acknowledged) == 10
    disk.switch.unlink()
    acknowledged |= append(disk, "20")
    assert len(acknowledged) == 30
    assert_kept(disk, acknowledged)


def test_syncs_that_go_on_failing_acknowledge_nothing(disk: HonestDisk) -> None:
    """While syncs fail nothing is acknowledged; as soon as they do not, the log goes on."""
    acknowledged = append(disk, "3", *("fail:", "2", "heal", "1") * 5)
    assert len(acknowledged) == 8
    assert_kept(disk, acknowledged)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    """A store with the system log."""
    engine = open_engine(f"sqlite:///{tmp_path}/log.db")
    schema.metadata.create_all(engine)
    store = LogStore(engine, RowMac(bytes(32)))
    store.create("", "origin", 1)
    yield store
    store.close()
    engine.dispose()


@contextmanager
def gate_held(tmp_path: Path) -> Iterator[None]:
    """The gate is held by an open file that is not the store's, as a process that was stopped would hold it."""
    with (tmp_path / "log.db.lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def lock_held(tmp_path: Path) -> Iterator[None]:
    """Another program holds SQLite's own write lock."""
    connection = sqlite3.connect(str(tmp_path / "log.db"), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@pytest.mark.parametrize("held", [gate_held, lock_held])
def test_a_lock_that_stays_held_is_busy_and_nothing_is_recorded(store: LogStore, tmp_path: Path, held: Any) -> None:
    """Waiting for the write lock ends, says that nothing was recorded, and that is so, also later."""
    with held(tmp_path):
        for _ in range(2):
            with pytest.raises(LogBusy):
                store.append([Unit(0, (b"refused",))])
    assert store.append([Unit(0, (b"kept",))]) == [0]
    assert store.head(0).size == 1


def test_threads_that_wait_for_a_held_gate_do_not_pile_up(store: LogStore, tmp_path: Path) -> None:
    """Each thread that waits for the gate is told so in the end; one thread stays, however many came."""
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
    for _ in range(20):  # nothing holds on to it for a thread that is gone, once it had it
        with other(5):
            pass
        time.sleep(0.01)
    other.close()
    work()
    assert told[-1] == "wrote"


def test_a_gate_orders_threads_and_processes(tmp_path: Path) -> None:
    """Of all that hold the gate, by one object or several, at most one holds it at a time, and all get it."""
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

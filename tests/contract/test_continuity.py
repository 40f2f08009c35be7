"""Comparison of logs with their last known state: continued, set back, or new, on every database."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from linewarden.audit.anchors import Anchors
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.continuity import Continuity
from linewarden.audit.entry import HEARTBEAT, encode
from linewarden.audit.errors import AuditError, ClockBehind, RolledBack
from linewarden.audit.keyring import RowMac
from linewarden.audit.model import Head, Unit
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.marks import Marks
from linewarden.audit.store.schema import metadata
from linewarden.audit.tree import Tree

NOW_US = 1_800_000_000_000_000
SECOND = 1_000_000


class Host:
    """A process of a host with its anchors."""

    def __init__(self, engine: sa.Engine, anchors: Path) -> None:
        self.store = LogStore(engine, RowMac(bytes(32)), marks=Marks(anchors / "marks"))
        self.anchors = Anchors(anchors, "test", bytes(32))
        self.continuity = Continuity(self.store, self.anchors, Tree(self.store))
        self.store.admit = self.continuity.admit

    def append(self, log: int, count: int = 1, time_us: int = NOW_US) -> list[int | AuditError]:
        """Append entries to a log, each in a separate unit."""
        return self.store.append([Unit(log, (encode(HEARTBEAT, time_us + n, {}),)) for n in range(count)])


@pytest.fixture
def host(engine: sa.Engine, tmp_path: Path) -> Iterator[Callable[[str], Host]]:
    """Yield a function that makes processes; those with the same name share their anchors."""
    hosts: list[Host] = []

    def make(name: str) -> Host:
        hosts.append(Host(engine, tmp_path / name))
        return hosts[-1]

    yield make
    for one in hosts:
        one.store.close()


def rows(engine: sa.Engine) -> dict[str, list[dict[str, object]]]:
    """Return all rows of the log's tables."""
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in metadata.sorted_tables
        }


def restore(engine: sa.Engine, kept: dict[str, list[dict[str, object]]]) -> None:
    """Put rows back as they were."""
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(sa.delete(table))
            if kept[table.name]:
                connection.execute(sa.insert(table), kept[table.name])


def test_a_longer_log_of_another_history_is_refused(host: Callable[[str], Host], engine: sa.Engine) -> None:
    """The store refuses a log that was set back and has since grown past its last known size."""
    here = host("here")
    here.store.create("", "system", NOW_US)
    here.append(0, 3)
    kept = rows(engine)
    here.append(0, 2)
    restore(engine, kept)
    elsewhere = LogStore(engine, RowMac(bytes(32)))
    elsewhere.append([Unit(0, (encode(HEARTBEAT, NOW_US + 77 + n, {}),)) for n in range(9)])
    elsewhere.close()
    (answer,) = here.append(0)
    assert isinstance(answer, RolledBack)
    assert set(here.continuity.look()) == {0}


def test_growth_by_others_is_accepted(host: Callable[[str], Host]) -> None:
    """The store accepts any number of entries that another process appended."""
    one, other = host("one"), host("one")
    one.store.create("", "system", NOW_US)
    one.append(0, 3)
    other.append(0, 700)
    assert one.append(0) == [703]
    assert one.continuity.look() == {}


def test_an_empty_log_is_new_and_one_with_entries_is_not(host: Callable[[str], Host]) -> None:
    """The system log is taken without an anchor only while it is empty."""
    host("here").store.create("", "system", NOW_US)
    assert host("here").append(0) == [0]
    (answer,) = host("strange").append(0)
    assert isinstance(answer, RolledBack)


def test_a_lost_anchor_of_a_middle_log_is_noticed(host: Callable[[str], Host], tmp_path: Path) -> None:
    """The store notices that a log among newer ones has lost both mark and anchor, and does not take it for new."""
    here = host("here")
    for tenant in ("", "acme", "globex"):
        here.store.create(tenant, f"o{tenant}", NOW_US)
    for log in (0, 1, 2):
        assert here.append(log) == [0]
    here.store.close()
    marks = tmp_path / "here/marks"
    data = bytearray(marks.read_bytes())
    data[128:256] = bytes(128)
    marks.write_bytes(data)
    again = host("here")
    assert isinstance(again.append(1)[0], RolledBack)
    assert again.append(2) == [1]


def test_newer_logs_are_met_in_any_order(host: Callable[[str], Host]) -> None:
    """The store accepts logs that were made elsewhere as new, in any order of requests."""
    here, elsewhere = host("here"), host("elsewhere")
    here.store.create("", "system", NOW_US)
    here.append(0)
    for tenant in ("acme", "globex", "initech"):
        elsewhere_log = here.store.create(tenant, f"o{tenant}", NOW_US)
        LogStore(elsewhere.store._engine, RowMac(bytes(32))).append(
            [Unit(elsewhere_log, (encode(HEARTBEAT, NOW_US, {}),))]
        )
    assert [here.append(log) for log in (3, 1, 2)] == [[1], [1], [1]]


def test_the_state_before_a_recovery_does_not_come_back_as_new(
    host: Callable[[str], Host], engine: sa.Engine, tmp_path: Path
) -> None:
    """After a recovery the store refuses the lost state of the newest tenant, even without marks."""
    here = host("here")
    for tenant in ("", "acme"):
        here.store.create(tenant, f"o{tenant}", NOW_US)
    here.append(0)
    here.append(1)
    kept = rows(engine)
    for log in (0, 1):
        Checkpoints(here.store, Tree(here.store), here.anchors).sign(log)

    def amendment(head: Head) -> tuple[Head, bytes]:
        changed = replace(head, origin_id="new", generation=1, origin_start=head.size, former_origin="oacme")
        return changed, encode(HEARTBEAT, NOW_US, {})

    here.store.amend(1, amendment, lambda _connection, _before, _after: None)
    here.anchors.retire("oacme")
    here.store.close()
    restore(engine, kept)
    (tmp_path / "here/marks").unlink()
    assert isinstance(host("here").append(1)[0], RolledBack)


def test_an_entry_of_an_earlier_time_is_refused_under_the_lock(host: Callable[[str], Host]) -> None:
    """The store refuses a unit more than five seconds behind the log's latest time, because clocks differ less."""
    here = host("here")
    here.store.create("", "system", NOW_US)
    here.append(0, time_us=NOW_US)
    assert here.append(0, time_us=NOW_US - 4 * SECOND) == [1]
    (late,) = here.append(0, time_us=NOW_US - 6 * SECOND)
    assert isinstance(late, ClockBehind)
    assert here.store.marks.latest_us == NOW_US
    assert here.append(0, time_us=NOW_US + 60 * SECOND) == [2]
    assert here.store.head(0).time_us == NOW_US + 60 * SECOND

"""Promises of the log store on every database."""

import os
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from linewarden.audit.errors import (
    EffectRefused,
    EntryNotFound,
    LogDamaged,
    LogUnavailable,
    RevisionMoved,
    TenantUnknown,
)
from linewarden.audit.merkle import Frontier, leaf_hash
from linewarden.audit.model import SYSTEM_LOG, Guard, Unit
from linewarden.audit.store.engine import check_promises, open_engine
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.schema import log_entry, log_head, position_of
from tests.contract.conftest import SEALS


def test_entries_are_numbered_without_gaps_and_read_back_as_hashed(store: LogStore) -> None:
    """The store numbers entries without gaps, and returns the bytes that were appended."""
    entries = [os.urandom(200) for _ in range(30)]
    results = store.append([Unit(1, tuple(entries[n : n + 3])) for n in range(0, 30, 3)])
    assert results == list(range(0, 30, 3))
    assert list(store.entries(1, 0, 30)) == entries
    assert list(store.leaf_hashes(1, 0, 30)) == [leaf_hash(entry) for entry in entries]


def test_the_head_holds_the_frontier_over_exactly_its_entries(store: LogStore) -> None:
    """After any number of appends the stored frontier equals that of a fresh tree."""
    fresh = Frontier()
    for count in (1, 2, 5, 8):
        entries = tuple(os.urandom(20) for _ in range(count))
        store.append([Unit(1, entries)])
        for entry in entries:
            fresh.append(leaf_hash(entry))
    head = store.head(1)
    assert (head.size, head.frontier) == (fresh.size, fresh.to_bytes())


def test_logs_of_tenants_are_apart(store: LogStore) -> None:
    """One batch may hold entries of several logs, and each log numbers its entries separately."""
    results = store.append([Unit(1, (b"a",)), Unit(2, (b"b",)), Unit(1, (b"c",)), Unit(SYSTEM_LOG, (b"d",))])
    assert results == [0, 0, 1, 0]
    assert list(store.entries(1, 0, 2)) == [b"a", b"c"]
    assert list(store.entries(2, 0, 1)) == [b"b"]


def test_a_guard_refuses_what_was_decided_under_another_revision(store: LogStore) -> None:
    """A unit whose guard does not hold leaves no trace, and the other units of its batch are appended."""
    results = store.append(
        [
            Unit(1, (b"old",), (Guard(1, 0),)),
            Unit(1, (b"change",), (Guard(1, 0),), moves_revision=True),
            Unit(1, (b"stale",), (Guard(1, 0),)),
            Unit(1, (b"new",), (Guard(1, 1),)),
        ]
    )
    assert results[:2] == [0, 1]
    assert isinstance(results[2], RevisionMoved)
    assert results[3] == 2
    assert list(store.entries(1, 0, 3)) == [b"old", b"change", b"new"]


def test_a_guard_on_another_log_is_read_as_committed(store: LogStore, engine: sa.Engine) -> None:
    """The store refuses a unit that began under keys that another process has changed."""
    assert store.append([Unit(1, (b"a",), (Guard(SYSTEM_LOG, 0),))]) == [0]
    other = LogStore(engine, SEALS)
    other.append([Unit(SYSTEM_LOG, (b"key revoked",), moves_revision=True)])
    other.close_writer()
    (result,) = store.append([Unit(1, (b"b",), (Guard(SYSTEM_LOG, 0),))])
    assert isinstance(result, RevisionMoved)


def test_a_refused_effect_takes_nothing_with_it(store: LogStore) -> None:
    """An effect that is refused half way leaves neither its first half nor its entries."""

    def half(connection: Any) -> None:
        connection.execute(sa.update(log_head).where(log_head.c.log == 2).values(tenant="changed"))
        raise EffectRefused("half way")

    results = store.append([Unit(1, (b"refused",), effect=half), Unit(1, (b"kept",))])
    assert isinstance(results[0], EffectRefused)
    assert results[1] == 0
    assert store.head(2).tenant == "globex"


def test_an_effect_commits_with_its_entry(store: LogStore) -> None:
    """The writes of an effect exist exactly when its entry does."""

    def rename(connection: Any) -> None:
        connection.execute(sa.update(log_head).where(log_head.c.log == 2).values(tenant="renamed"))

    assert store.append([Unit(1, (b"x",), effect=rename)]) == [0]
    assert store.head_of("renamed").log == 2


def test_unknown_logs_and_entries_are_told(store: LogStore) -> None:
    """The store raises an error for a log or an entry that does not exist."""
    (result,) = store.append([Unit(99, (b"x",))])
    assert isinstance(result, TenantUnknown)
    with pytest.raises(TenantUnknown):
        store.head_of("unknown")
    with pytest.raises(TenantUnknown):
        store.head_of("ACME")
    with pytest.raises(EntryNotFound):
        store.entry(1, 0)


def test_two_stores_share_one_log_without_gaps_or_overlaps(store: LogStore, database_url: str) -> None:
    """Writers of several processes see each other's head, so that the log stays one dense order."""
    count = 60

    def write(name: bytes) -> None:
        engine = open_engine(database_url)
        other = LogStore(engine, SEALS)
        for n in range(count):
            (result,) = other.append([Unit(1, (name + str(n).encode(),))])
            assert isinstance(result, int)
        other.close_writer()
        engine.dispose()

    threads = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    head = store.head(1)
    entries = list(store.entries(1, 0, head.size))
    assert head.size == 3 * count == len(set(entries))
    for name in (b"a", b"b", b"c"):
        assert [e for e in entries if e.startswith(name)] == [name + str(n).encode() for n in range(count)]


def test_a_lost_connection_is_unavailable_and_mends_itself(store: LogStore) -> None:
    """An append on a dead connection raises LogUnavailable, and the next append succeeds."""
    assert store.append([Unit(1, (b"before",))]) == [0]
    assert store._session.writer is not None
    store._session.writer.connection.driver_connection.close()  # type: ignore[union-attr]
    with pytest.raises(LogUnavailable):
        store.append([Unit(1, (b"lost",))])
    assert store.append([Unit(1, (b"after",))]) == [1]


def test_missing_entries_are_told_rather_than_skipped(store: LogStore, engine: sa.Engine) -> None:
    """The store reports a hole in the table, with the missing entry, instead of a shorter log."""
    store.append([Unit(1, (b"a", b"b", b"c"))])
    with engine.begin() as connection:
        connection.execute(sa.delete(log_entry).where(log_entry.c.entry == b"b"))
    with pytest.raises(LogDamaged, match="entry 1") as damaged:
        list(store.entries(1, 0, 3))
    assert damaged.value.indexes == (1,)


def test_the_promises_of_a_fresh_database_hold(engine: sa.Engine) -> None:
    """The database of these tests is one that the server accepts."""
    check_promises(engine)


@pytest.mark.parametrize(
    "values", [{"revision": 7}, {"size": 1}, {"tenant": "initech"}, {"origin_id": "other"}, {"seal": None}], ids=str
)
def test_a_head_that_others_wrote_is_not_appended_to(store: LogStore, engine: sa.Engine, values: Any) -> None:
    """The store appends nothing to a log whose head was changed past the service, and serves the other logs."""
    with engine.begin() as connection:
        connection.execute(sa.update(log_head).where(log_head.c.log == 2).values(**values))
    results = store.append([Unit(2, (b"a",)), Unit(1, (b"b",)), Unit(1, (b"c",), (Guard(2, 0),))])
    assert isinstance(results[0], LogUnavailable)
    assert results[1] == 0
    assert isinstance(results[2], LogUnavailable)
    assert store.head(1).size == 1


def test_a_store_without_the_key_appends_to_no_log_of_another(store: LogStore, engine: sa.Engine) -> None:
    """A store with another key appends nothing, because heads are sealed under the key of the service."""
    other = LogStore(engine)
    (result,) = other.append([Unit(1, (b"x",))])
    other.close_writer()
    assert isinstance(result, LogUnavailable)
    assert store.append([Unit(1, (b"y",))]) == [0]


def test_a_log_that_cannot_be_appended_to_costs_no_other_its_place(store: LogStore, engine: sa.Engine) -> None:
    """A row in the way of one log refuses that log's units, and units of other logs in the batch are appended once."""
    with engine.begin() as connection:
        in_the_way = {"position": position_of(1, 0), "leaf_hash": b"", "entry": b""}
        connection.execute(sa.insert(log_entry), in_the_way)
    for number in range(2):
        results = store.append([Unit(1, (b"a",)), Unit(2, (b"b",)), Unit(SYSTEM_LOG, (b"c",))])
        assert isinstance(results[0], LogUnavailable)
        assert results[1:] == [number, number]
    assert [store.head(log).size for log in (SYSTEM_LOG, 1, 2)] == [2, 0, 2]


def test_an_effect_that_breaks_costs_no_other_its_place(store: LogStore) -> None:
    """A statement of an effect that the database refuses fails only the unit of its log."""

    def twice(connection: Any) -> None:
        row = {"log": 2, "tenant": "globex", "origin_id": "x", "size": 0, "frontier": b"", "revision": 0}
        connection.execute(sa.insert(log_head), row | {"created_us": 1})

    results = store.append([Unit(1, (b"a",), effect=twice), Unit(2, (b"b",))])
    assert isinstance(results[0], LogUnavailable)
    assert results[1] == 0
    assert [store.head(log).size for log in (1, 2)] == [0, 1]

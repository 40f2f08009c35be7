"""Promises of the diagnostics stores on every database."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from linewarden.audit.errors import EffectRefused
from linewarden.audit.model import Unit
from linewarden.audit.store.log import LogStore
from linewarden.diagnostics.consent_model import NoticeChannel, Receipt, ReceiptCounts, ReceiptFact
from linewarden.diagnostics.store import schema
from linewarden.diagnostics.store.records import Lease, RecordChange, RecordStore, add_receipts, apply_changes
from linewarden.diagnostics.store.usage import UsageStore, add_count

DAY = 20_000


@pytest.fixture
def records(store: LogStore, engine: sa.Engine) -> RecordStore:
    """Return records of the tenants of the logs 1 and 2."""
    schema.metadata.create_all(engine)
    return RecordStore(store)


def append(store: LogStore, effect: Callable[[Any], None], log: int = 1) -> object:
    """Append an entry with an effect; return its index, or the reason of the refusal."""
    return store.append([Unit(log, (b"x",), effect=effect)])[0]


def put(id: str, replaces: int = 0, state: str = "new", created_us: int = 1) -> RecordChange:
    """Return a change of a record of the kind `thing`."""
    return RecordChange("thing", id, replaces, created_us, state, state.encode())


def test_a_record_is_changed_only_from_the_version_it_was_read_at(store: LogStore, records: RecordStore) -> None:
    """Of two changes of one version the store refuses the second, drops its entry, and changes nothing."""
    assert append(store, lambda c: apply_changes(c, 1, [put("a")])) == 0
    assert append(store, lambda c: apply_changes(c, 1, [put("a", 1, "one")])) == 1
    assert isinstance(append(store, lambda c: apply_changes(c, 1, [put("a", 1, "two")])), EffectRefused)
    assert isinstance(append(store, lambda c: apply_changes(c, 1, [put("a")])), EffectRefused)
    stored = records.get(1, "thing", "a")
    assert stored is not None
    assert (stored.version, stored.state, stored.body) == (2, "one", b"one")
    assert store.head(1).size == 2


def test_changes_of_one_append_hold_all_or_none(store: LogStore, records: RecordStore) -> None:
    """A refused change makes the store refuse the other changes of the same append."""
    append(store, lambda c: apply_changes(c, 1, [put("a")]))
    append(store, lambda c: apply_changes(c, 1, [put("b"), put("a")]))
    assert records.get(1, "thing", "b") is None


def test_tenants_and_kinds_are_apart(store: LogStore, records: RecordStore) -> None:
    """The store keeps records with the same id in different logs apart."""
    append(store, lambda c: apply_changes(c, 1, [put("a")]))
    append(store, lambda c: apply_changes(c, 2, [put("a", state="other")]), 2)
    assert [one.state for one in records.page(2, "thing", None, 10)] == ["other"]
    assert records.get(1, "else", "a") is None
    assert {one.log for one in records.in_state("thing", ["new", "other"])} == {1, 2}
    assert [one.log for one in records.in_state("thing", ["new", "other"], 2)] == [2]


def test_pages_hold_each_record_once_the_newest_first(store: LogStore, records: RecordStore) -> None:
    """Records of one instant are ordered by their ids, byte for byte."""
    for id, at in (("b", 1), ("B", 1), ("a", 2), ("c", 1)):
        append(store, partial(apply_changes, log_id=1, changes=[put(id, created_us=at)]))
    seen: list[str] = []
    before = None
    while page := records.page(1, "thing", before, 1):
        seen += [one.id for one in page]
        before = (page[-1].created_us, page[-1].id)
    assert seen == ["a", "c", "b", "B"]


def test_receipts_count_persons_and_each_fact_apart(store: LogStore, records: RecordStore) -> None:
    """The store counts a person once that was informed of both the notice and a capture."""
    facts = [("p1", ReceiptFact.INFORMED, ""), ("p1", ReceiptFact.INFORMED, "s1"), ("p1", ReceiptFact.CONFIRMED, ""),
             ("p2", ReceiptFact.INFORMED, ""), ("p3", ReceiptFact.FAILED, "")]  # fmt: skip
    receipts = [Receipt(sid, fact, 5, NoticeChannel.PAPER, capture) for sid, fact, capture in facts]
    append(store, lambda c: add_receipts(c, 1, "n", 1, receipts))
    assert records.counts(1, "n", 1) == ReceiptCounts(informed=2, confirmed=1, failed=1)
    assert records.counts(1, "n", 2) == ReceiptCounts()
    assert records.receipts(1, "n", 1, "s1", ReceiptFact.INFORMED) == {"p1": 5}
    assert isinstance(append(store, lambda c: add_receipts(c, 1, "n", 1, receipts[:1])), EffectRefused)


def test_a_lease_is_the_last_one_written(records: RecordStore) -> None:
    """Renewing replaces a lease; a capture that never ran has no lease."""
    assert records.lease(1, "s") is None
    records.renew(1, "s", Lease("one", 5, b"{}"))
    records.renew(1, "s", Lease("two", 9, b"[]"))
    assert records.lease(1, "s") == Lease("two", 9, b"[]")


def count(store: LogStore, name: str, log: int, day: int = DAY) -> None:
    """Count one for a tenant."""
    append(store, lambda c: add_count(c, day, name, log), 1)


@pytest.mark.usefixtures("records")
def test_only_days_that_are_over_are_closed(store: LogStore) -> None:
    """The store does not publish counts of today, nor names below the threshold."""
    usage = UsageStore(store)
    for log in (1, 2, 2):
        count(store, "often", log)
    count(store, "rare", 1)
    usage.close_before(DAY, 2)
    assert usage.closed() == []
    usage.close_before(DAY + 1, 2)
    assert usage.closed() == [(DAY, {"often": 3})]


@pytest.mark.usefixtures("records")
def test_a_closed_day_is_never_counted_again(store: LogStore) -> None:
    """A late count, after a clock was set back, changes no published figure, and the store deletes the contributors."""
    usage = UsageStore(store)
    for log in (1, 2):
        count(store, "often", log)
    usage.close_before(DAY + 1, 2)
    for log in (1, 2, 3):
        count(store, "often", log)
        count(store, "late", log)
    usage.close_before(DAY + 1, 2)
    assert usage.closed() == [(DAY, {"often": 2})]
    with store.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.usage_count)) == 0

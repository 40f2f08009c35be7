"""Promises of group commit on every database."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from linewarden.audit.errors import AuditError, LogOverloaded, LogUnavailable, RevisionMoved
from linewarden.audit.model import Guard, Unit
from linewarden.audit.store.log import LogStore
from linewarden.audit.writer import Writer
from tests.deadlines import HANG_S


class SlowStore:
    """A store that delays each append until a test lets it go on."""

    def __init__(self, store: LogStore) -> None:
        self.store = store
        self.may_go = threading.Event()
        self.batches: list[int] = []

    def try_append(self, units: Sequence[Unit], *, wait: bool = True) -> list[int | AuditError]:
        """Append when allowed."""
        self.may_go.wait(HANG_S)
        self.batches.append(len(units))
        return self.store.try_append(units, wait=wait)

    def close_writer(self) -> None:
        """Close the connection."""
        self.store.close_writer()


async def test_every_answer_has_its_own_place_in_the_log(store: LogStore) -> None:
    """Concurrent appends get distinct indexes, and the log holds their entries at exactly these."""
    writer = Writer(store, batch_limit=64, queue_limit=10_000, timeout_s=HANG_S)
    indexes = await asyncio.gather(*(writer.append(Unit(1, (str(n).encode(),))) for n in range(500)))
    await writer.close()
    assert sorted(indexes) == list(range(500))
    entries = list(store.entries(1, 0, 500))
    assert all(entries[index] == str(n).encode() for n, index in enumerate(indexes))


async def test_what_waits_during_a_commit_goes_into_the_next(store: LogStore) -> None:
    """One commit runs at a time, and the writer commits all units that arrive meanwhile together, up to the limit."""
    slow = SlowStore(store)
    writer = Writer(slow, batch_limit=10, queue_limit=1_000, timeout_s=HANG_S)
    waiting = [asyncio.ensure_future(writer.append(Unit(1, (b"x",)))) for _ in range(26)]
    slow.may_go.set()
    await asyncio.gather(*waiting)
    await writer.close()
    assert slow.batches == [10, 10, 6]


async def test_a_caller_that_is_alone_does_not_wait_for_others(store: LogStore) -> None:
    """After a batch of one unit the writer hands the next unit over before another one that comes some turns later."""
    ready = SlowStore(store)
    ready.may_go.set()
    writer = Writer(ready, batch_limit=64, queue_limit=1_000, timeout_s=HANG_S)
    first = writer.append(Unit(1, (b"x",)))
    for _ in range(5):
        await asyncio.sleep(0)
    await asyncio.gather(first, writer.append(Unit(1, (b"y",))))
    await writer.close()
    assert ready.batches == [1, 1]


async def test_a_stuck_database_is_unavailable_in_bounded_time(store: LogStore) -> None:
    """An append to a stuck database ends in bounded time, and the writer resumes when the database does."""
    slow = SlowStore(store)
    writer = Writer(slow, batch_limit=10, queue_limit=5, timeout_s=0.3)
    waiting = [writer.append(Unit(1, (b"x",)))]
    await asyncio.sleep(0.05)  # the database has the first one now, and the others wait
    waiting += [writer.append(Unit(1, (b"x",))) for _ in range(5)]
    with pytest.raises(LogOverloaded):
        writer.append(Unit(1, (b"too much",)))
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, LogUnavailable) for result in results)
    slow.may_go.set()
    index = await _until_available(writer)
    await writer.close()
    # The append that was being committed is in the log although it got no answer; the waiting ones are not.
    assert list(store.entries(1, 0, store.head(1).size)) == [b"x", b"again"]
    assert index == 1


async def test_a_refused_unit_tells_only_its_own_caller(store: LogStore) -> None:
    """The writer raises RevisionMoved only for the unit whose guard failed, and appends the others of the batch."""
    writer = Writer(store, batch_limit=64, queue_limit=1_000, timeout_s=HANG_S)
    kept, stale = writer.append(Unit(1, (b"a",), (Guard(1, 0),))), writer.append(Unit(1, (b"b",), (Guard(1, 7),)))
    assert await kept == 0
    with pytest.raises(RevisionMoved):
        await stale
    await writer.close()


async def test_closing_commits_what_waits_and_refuses_what_comes(store: LogStore) -> None:
    """A draining writer commits each accepted unit and accepts no more."""
    writer = Writer(store, batch_limit=4, queue_limit=1_000, timeout_s=HANG_S)
    waiting = [writer.append(Unit(1, (b"x",))) for _ in range(20)]
    await writer.close()
    assert sorted(future.result() for future in waiting) == list(range(20))
    with pytest.raises(LogUnavailable):
        writer.append(Unit(1, (b"late",)))


async def _until_available(writer: Writer) -> int:
    for _ in range(100):
        try:
            return await writer.append(Unit(1, (b"again",)))
        except LogUnavailable:
            await asyncio.sleep(0.05)
    pytest.fail("the writer did not recover")

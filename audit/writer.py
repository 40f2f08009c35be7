"""Group commit: one writer per process gathers waiting entries and commits them together.

A batch is handed to the thread after some turns of the event loop without a new entry, or after GATHER_S. There is no
timer, so a single request waits only for these few turns. While requests keep arriving, the loop accepts them all
first, because thread and loop share one interpreter lock: passing it to and fro for small batches costs several times
their work. The event loop owns the queue, and the thread owns the database connection. A batch is passed once in each
direction.

An append ends within `timeout_s`, even if the database does not respond. An entry that is not durable by then fails
with LogUnavailable, although it may still be recorded later. Over-reporting is safe.

If another process holds a lock, nothing was recorded and the unit is tried again until its deadline. It is never
recorded after its caller was told that it was not. A locked log is set aside, so it does not delay other logs.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from linewarden.audit.errors import AuditError, LogBusy, LogUnavailable
from linewarden.audit.model import Unit
from linewarden.audit.waiting import AGAIN_S, Queue, Waiting

#: How often deadlines are checked within one timeout.
_TICKS_PER_TIMEOUT = 20

#: Most turns of the event loop without a new entry after which a batch is handed over. A request needs about five turns
#: to arrive. An idle turn takes about ten microseconds. There are no more turns than units in the batch before, because
#: a caller that is alone brings no second unit. Of several callers, those that come later fill the next batch.
QUIET_TURNS = 10

#: How long a try for the lock of the whole database, and then the commit, may take, seconds. A unit with less time left
#: is not tried again.
_LAST_TRY_S = 0.6

#: How long entries may be gathered while each turn of the loop brings a new one, seconds.
GATHER_S = 0.01


class BatchStore(Protocol):
    """The part of the store that the writer uses."""

    def try_append(self, units: Sequence[Unit], *, wait: bool = True) -> list[int | AuditError]:
        """Append each unit, or return the error that prevented it. Appended entries are durable on return.

        The error is LogBusy if a lock was not free within a short time. `wait=False` does not wait for the lock of any
        single log.
        """

    def close_writer(self) -> None:
        """Close the connection."""


class Writer:
    """The writer of the logs for the tasks of one event loop.

    `batch_limit` is the number of entries per commit, `queue_limit` that of waiting entries.
    """

    def __init__(
        self,
        store: BatchStore,
        *,
        batch_limit: int,
        queue_limit: int,
        timeout_s: float,
        on_fault: Callable[[BaseException], None] = lambda _error: None,
    ) -> None:
        self._store = store
        self._batch_limit = batch_limit
        self._timeout = timeout_s
        self._on_fault = on_fault
        self._loop = asyncio.get_running_loop()
        self._queue = Queue(queue_limit)
        self._running: list[Waiting] = []
        self._gathering = False
        self._quiet_turns = 1
        self._wake: asyncio.TimerHandle | None = None
        self._ticking = False
        self._closing = False
        self._handover: queue.SimpleQueue[tuple[list[Waiting], bool] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="linewarden-writer", daemon=True)
        self._thread.start()

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit. The result is the id of its first entry, once it is durable.

        Raises, now or through the future:
            LogOverloaded: too many entries wait; nothing was recorded.
            LogUnavailable: the unit could not be made durable in time, and it may or may not exist.
            RevisionMoved, TenantUnknown, EffectRefused: see `model.Unit`; nothing was recorded.
        """
        if self._closing:
            raise LogUnavailable("the server is stopping and takes no more entries")
        loop = self._loop
        future: asyncio.Future[int] = loop.create_future()
        self._queue.add(Waiting(unit, future, loop.time() + self._timeout))
        if not self._running and not self._gathering and self._queue.ready:
            self._gather_from_now()
        if not self._ticking:
            self._ticking = True
            loop.call_later(self._timeout / _TICKS_PER_TIMEOUT, self._tick)
        return future

    async def close(self) -> None:
        """Commit all waiting units, then end the thread. Later units are refused."""
        self._closing = True
        pending = [one.future for one in (*self._running, *self._queue)]
        if pending:
            await asyncio.wait(pending, timeout=self._timeout)
        self._handover.put(None)
        await asyncio.to_thread(self._thread.join, self._timeout)

    def _gather_from_now(self) -> None:
        self._gathering = True
        self._loop.call_soon(self._gather, self._queue.ready, 0, self._loop.time() + GATHER_S)

    def _gather(self, seen: int, quiet: int, until: float) -> None:
        waiting = self._queue.ready
        quiet = 0 if waiting > seen else quiet + 1
        if quiet < self._quiet_turns and self._queue.entries < self._batch_limit and self._loop.time() < until:
            self._loop.call_soon(self._gather, waiting, quiet, until)
            return
        self._gathering = False
        self._hand_over()

    def _hand_over(self) -> None:
        batch, aside = self._queue.take(self._batch_limit, self._loop.time())
        self._running = batch
        if batch:
            self._quiet_turns = min(len(batch), QUIET_TURNS)
            self._handover.put((batch, aside))
        else:
            self._schedule_next()

    def _schedule_next(self) -> None:
        """Schedule the next batch. No batch is running."""
        if self._queue.ready:
            if not self._gathering:
                self._gather_from_now()
            return
        again = self._queue.again_in(self._loop.time())
        if again is not None and self._wake is None:
            self._wake = self._loop.call_later(again, self._woken)

    def _woken(self) -> None:
        self._wake = None
        if not self._running and not self._gathering:
            self._hand_over()

    def _work(self) -> None:
        while True:
            handed = self._handover.get()
            if handed is None:
                self._store.close_writer()
                return
            batch, aside = handed
            results: Sequence[int | BaseException] = ()
            fault: BaseException | None = None
            try:
                results = self._store.try_append([one.unit for one in batch], wait=not aside)
            except BaseException as error:  # noqa: BLE001 - the waiting callers must get every exception
                fault = error
            try:
                self._loop.call_soon_threadsafe(self._finish, batch, results, fault)
            except RuntimeError:  # the loop is closed, and with it all tasks that waited
                return

    def _finish(
        self, batch: list[Waiting], results: Sequence[int | BaseException], fault: BaseException | None
    ) -> None:
        self._running = []
        now = self._loop.time()
        if fault is not None:
            self._queue.put_back(self._settle(batch, [fault] * len(batch), now + _LAST_TRY_S))
        else:
            self._queue.set_aside(self._settle(batch, results, now + AGAIN_S), now)
        self._schedule_next()

    def _settle(
        self, batch: list[Waiting], results: Sequence[int | BaseException], again_until: float
    ) -> list[Waiting]:
        """Answer the callers. Return the units that found a held lock and have time for another try."""
        again: list[Waiting] = []
        fault: BaseException | None = None
        for one, result in zip(batch, results, strict=True):
            if one.future.done():
                continue
            if isinstance(result, int):
                one.future.set_result(result)
            elif isinstance(result, LogBusy) and one.deadline > again_until:
                again.append(one)
            else:
                known = isinstance(result, AuditError)
                one.future.set_exception(result if known else LogUnavailable("the log's database failed"))
                fault = fault or (None if _is_refusal(result) else result)
        if fault is not None:
            self._on_fault(fault)
        return again

    def _tick(self) -> None:
        now = self._loop.time()
        late = LogUnavailable("the record was not durable in time")
        expired = False
        for one in (*self._running, *self._queue):
            if one.deadline <= now and not one.future.done():
                one.future.set_exception(late)
                expired = True
        if expired:
            self._on_fault(late)
        if self._running or self._queue.entries:
            self._loop.call_later(self._timeout / _TICKS_PER_TIMEOUT, self._tick)
        else:
            self._ticking = False


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, AuditError) and not isinstance(error, LogUnavailable)

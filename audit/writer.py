"""Group commit: one writer per process gathers what waits and commits it together.

A batch is handed over when some turns of the event loop brought no further entry, or after GATHER_S; there is no timer,
so a lone request waits for these few turns only. While requests keep coming, the loop takes them all in before it hands
over: thread and loop share one interpreter lock, and small batches beside a busy loop cost several times their work in
passing it to and fro. The event loop owns the queue, one thread owns the database connection, and a batch changes hands
once in each direction.

An append ends within `timeout_s`, whatever the database does: what could not be made durable by then is answered with
LogUnavailable, although the record may still come to be. Over-reporting is safe.

Where a lock is held by another, nothing was recorded, and the unit is tried again while its time lasts: it is never
recorded after its caller was told that it was not. A log that is locked is set aside, so it holds up no other.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from linewarden.audit.errors import AuditError, LogBusy, LogUnavailable
from linewarden.audit.model import Unit
from linewarden.audit.waiting import AGAIN_S, Queue, Waiting

#: How often deadlines are looked at, as a part of the timeout.
_TICKS_PER_TIMEOUT = 20

#: Turns of the event loop without another entry after which nothing more is waited for. A request takes about five
#: turns to come in; a turn that finds nothing to do takes some ten microseconds.
QUIET_TURNS = 10

#: How long a try for the lock of the whole database may take, and then the commit, seconds. A unit that has less time
#: left is not tried again.
_LAST_TRY_S = 0.6

#: How long entries may be gathered while every turn of the loop brings another, seconds.
GATHER_S = 0.01


class BatchStore(Protocol):
    """What the writer needs of the store."""

    def try_append(self, units: Sequence[Unit], *, wait: bool = True) -> list[int | AuditError]:
        """Append each unit or say why not; durable on return. LogBusy where a lock was not free at once or soon.

        `wait=False` waits for the lock of no single log.
        """

    def close_writer(self) -> None:
        """Let go of the connection."""


class Writer:
    """The only way into the logs for the tasks of one event loop.

    `batch_limit` is in entries per commit, `queue_limit` in entries that wait, `timeout_s` in seconds.
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
        self._wake: asyncio.TimerHandle | None = None
        self._ticking = False
        self._closing = False
        self._handover: queue.SimpleQueue[tuple[list[Waiting], bool] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="linewarden-writer", daemon=True)
        self._thread.start()

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit; the result is the index of its first entry, durable.

        Raises, now or through the future:
            LogOverloaded: too much waits already; nothing was recorded.
            LogUnavailable: it could not be made durable in time; whether it exists is not known.
            RevisionMoved, TenantUnknown, EffectRefused: see `model.Unit`; nothing was recorded.
        """
        if self._closing:
            raise LogUnavailable("the log is being closed")
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
        """Commit what waits, then end the thread. What comes later is refused."""
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
        if quiet < QUIET_TURNS and self._queue.entries < self._batch_limit and self._loop.time() < until:
            self._loop.call_soon(self._gather, waiting, quiet, until)
            return
        self._gathering = False
        self._hand_over()

    def _hand_over(self) -> None:
        batch, aside = self._queue.take(self._batch_limit, self._loop.time())
        self._running = batch
        if batch:
            self._handover.put((batch, aside))
        else:
            self._go_on()

    def _go_on(self) -> None:
        """See to it that what waits gets its turn. Nothing runs."""
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
            except BaseException as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                fault = error
            try:
                self._loop.call_soon_threadsafe(self._finish, batch, results, fault)
            except RuntimeError:  # the loop is gone, and with it everybody who waited
                return

    def _finish(
        self, batch: list[Waiting], results: Sequence[int | BaseException], fault: BaseException | None
    ) -> None:
        self._running = []
        now = self._loop.time()
        if fault is not None:
            self._queue.put_back(self._tell(batch, [fault] * len(batch), now + _LAST_TRY_S))
        else:
            self._queue.set_aside(self._tell(batch, results, now + AGAIN_S), now)
        self._go_on()

    def _tell(self, batch: list[Waiting], results: Sequence[int | BaseException], again_until: float) -> list[Waiting]:
        """Answer the callers; returns the units that found a lock held and have time for another try."""
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
        told = False
        for one in (*self._running, *self._queue):
            if one.deadline <= now and not one.future.done():
                one.future.set_exception(late)
                told = True
        if told:
            self._on_fault(late)
        if self._running or self._queue.entries:
            self._loop.call_later(self._timeout / _TICKS_PER_TIMEOUT, self._tick)
        else:
            self._ticking = False


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, AuditError) and not isinstance(error, LogUnavailable)

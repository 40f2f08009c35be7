"""Group commit: one writer per process gathers what waits and commits it together.

A batch is handed over when some turns of the event loop brought no further entry, or after GATHER_S; there is no timer,
so a lone request waits for these few turns only. While requests keep coming, the loop takes them all in before it hands
over: thread and loop share one interpreter lock, and small batches beside a busy loop cost several times their work in
passing it to and fro. The event loop owns the queue, one thread owns the database connection, and a batch changes hands
once in each direction.

An append ends within `timeout_s`, whatever the database does: what could not be made durable by then is answered with
LogUnavailable, although the record may still come to be. Over-reporting is safe.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from linewarden.audit.errors import AuditError, LogOverloaded, LogUnavailable
from linewarden.audit.model import Unit

#: How often deadlines are looked at, as a part of the timeout.
_TICKS_PER_TIMEOUT = 20

#: Turns of the event loop without another entry after which nothing more is waited for. A request takes about five
#: turns to come in; a turn that finds nothing to do takes some ten microseconds.
QUIET_TURNS = 10

#: How long entries may be gathered while every turn of the loop brings another, seconds.
GATHER_S = 0.01


class BatchStore(Protocol):
    """What the writer needs of the store."""

    def append(self, units: Sequence[Unit]) -> list[int | AuditError]:
        """Append each unit or say why not; durable on return."""

    def close_writer(self) -> None:
        """Let go of the connection."""


class _Waiting:
    """A unit on its way, with the answer that somebody awaits."""

    __slots__ = ("deadline", "future", "unit")

    def __init__(self, unit: Unit, future: "asyncio.Future[int]", deadline: float) -> None:
        self.unit = unit
        self.future = future
        self.deadline = deadline


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
        self._queue_limit = queue_limit
        self._timeout = timeout_s
        self._on_fault = on_fault
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting] = deque()
        self._entries_waiting = 0
        self._running: list[_Waiting] = []
        self._gathering = False
        self._ticking = False
        self._closing = False
        self._handover: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
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
        if self._entries_waiting + len(unit.entries) > self._queue_limit:
            raise LogOverloaded("too much waits to be logged")
        loop = self._loop
        future: asyncio.Future[int] = loop.create_future()
        self._waiting.append(_Waiting(unit, future, loop.time() + self._timeout))
        self._entries_waiting += len(unit.entries)
        if not self._running and not self._gathering:
            self._gather_from_now()
        if not self._ticking:
            self._ticking = True
            loop.call_later(self._timeout / _TICKS_PER_TIMEOUT, self._tick)
        return future

    async def close(self) -> None:
        """Commit what waits, then end the thread. What comes later is refused."""
        self._closing = True
        pending = [one.future for one in (*self._running, *self._waiting)]
        if pending:
            await asyncio.wait(pending, timeout=self._timeout)
        self._handover.put(None)
        await asyncio.to_thread(self._thread.join, self._timeout)

    def _gather_from_now(self) -> None:
        self._gathering = True
        self._loop.call_soon(self._gather, len(self._waiting), 0, self._loop.time() + GATHER_S)

    def _gather(self, seen: int, quiet: int, until: float) -> None:
        waiting = len(self._waiting)
        quiet = 0 if waiting > seen else quiet + 1
        if quiet < QUIET_TURNS and self._entries_waiting < self._batch_limit and self._loop.time() < until:
            self._loop.call_soon(self._gather, waiting, quiet, until)
            return
        self._gathering = False
        self._hand_over()

    def _hand_over(self) -> None:
        batch: list[_Waiting] = []
        room = self._batch_limit
        waiting = self._waiting
        while waiting and (room >= len(waiting[0].unit.entries) or not batch):
            one = waiting.popleft()
            self._entries_waiting -= len(one.unit.entries)
            if one.future.done():  # its deadline passed, or the caller went away: nothing was answered
                continue
            room -= len(one.unit.entries)
            batch.append(one)
        self._running = batch
        if batch:
            self._handover.put(batch)

    def _work(self) -> None:
        while True:
            batch = self._handover.get()
            if batch is None:
                self._store.close_writer()
                return
            results: Sequence[int | BaseException]
            try:
                results = self._store.append([one.unit for one in batch])
            except BaseException as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                results = [error] * len(batch)
            try:
                self._loop.call_soon_threadsafe(self._finish, batch, results)
            except RuntimeError:  # the loop is gone, and with it everybody who waited
                return

    def _finish(self, batch: list[_Waiting], results: Sequence[int | BaseException]) -> None:
        for one, result in zip(batch, results, strict=True):
            if one.future.done():
                continue
            if isinstance(result, int):
                one.future.set_result(result)
            elif isinstance(result, AuditError):
                one.future.set_exception(result)
            else:
                one.future.set_exception(LogUnavailable("the log's database failed"))
        if results and isinstance(results[0], BaseException) and not _is_refusal(results[0]):
            self._on_fault(results[0])
        self._running = []
        if self._waiting:
            self._gather_from_now()

    def _tick(self) -> None:
        now = self._loop.time()
        late = LogUnavailable("the record was not durable in time")
        told = False
        for one in (*self._running, *self._waiting):
            if one.deadline > now:
                break
            if not one.future.done():
                one.future.set_exception(late)
                told = True
        if told:
            self._on_fault(late)
        if self._running or self._waiting:
            self._loop.call_later(self._timeout / _TICKS_PER_TIMEOUT, self._tick)
        else:
            self._ticking = False


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, AuditError) and not isinstance(error, LogUnavailable)

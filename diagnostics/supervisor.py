"""Watching captures that run in this process: every second each gate is looked at again, and the lease renewed.

The worker goes on only while it hears that all is well. When the database is gone nothing can be known, so nothing is
said, and the worker stops by its lease. Time that passes is measured by the monotonic clock: a wall clock that is set
back prolongs nothing, one that is set forward ends an attestation early.

A process that dies leaves its sessions to the others: `sweep` finds those whose lease has ended.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from linewarden.audit.errors import EffectRefused, LogUnavailable
from linewarden.audit.model import Unit
from linewarden.diagnostics.books import Books
from linewarden.diagnostics.capture.model import StopReason
from linewarden.diagnostics.ending import EndingDesk
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.model import Attestation
from linewarden.diagnostics.ports import Order, Outcome, Rights, RunningWorker, Standing, WorkerLauncher
from linewarden.diagnostics.records import canonical
from linewarden.diagnostics.session import Session, SessionState, Tally
from linewarden.diagnostics.states import CAPTURING, LIVE
from linewarden.diagnostics.steps import Occasion, Safe, Step
from linewarden.diagnostics.store.records import Lease

#: How often a capture that runs is looked at, seconds.
TICK_S = 1.0

#: How long after the end of a lease its session counts as lost: the holder may be about to say how it ended.
GRACE_US = 60_000_000

#: Who acts where no person does.
SERVICE = "linewarden"


class Appender(Protocol):
    """What the supervisor needs of the writer."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit; the result is the index of its first entry."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A capture of this process. `deadline` is the end of the attestation, on the monotonic clock."""

    log: int
    session: str
    worker: RunningWorker
    starter: Standing
    approver: Standing | None
    deadline: float
    lease_us: int


class Supervisor:
    """The captures that this process runs. `holder` is a random name of the process; `now_us` the wall clock."""

    def __init__(
        self,
        books: Books,
        safe: Safe,
        rights: Rights,
        workers: WorkerLauncher,
        appender: Appender,
        *,
        holder: str,
        now_us: Callable[[], int],
        monotonic: Callable[[], float],
        tick_s: float = TICK_S,
    ) -> None:
        self._books = books
        self._safe = safe
        self._rights = rights
        self._workers = workers
        self._appender = appender
        self._holder = holder
        self._now_us = now_us
        self._monotonic = monotonic
        self._tick_s = tick_s
        self._ending = EndingDesk(books)
        self._watched: dict[tuple[int, str], tuple[Watched, asyncio.Task[None]]] = {}
        self._starting: set[tuple[int, str]] = set()

    async def run(self, log: int, session: Session, order: Order, input_fd: int | None = None) -> None:
        """Launch the worker of a session that was recorded as running, and watch it.

        `input_fd` is where the capture file comes in, if the order is for one; it stays the caller's.

        Raises:
            DiagnosisUnavailable: it did not start; the session is recorded as failed.
        """
        key = (log, session.id)
        self._starting.add(key)
        try:
            worker = await self._workers.launch(order, input_fd)
        except DiagnosisUnavailable:
            await self._finish(log, session.id, Outcome(StopReason.ERROR, Tally(), None))
            raise
        finally:
            self._starting.discard(key)
        watched = await asyncio.to_thread(self._watch_list, log, session, worker, order)
        task = asyncio.create_task(self._watch(watched), name=f"capture-{session.id}")
        self._watched[key] = (watched, task)
        task.add_done_callback(lambda _done: self._watched.pop(key, None))

    def nudge(self, log: int, session: str, reason: StopReason) -> None:
        """Stop a worker of this process now, for a reason that is recorded already or, if none is, with its end."""
        found = self._watched.get((log, session))
        if found is not None:
            found[0].worker.stop(reason)

    def pause(self, log: int, session: str, *, paused: bool) -> None:
        """Tell a worker of this process now what is recorded already; one of another process hears it within a tick."""
        found = self._watched.get((log, session))
        if found is not None:
            found[0].worker.heartbeat(paused=paused)

    def tally(self, log: int, session: str) -> Tally | None:
        """The live counters of a capture of this process."""
        found = self._watched.get((log, session))
        return None if found is None else found[0].worker.tally()

    async def ended(self, log: int, session: str) -> None:
        """Wait until the end of a capture of this process is recorded."""
        found = self._watched.get((log, session))
        if found is not None:
            await asyncio.wait([found[1]])

    async def close(self) -> None:
        """Let go of all workers, as if the process had ended, and record how they end."""
        tasks = [task for _watched, task in self._watched.values()]
        for watched, _task in list(self._watched.values()):
            watched.worker.stop(StopReason.LEASE_LOST)
        if tasks:
            await asyncio.wait(tasks)

    async def sweep(self) -> None:
        """End what nobody watches, what was not started in time, and what was kept long enough.

        Raises:
            LogUnavailable: the database failed.
        """
        now_us = self._now_us()
        states = {*LIVE, SessionState.ARMED, SessionState.SEALED, SessionState.FAILED}
        for stored, session in await asyncio.to_thread(self._books.sessions_in, states):
            if session.state in LIVE:
                await self._sweep_live(stored.log, session, now_us)
            elif session.state is SessionState.ARMED:
                await self._record(stored.log, partial(self._ending.lapse, id=session.id))
            elif session.delete_us is not None and now_us >= session.delete_us:
                await self._sweep_kept(stored.log, session)

    async def _sweep_live(self, log: int, session: Session, now_us: int) -> None:
        key = (log, session.id)
        if key in self._watched or key in self._starting:
            return
        lease = await asyncio.to_thread(self._books.store.lease, log, session.id)
        until_us = lease.until_us if lease is not None else session.started_us or 0
        if now_us >= until_us + GRACE_US:
            await self._record(log, lambda on: self._ending.lose(on, session.id))

    async def _sweep_kept(self, log: int, session: Session) -> None:
        try:
            await asyncio.to_thread(self._workers.delete, session.id)
        except DiagnosisUnavailable:  # tried again by the next sweep; the session is not called deleted before it is
            return
        await self._record(log, lambda on: self._ending.expire(on, session.id))

    def _watch_list(self, log: int, session: Session, worker: RunningWorker, order: Order) -> Watched:
        _stored, attestation = self._books.attestation(log, session.attestation)
        names = self._safe.names(log, [session.started_by, session.approved_by])
        left_us = attestation.statement.valid_until_us - self._now_us()

        def standing(sid: str, zone: str) -> Standing:
            # A person that was erased has no name any more, and so no right either.
            return Standing(names.get(sid, ""), session.purpose, order.ticket.why, zone)

        approver = standing(session.approved_by, session.approved_zone) if session.approved_by else None
        return Watched(
            log,
            session.id,
            worker,
            standing(session.started_by, session.started_zone),
            approver,
            self._monotonic() + left_us / 1_000_000,
            session.limits.lease_seconds * 1_000_000,
        )

    async def _watch(self, watched: Watched) -> None:
        ended = asyncio.ensure_future(watched.worker.ended())
        while not ended.done():
            await self._look(watched)
            await asyncio.wait([ended], timeout=self._tick_s)
        await self._finish(watched.log, watched.session, ended.result())

    async def _look(self, watched: Watched) -> None:
        """One look at the gates: all is well, or the worker is told to stop, or nothing can be known."""
        try:
            session, attestation, enabled = await asyncio.to_thread(self._read, watched)
            reason = await self._reason_to_stop(watched, session, attestation, enabled=enabled)
            if reason is None:
                watched.worker.heartbeat(paused=session.state is SessionState.PAUSED)
                await asyncio.to_thread(self._renew, watched)
                return
            watched.worker.stop(reason)
            await self._record(watched.log, lambda on: self._ending.stop(on, watched.session, reason))
        except LogUnavailable:
            return

    async def _reason_to_stop(
        self, watched: Watched, session: Session, attestation: Attestation, *, enabled: bool
    ) -> StopReason | None:
        if session.state not in CAPTURING:
            return session.stop_reason or StopReason.LEASE_LOST
        if attestation.withdrawn_us is not None:
            return StopReason.ATTESTATION_WITHDRAWN
        if not attestation.in_force(self._now_us()) or self._monotonic() >= watched.deadline:
            return StopReason.ATTESTATION_EXPIRED
        return await self._right_lost(watched, enabled=enabled)

    async def _right_lost(self, watched: Watched, *, enabled: bool) -> StopReason | None:
        if not enabled or not await self._rights.may_capture(watched.log, watched.session, watched.starter):
            return StopReason.POLICY_CHANGED
        if watched.approver and not await self._rights.may_approve(watched.log, watched.session, watched.approver):
            return StopReason.APPROVER_LEFT
        return None

    def _read(self, watched: Watched) -> tuple[Session, Attestation, bool]:
        _at, session = self._books.session(watched.log, watched.session)
        _at, attestation = self._books.attestation(watched.log, session.attestation)
        _found, terms = self._books.terms(watched.log)
        return session, attestation, terms.enabled

    def _renew(self, watched: Watched) -> None:
        until_us = self._now_us() + watched.lease_us
        self._books.store.renew(
            watched.log, watched.session, Lease(self._holder, until_us, canonical(watched.worker.tally()))
        )

    async def _finish(self, log: int, session: str, outcome: Outcome) -> None:
        """Record the end, however long the database takes: evidence without a record would be worth nothing."""
        while True:
            try:
                await self._record(log, lambda on: self._ending.end(on, session, outcome))
            except LogUnavailable:
                await asyncio.sleep(self._tick_s)
            else:
                return

    async def _record(self, log: int, make: Callable[[Occasion], Step[Session] | None]) -> None:
        while True:
            on = Occasion(log, "", SERVICE, "", self._now_us())
            step = await asyncio.to_thread(make, on)
            if step is None:
                return
            try:
                await self._appender.append(Unit(log, step.entries, effect=step.apply))
            except EffectRefused:  # somebody else changed it meanwhile: look again
                continue
            return

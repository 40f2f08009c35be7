"""Supervisor of the captures of this process: checks every precondition each second, and renews the lease.

The worker continues only while it receives heartbeats. While the database is unavailable no heartbeat is sent, and the
worker stops when its lease expires. Elapsed time is measured by the monotonic clock. A wall clock that is set back
changes nothing. One that is set forward ends an attestation early.

The captures of a process that dies are taken over by the others: see `sweeper`.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from linewarden.audit.errors import LogUnavailable
from linewarden.diagnostics.capture_model import Capture, CaptureRight, CaptureState, Tally, rights_needed
from linewarden.diagnostics.captures.endings import EndingService
from linewarden.diagnostics.captures.ports import Order, Outcome, RunningWorker, WorkerLauncher
from linewarden.diagnostics.captures.preconditions import Preconditions
from linewarden.diagnostics.captures.recorder import ServiceRecorder
from linewarden.diagnostics.codec import canonical
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.ports import Requester, Rights
from linewarden.diagnostics.private_values import PrivateValues
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.states import CAPTURING, LIVE
from linewarden.diagnostics.store.records import Lease

#: The interval between two checks of a running capture, seconds.
TICK_S = 1.0

#: A capture that has not stopped at its time limit is stopped after this time, seconds.
OVERDUE_S = 15

#: The time for captures to end when the process stops, seconds: enough to kill, seal and deliver.
CLOSE_S = 80.0


@dataclass(slots=True)
class Watched:
    """A capture of this process. It is watched since `begun_us` of the wall clock and `begun` of the monotonic clock.

    `rights` are the rights that its starter must keep. `turns` counts its pauses and resumptions in this process. A
    check that began before the last of them read an older state, which must not reach the worker.
    """

    log: int
    capture: str
    worker: RunningWorker
    starter: Requester
    rights: frozenset[CaptureRight]
    approver: Requester | None
    begun_us: int
    begun: float
    lease_us: int
    turns: int = 0


class Supervisor:
    """The captures that this process runs. `holder` is a random name of the process; `now_us` the wall clock."""

    def __init__(
        self,
        repository: Repository,
        private_values: PrivateValues,
        rights: Rights,
        workers: WorkerLauncher,
        recorder: ServiceRecorder,
        *,
        holder: str,
        now_us: Callable[[], int],
        monotonic: Callable[[], float],
        tick_s: float = TICK_S,
    ) -> None:
        self._repository = repository
        self._private_values = private_values
        self._rights = rights
        self._workers = workers
        self._recorder = recorder
        self._holder = holder
        self._now_us = now_us
        self._monotonic = monotonic
        self._tick_s = tick_s
        self._ending = EndingService(repository)
        self._preconditions = Preconditions(repository)
        self._watched: dict[tuple[int, str], tuple[Watched, asyncio.Task[None]]] = {}
        self._starting: set[tuple[int, str]] = set()

    async def run(self, log_id: int, capture: Capture, order: Order, input_fd: int | None = None) -> None:
        """Launch the worker of a capture that is recorded as running, and watch it.

        `input_fd` is the capture file to import, if the order names one; the caller closes it.

        Raises:
            DiagnosisUnavailable: the worker did not start; the capture is recorded as failed.
        """
        key = (log_id, capture.id)
        self._starting.add(key)
        try:
            worker = await self._workers.launch(order, input_fd)
        except DiagnosisUnavailable as error:
            await self._finish(log_id, capture.id, Outcome(StopReason.ERROR, Tally(), None, error.detail))
            raise DiagnosisUnavailable from None
        finally:
            self._starting.discard(key)
        watched = await asyncio.to_thread(self._watch_list, log_id, capture, worker, order)
        task = asyncio.create_task(self._watch(watched), name=f"capture-{capture.id}")
        self._watched[key] = (watched, task)
        task.add_done_callback(lambda _done: self._watched.pop(key, None))

    def stop_now(self, log_id: int, capture: str, reason: StopReason) -> None:
        """Stop a worker of this process now. The reason is already recorded, or is recorded with its end."""
        found = self._watched.get((log_id, capture))
        if found is not None:
            found[0].worker.stop(reason)

    async def stop_recorded(self, log_id: int, captures: Iterable[str]) -> None:
        """Stop workers of this process whose stop is recorded. Other processes stop theirs within a tick."""
        for id in captures:
            _stored, capture = await asyncio.to_thread(self._repository.capture, log_id, id)
            if capture.stop_reason is not None:
                self.stop_now(log_id, id, capture.stop_reason)

    def pause(self, log_id: int, capture: str, *, paused: bool) -> None:
        """Pause or resume a worker of this process, as recorded. Other processes do so within a tick."""
        found = self._watched.get((log_id, capture))
        if found is not None:
            found[0].turns += 1
            found[0].worker.heartbeat(paused=paused)

    def tally(self, log_id: int, capture: str) -> Tally | None:
        """Return the live counters of a capture of this process; None if it does not run here."""
        found = self._watched.get((log_id, capture))
        return None if found is None else found[0].worker.tally()

    async def ended(self, log_id: int, capture: str) -> None:
        """Wait until the end of a capture of this process is recorded."""
        found = self._watched.get((log_id, capture))
        if found is not None:
            await asyncio.wait([found[1]])

    async def close(self) -> None:
        """Release all workers, as if the process had ended, and record how they end."""
        tasks = [task for _watched, task in self._watched.values()]
        for watched, _task in list(self._watched.values()):
            watched.worker.stop(StopReason.LEASE_LOST)
        if tasks:
            # The next sweep of any process finds the captures that have not ended by then.
            await asyncio.wait(tasks, timeout=CLOSE_S)

    def watches(self, log_id: int, capture: str) -> bool:
        """Return whether this process watches a capture, or is about to."""
        return (log_id, capture) in self._watched or (log_id, capture) in self._starting

    def _watch_list(self, log_id: int, capture: Capture, worker: RunningWorker, order: Order) -> Watched:
        names = self._private_values.names(log_id, [capture.started_by, capture.approved_by])

        def requester(sid: str, zone: str) -> Requester:
            # An erased person has no name, and therefore no right.
            return Requester(names.get(sid, ""), capture.purpose, order.ticket.why, zone)

        approver = requester(capture.approved_by, capture.approved_zone) if capture.approved_by else None
        return Watched(
            log_id,
            capture.id,
            worker,
            requester(capture.started_by, capture.started_zone),
            rights_needed(CaptureRight.START, capture.profile, raw_filter=bool(order.ticket.raw_filter)),
            approver,
            self._now_us(),
            self._monotonic(),
            capture.limits.lease_seconds * 1_000_000,
        )

    async def _watch(self, watched: Watched) -> None:
        ended = asyncio.ensure_future(watched.worker.ended())
        while not ended.done():
            await self._look(watched)
            await asyncio.wait([ended], timeout=self._tick_s)
        await self._finish(watched.log, watched.capture, ended.result())

    async def _look(self, watched: Watched) -> None:
        """Check the preconditions once: send a heartbeat, or stop the worker, or do nothing without the database."""
        turns = watched.turns
        try:
            capture, recorded = await asyncio.to_thread(self._read, watched)
            reason = recorded or await self._right_lost(watched) or self._overdue(watched, capture)
            if reason is None:
                if turns == watched.turns:
                    watched.worker.heartbeat(paused=capture.state is CaptureState.PAUSED)
            else:
                watched.worker.stop(reason)
                await self._recorder.record(watched.log, lambda ctx: self._ending.stop(ctx, watched.capture, reason))
            if capture.state in LIVE:
                # Also while it stops, because a long delivery of evidence must not look like a lost server.
                await asyncio.to_thread(self._renew, watched)
        except LogUnavailable:
            return

    def _read(self, watched: Watched) -> tuple[Capture, StopReason | None]:
        """Return the capture, and the recorded reason to stop it."""
        _at, capture = self._repository.capture(watched.log, watched.capture)
        if capture.state not in CAPTURING:
            return capture, capture.stop_reason or StopReason.LEASE_LOST
        _found, terms = self._repository.terms(watched.log)
        return capture, self._preconditions.lost_prerequisite(watched.log, capture, terms, self._later_us(watched))

    async def _right_lost(self, watched: Watched) -> StopReason | None:
        log_id, id = watched.log, watched.capture
        if not await self._rights.may(log_id, id, watched.starter, watched.rights):
            return StopReason.POLICY_CHANGED
        if watched.approver and not await self._rights.may(log_id, id, watched.approver, {CaptureRight.APPROVE}):
            return StopReason.APPROVER_LEFT
        return None

    def _overdue(self, watched: Watched, capture: Capture) -> StopReason | None:
        """Return TIME if the worker has not stopped at its time limit, because it hangs or lies."""
        passed_s = self._monotonic() - watched.begun
        return StopReason.TIME if passed_s > capture.limits.seconds + OVERDUE_S else None

    def _later_us(self, watched: Watched) -> int:
        """Return the time by the wall clock or by the elapsed time, whichever is later."""
        passed_us = int((self._monotonic() - watched.begun) * 1_000_000)
        return max(self._now_us(), watched.begun_us + passed_us)

    def _renew(self, watched: Watched) -> None:
        until_us = self._now_us() + watched.lease_us
        self._repository.store.renew(
            watched.log, watched.capture, Lease(self._holder, until_us, canonical(watched.worker.tally()))
        )

    async def _finish(self, log_id: int, capture: str, outcome: Outcome) -> None:
        """Record the end. Repeat until the database takes it, because evidence without a record is worthless."""
        while True:
            try:
                await self._recorder.record(log_id, lambda ctx: self._ending.end(ctx, capture, outcome))
            except LogUnavailable:
                await asyncio.sleep(self._tick_s)
            else:
                return

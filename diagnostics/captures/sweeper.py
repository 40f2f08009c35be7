"""Sweeper: captures that a dead process left behind, that waited too long, or whose retention is over.

The wall clock alone decides neither the loss of a lease nor a deletion, because it may be set wrong. A lease is lost if
it was not renewed while this process measured by its own monotonic clock. Evidence is deleted if it was due for a while
by that clock.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from linewarden.diagnostics.capture_model import Capture, CaptureState
from linewarden.diagnostics.captures.endings import EndingService
from linewarden.diagnostics.captures.ports import WorkerLauncher
from linewarden.diagnostics.captures.prerequisites import PrerequisiteService
from linewarden.diagnostics.captures.recorder import ServiceRecorder
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.states import LIVE, WAITING

#: The time after the end of a lease until its capture is lost, seconds. The holder may still be recording the end.
GRACE_S = 60.0

#: How long a lost capture waits for a server with its evidence folder, seconds. Then it has failed.
ELSEWHERE_S = 86_400.0

#: How long evidence is due before it is deleted, and a request before it lapses, seconds. A wrong clock is usually
#: corrected by then.
HOLD_S = 600.0

#: Captures that are read at once.
_PAGE = 500
_FIRST = (-1, "")

_Key = tuple[int, str]


class Sweeper:
    """Sweeps the captures of all tenants. `watched` says whether this process watches a capture."""

    def __init__(
        self,
        repository: Repository,
        workers: WorkerLauncher,
        recorder: ServiceRecorder,
        watched: Callable[[int, str], bool],
        now_us: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._repository = repository
        self._workers = workers
        self._recorder = recorder
        self._watched = watched
        self._now_us = now_us
        self._monotonic = monotonic
        self._ending = EndingService(repository)
        self._prerequisites = PrerequisiteService(repository)
        self._since: dict[_Key, tuple[object, float]] = {}

    async def sweep(self) -> None:
        """Process all due captures once.

        Raises:
            LogUnavailable: the database failed.
        """
        seen: dict[_Key, tuple[object, float]] = {}
        now_us, after = self._now_us(), _FIRST
        while page := await asyncio.to_thread(self._repository.captures_due, now_us, after, _PAGE):
            for stored, capture in page:
                await self._due(stored.log, capture, seen)
                after = (stored.log, stored.id)
        self._since = seen
        waiting = {CaptureState.PENDING_APPROVAL, CaptureState.ARMED}
        for stored, capture in await asyncio.to_thread(self._repository.captures_in, waiting):
            await self._recorder.record(stored.log, partial(self._prerequisites.recheck, id=capture.id))

    async def _due(self, log_id: int, capture: Capture, seen: dict[_Key, tuple[object, float]]) -> None:
        if capture.state in LIVE:
            await self._live(log_id, capture, seen)
        elif capture.state in WAITING:
            if self._unchanged(log_id, capture.id, capture.due_us, seen) >= HOLD_S:
                await self._recorder.record(log_id, partial(self._ending.lapse, id=capture.id))
        else:
            await self._kept(log_id, capture, seen)

    async def _live(self, log_id: int, capture: Capture, seen: dict[_Key, tuple[object, float]]) -> None:
        if self._watched(log_id, capture.id):
            return
        lease = await asyncio.to_thread(self._repository.store.lease, log_id, capture.id)
        unchanged_s = self._unchanged(log_id, capture.id, lease and lease.until_us, seen)
        lost_s = unchanged_s - capture.limits.lease_seconds - GRACE_S
        if lost_s >= 0:
            await self._lost(log_id, capture, lost_s)

    async def _lost(self, log_id: int, capture: Capture, lost_s: float) -> None:
        """End a lost capture with the evidence that its worker left. Wait for the server that has its folder."""
        found = None
        try:
            found = await asyncio.to_thread(self._workers.recover, capture.id, capture.folder)
        except DiagnosisUnavailable:
            if lost_s < ELSEWHERE_S:
                stop = partial(self._ending.stop, id=capture.id, reason=StopReason.LEASE_LOST)
                await self._recorder.record(log_id, stop)
                return
        await self._recorder.record(log_id, partial(self._ending.lose, id=capture.id, evidence=found))

    async def _kept(self, log_id: int, capture: Capture, seen: dict[_Key, tuple[object, float]]) -> None:
        if self._unchanged(log_id, capture.id, capture.delete_us, seen) < HOLD_S:
            return
        try:
            await asyncio.to_thread(self._workers.delete, capture.id, capture.folder)
        except DiagnosisUnavailable:  # the next round tries again; the deletion is recorded after it succeeded
            return
        await self._recorder.record(log_id, partial(self._ending.expire, id=capture.id))

    def _unchanged(self, log_id: int, id: str, value: object, seen: dict[_Key, tuple[object, float]]) -> float:
        """Return for how many seconds a value is unchanged, round after round."""
        now = self._monotonic()
        before, since = self._since.get((log_id, id), (None, now))
        since = since if before == value else now
        seen[log_id, id] = (value, since)
        return now - since

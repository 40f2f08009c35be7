"""Probes that run, whoever waits for them.

That a probe is run stands in the log before it is; what came of it is recorded although the caller may have gone away,
or its worker: of every probe that was begun the log tells the end.
"""

import asyncio
from typing import Any

from linewarden.authz.model import Verb
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.probes.model import Findings, ProbeOrder
from linewarden.diagnostics.probes.ports import ProbeRunner
from linewarden.diagnostics.probes.service import ProbeDesk
from linewarden.server.diagnostics.recorded_changes import Steps, of_tenant
from linewarden.server.door import Entrance

#: Probes of this process that run at once; each is a process of its own. Beyond them the caller is to come again.
MOST_AT_ONCE = 16

_LOST = Findings(succeeded=False, values={"error": "worker_lost"})


class Probing:
    """The probes of this process."""

    def __init__(self, steps: Steps, desk: ProbeDesk, workers: ProbeRunner) -> None:
        self._steps = steps
        self._desk = desk
        self._workers = workers
        self._running: set[asyncio.Task[Findings]] = set()

    async def probe(self, entrance: Entrance, request: Any, id: str, order: ProbeOrder) -> Findings:
        """Run a probe between two entries.

        Raises:
            SubjectNotPermitted, RevisionMoved, LogUnavailable: see `Steps.take`.
            DiagnosticsError: see `ProbeDesk.begin`.
            DiagnosisUnavailable: too many run, or the worker left.
        """
        if len(self._running) >= MOST_AT_ONCE:
            raise DiagnosisUnavailable
        access = of_tenant(entrance.tenant, Verb.RUN_PROBE)
        await self._steps.take(entrance, request, [access], lambda on: self._desk.begin(on, id, order))
        running = asyncio.create_task(self._run(entrance, request, id, order))
        self._running.add(running)
        running.add_done_callback(self._end)
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Wait for the ends of those that run; each has a timeout of its own."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run(self, entrance: Entrance, request: Any, id: str, order: ProbeOrder) -> Findings:
        try:
            findings = await self._workers.probe(order)
        except DiagnosisUnavailable:
            await self._steps.tell(entrance, request, lambda on: self._desk.end(on, id, order, _LOST))
            raise
        await self._steps.tell(entrance, request, lambda on: self._desk.end(on, id, order, findings))
        return findings

    def _end(self, running: asyncio.Task[Findings]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # or it would be complained of when the caller has gone away

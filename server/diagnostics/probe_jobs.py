"""Background jobs that run probes.

The start of a probe is in the log before it runs. Its result is recorded even if the caller or the worker disconnects,
so that the log has the end of every probe.
"""

import asyncio
from collections.abc import Mapping

from linewarden.authz.model import Verb
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult
from linewarden.diagnostics.probes.ports import ProbeRunner
from linewarden.diagnostics.probes.service import ProbeService
from linewarden.server.admission import AdmittedRequest
from linewarden.server.diagnostics.recorded_changes import Recorder, diagnostics_access

#: Probes of this process that run at once, each in a separate process. Further ones are refused.
MOST_AT_ONCE = 16

_LOST = ProbeResult(succeeded=False, values={"error": "worker_lost"})


class ProbeJobs:
    """The probes of this process."""

    def __init__(self, recorder: Recorder, probes: ProbeService, workers: ProbeRunner) -> None:
        self._recorder = recorder
        self._probes = probes
        self._workers = workers
        self._running: set[asyncio.Task[ProbeResult]] = set()

    async def probe(
        self, admitted: AdmittedRequest, id: str, order: ProbeOrder, about: Mapping[str, str]
    ) -> ProbeResult:
        """Run a probe between two entries.

        Raises:
            SubjectNotPermitted, RevisionMoved, LogUnavailable: see `Recorder.commit`.
            DiagnosticsError: see `ProbeService.begin`.
            DiagnosisUnavailable: too many probes run, or the worker disconnected.
        """
        if len(self._running) >= MOST_AT_ONCE:
            raise DiagnosisUnavailable
        access = diagnostics_access(admitted.tenant, Verb.RUN_PROBE)
        await self._recorder.commit(admitted, [access], lambda ctx: self._probes.begin(ctx, id, order), about)
        running = asyncio.create_task(self._run(admitted, id, order))
        self._running.add(running)
        running.add_done_callback(self._end)
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Wait for the running probes to end, each by its own timeout."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run(self, admitted: AdmittedRequest, id: str, order: ProbeOrder) -> ProbeResult:
        try:
            findings = await self._workers.probe(order)
        except DiagnosisUnavailable:
            await self._recorder.report(admitted, lambda ctx: self._probes.end(ctx, id, order, _LOST))
            raise
        await self._recorder.report(admitted, lambda ctx: self._probes.end(ctx, id, order, findings))
        return findings

    def _end(self, running: asyncio.Task[ProbeResult]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # or asyncio would log it as never retrieved

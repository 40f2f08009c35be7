"""ProbeService: questions to a device or server instead of a capture."""

from linewarden.diagnostics.probes.model import ProbeOrder
from linewarden.server.admission import AdmittedRequest
from linewarden.server.diagnostics.messages import PROBES, TRANSPORTS
from linewarden.server.diagnostics.rpc import DiagnosticsServicer, named_in
from linewarden.v1 import probe_pb2 as pb


class ProbeServicer(DiagnosticsServicer):
    """Serves RunProbe."""

    async def run_probe(self, admitted: AdmittedRequest, request: pb.RunProbeRequest) -> pb.RunProbeResponse:
        """Run a probe between two entries: its start and its result."""
        id = self._services.captures.new_id()
        transport = TRANSPORTS.get(request.transport)
        order = ProbeOrder(
            PROBES[request.kind],
            request.target,
            request.port,
            transport.value if transport else "any",
            request.timeout_ms / 1_000,
            request.worker,
        )
        result = await self._services.probe_jobs.probe(admitted, id, order, named_in(request))
        return pb.RunProbeResponse(probe_id=id, succeeded=result.succeeded, findings=result.values)

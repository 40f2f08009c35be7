"""The port of probes to workers, as a protocol."""

from typing import Protocol

from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult


class ProbeRunner(Protocol):
    """Runs probes on this host, whose worker name is empty, and on others."""

    def check_ready(self, worker: str) -> None:
        """Make sure that a probe can be started there.

        Raises:
            DiagnosisUnavailable: that worker is not connected.
        """
        ...

    async def probe(self, order: ProbeOrder) -> ProbeResult:
        """Run a probe at the host that its order names.

        Raises:
            DiagnosisUnavailable: that worker is not connected, or disconnected meanwhile.
        """
        ...

"""The workers that probes need, as a protocol."""

from typing import Protocol

from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult


class ProbeRunner(Protocol):
    """Runs probes on this host, whose worker name is empty, and on others."""

    def check_ready(self, worker: str) -> None:
        """Make sure that something can be started there.

        Raises:
            DiagnosisUnavailable: that worker is not there.
        """
        ...

    async def probe(self, order: ProbeOrder) -> ProbeResult:
        """Run a probe where its order says.

        Raises:
            DiagnosisUnavailable: that worker is not there, or left meanwhile.
        """
        ...

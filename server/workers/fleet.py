"""All workers: those of this host, and those of others."""

from pathlib import Path

from linewarden.diagnostics.ports import Order, RunningWorker
from linewarden.diagnostics.probes.model import Findings, ProbeOrder
from linewarden.diagnostics.session import Reader
from linewarden.diagnostics.worker_process import LocalWorkers
from linewarden.server.workers.hub import Hub


class Fleet:
    """Sends each order to where it belongs. All evidence ends in one folder, wherever it was made."""

    def __init__(self, here: LocalWorkers, elsewhere: Hub) -> None:
        self._here = here
        self._elsewhere = elsewhere

    def check_ready(self, worker: str) -> None:
        """Make sure that something can be started there.

        Raises:
            DiagnosisUnavailable: that worker is not there.
        """
        (self._elsewhere if worker else self._here).check_ready(worker)

    def check_readers(self, readers: tuple[Reader, ...]) -> None:
        """Make sure that evidence can be sealed for them.

        Raises:
            ReaderUnusable: a public key is none.
        """
        self._here.check_readers(readers)

    async def launch(self, order: Order, /, input_fd: int | None = None) -> RunningWorker:
        """Start a worker. `input_fd` is where the capture file of an order for one comes in; only this host takes any.

        Raises:
            DiagnosisUnavailable: it did not start.
        """
        if order.ticket.worker:
            return await self._elsewhere.launch(order)
        return await self._here.launch(order, input_fd)

    async def probe(self, order: ProbeOrder) -> Findings:
        """Run a probe where its order says.

        Raises:
            DiagnosisUnavailable: that worker is not there, or left meanwhile.
        """
        return await (self._elsewhere if order.worker else self._here).probe(order)

    def path(self, session: str) -> Path:
        """Where the sealed evidence of a session is."""
        return self._here.path(session)

    def delete(self, session: str) -> None:
        """Delete the evidence of a session, if there is any.

        Raises:
            DiagnosisUnavailable: it cannot be deleted.
        """
        self._here.delete(session)

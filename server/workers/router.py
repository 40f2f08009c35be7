"""All workers: those of this host, and those of others."""

from pathlib import Path

from linewarden.diagnostics.agent.local_workers import LocalWorkers
from linewarden.diagnostics.capture_model import Evidence, Reader
from linewarden.diagnostics.captures.ports import Order, RunningWorker
from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult
from linewarden.server.workers.remote_workers import RemoteWorkers


class WorkerRouter:
    """Sends each order to where it belongs. All evidence ends in one folder, wherever it was made."""

    def __init__(self, here: LocalWorkers, elsewhere: RemoteWorkers) -> None:
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
            DiagnosisUnavailable: it did not start. `detail` is the cause.
        """
        if order.ticket.worker:
            return await self._elsewhere.launch(order)
        return await self._here.launch(order, input_fd)

    async def probe(self, order: ProbeOrder) -> ProbeResult:
        """Run a probe where its order says.

        Raises:
            DiagnosisUnavailable: that worker is not there, or left meanwhile.
        """
        return await (self._elsewhere if order.worker else self._here).probe(order)

    def check_filter(self, expression: str) -> None:
        """Make sure that a filter expression compiles, here; libpcap is the same everywhere. Waits for a process.

        Raises:
            FilterInvalid: it does not.
            DiagnosisUnavailable: nobody can tell here, or now.
        """
        self._here.check_filter(expression)

    def folder(self) -> str:
        """Return the id of the folder where this process puts evidence.

        Raises:
            DiagnosisUnavailable: there is none that can be used.
        """
        return self._here.folder()

    def find(self, capture_id: str, folder: str) -> Path:
        """Return where the sealed evidence of a capture is.

        Raises:
            DiagnosisUnavailable: it is in the folder of another server.
        """
        return self._here.find(capture_id, folder)

    def recover(self, capture_id: str, folder: str) -> Evidence | None:
        """Return the evidence that a worker left which nobody watched; if it is not whole, nothing stays of it.

        Raises:
            DiagnosisUnavailable: it is in the folder of another server, cannot be read, or is still being made.
        """
        return self._here.recover(capture_id, folder)

    def delete(self, capture_id: str, folder: str) -> None:
        """Delete the evidence of a capture, if there is any.

        Raises:
            DiagnosisUnavailable: it is in the folder of another server, or cannot be deleted.
        """
        self._here.delete(capture_id, folder)

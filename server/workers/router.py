"""Router of orders to the workers of this host and of others."""

from pathlib import Path

from linewarden.diagnostics.agent.local_workers import LocalWorkers
from linewarden.diagnostics.capture_model import Evidence, Reader
from linewarden.diagnostics.captures.ports import Order, RunningWorker
from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult
from linewarden.server.workers.remote_workers import RemoteWorkers


class WorkerRouter:
    """Routes each order to its worker. All evidence ends in one folder of this process."""

    def __init__(self, local: LocalWorkers, remote: RemoteWorkers) -> None:
        self._local = local
        self._remote = remote

    def check_ready(self, worker: str) -> None:
        """Make sure that a capture or probe can be started there.

        Raises:
            DiagnosisUnavailable: that worker is not connected.
        """
        (self._remote if worker else self._local).check_ready(worker)

    def check_readers(self, readers: tuple[Reader, ...]) -> None:
        """Make sure that evidence can be sealed for them.

        Raises:
            ReaderUnusable: a public key is invalid.
        """
        self._local.check_readers(readers)

    async def launch(self, order: Order, /, input_fd: int | None = None) -> RunningWorker:
        """Start a worker. `input_fd` is the capture file to import, which only this host can do.

        Raises:
            DiagnosisUnavailable: the worker did not start. `detail` is the cause.
        """
        if order.ticket.worker:
            return await self._remote.launch(order)
        return await self._local.launch(order, input_fd)

    async def probe(self, order: ProbeOrder) -> ProbeResult:
        """Run a probe at the host that its order names.

        Raises:
            DiagnosisUnavailable: that worker is not connected, or disconnected meanwhile.
        """
        return await (self._remote if order.worker else self._local).probe(order)

    def check_filter(self, expression: str) -> None:
        """Make sure that a filter expression compiles with libpcap of this host. Wait for a process.

        Raises:
            FilterInvalid: the expression does not compile.
            DiagnosisUnavailable: the filter cannot be checked here, or not now.
        """
        self._local.check_filter(expression)

    def folder(self) -> str:
        """Return the id of the folder where this process stores evidence.

        Raises:
            DiagnosisUnavailable: the folder cannot be used.
        """
        return self._local.folder()

    def find(self, capture_id: str, folder: str) -> Path:
        """Return the path of the sealed evidence of a capture.

        Raises:
            DiagnosisUnavailable: the evidence is in the folder of another server.
        """
        return self._local.find(capture_id, folder)

    def recover(self, capture_id: str, folder: str) -> Evidence | None:
        """Return the evidence that an unwatched worker left behind. Incomplete evidence is deleted.

        Raises:
            DiagnosisUnavailable: the evidence is in the folder of another server, unreadable, or still being
            written.
        """
        return self._local.recover(capture_id, folder)

    def delete(self, capture_id: str, folder: str) -> None:
        """Delete the evidence of a capture, if there is any.

        Raises:
            DiagnosisUnavailable: the evidence is in the folder of another server, or cannot be deleted.
        """
        self._local.delete(capture_id, folder)

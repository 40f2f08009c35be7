"""Workers on this host: a process that captures, and one that seals its evidence, with a pipe between them.

This process never sees the evidence. If it dies, the worker loses its pipe and stops. The sealer reaches the end of its
input, closes the file and leaves its seal beside it, so the evidence is sealed all the same and found again.

    worker    --evidence pipe-->    sealer    -->    <capture>.pcapng.age, <capture>.seal
    ^ ticket, heartbeats  | counters, report  | seal: sizes, hashes
    +---- this process <--+-------------------+
"""

import io
from pathlib import Path

from linewarden.diagnostics.agent.local_worker import LocalWorker, start
from linewarden.diagnostics.capture_model import Evidence, Reader
from linewarden.diagnostics.captures.failures import CaptureFailure
from linewarden.diagnostics.captures.ports import Order
from linewarden.diagnostics.errors import DiagnosisUnavailable, FilterInvalid, ReaderUnusable
from linewarden.diagnostics.evidence.folder import EvidenceFolder
from linewarden.diagnostics.evidence.sealer import key_alone
from linewarden.diagnostics.evidence.sealing import ReaderInvalid, seal
from linewarden.diagnostics.packets.errors import FilterRefused, TicketRefused
from linewarden.diagnostics.packets.launch import check_filter
from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult
from linewarden.diagnostics.probes.process import run_probe


class LocalWorkers:
    """Starts workers on this host, and keeps sealed evidence in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = EvidenceFolder(folder)

    def check_readers(self, readers: tuple[Reader, ...]) -> None:
        """Check that evidence can be sealed for readers.

        Raises:
            ReaderUnusable: a public key is invalid.
        """
        try:
            seal(io.BytesIO(), io.BytesIO(), [key_alone(one.public_key) for one in readers], bytes(32))
        except ReaderInvalid:
            raise ReaderUnusable from None

    def check_filter(self, expression: str) -> None:
        """Check that a filter expression compiles. Wait for a process.

        Raises:
            FilterInvalid: the expression does not compile.
            DiagnosisUnavailable: no process can compile it here.
        """
        try:
            check_filter(expression)
        except FilterRefused:
            raise FilterInvalid from None
        except OSError:
            raise DiagnosisUnavailable from None

    def path(self, capture_id: str) -> Path:
        """The path of the sealed evidence of a capture."""
        return self._folder.path(capture_id)

    def folder(self) -> str:
        """The id of the folder of evidence.

        Raises:
            DiagnosisUnavailable: the folder is missing or unusable.
        """
        return self._folder.id()

    def find(self, capture_id: str, folder: str) -> Path:
        """Find the sealed evidence of a capture.

        Raises:
            DiagnosisUnavailable: it is in another folder.
        """
        return self._folder.find(capture_id, folder)

    def recover(self, capture_id: str, folder: str) -> Evidence | None:
        """Find the evidence of a worker whose server process ended; delete evidence that is incomplete.

        Raises:
            DiagnosisUnavailable: it is in another folder, cannot be read, or is still being made.
        """
        return self._folder.recover(capture_id, folder)

    def delete(self, capture_id: str, folder: str) -> None:
        """Delete the evidence of a capture, if it exists.

        Raises:
            DiagnosisUnavailable: it is in another folder, or cannot be deleted.
        """
        self._folder.delete(capture_id, folder)

    def check_ready(self, worker: str) -> None:
        """Check that a worker is on this host, which is always ready.

        Raises:
            DiagnosisUnavailable: the worker is on another host.
        """
        if worker:
            raise DiagnosisUnavailable

    async def probe(self, order: ProbeOrder) -> ProbeResult:
        """Run a probe in a process of its own."""
        return await run_probe(order)

    async def launch(self, order: Order, /, input_fd: int | None = None) -> LocalWorker:
        """Start a worker and its sealer. `input_fd` is the pipe with the capture file, for an order to import one.

        Raises:
            DiagnosisUnavailable: a process did not start. `detail` is the cause.
        """
        try:
            worker = await start(order, self._folder, input_fd)
        except TicketRefused:
            raise DiagnosisUnavailable(CaptureFailure.ORDER) from None
        except OSError:
            raise DiagnosisUnavailable(CaptureFailure.NOT_STARTED) from None
        await worker.begin()
        return worker

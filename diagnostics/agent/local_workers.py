"""Workers on this host: a process that captures, and one that seals what it makes, with a pipe between them.

This process never sees the evidence. Should it die, the worker loses its pipe and stops, the sealer finds the end of
its input, closes the file and leaves its seal beside it: what was captured is sealed all the same, and found again.

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
        """Make sure that evidence can be sealed for them.

        Raises:
            ReaderUnusable: a public key is none.
        """
        try:
            seal(io.BytesIO(), io.BytesIO(), [key_alone(one.public_key) for one in readers], bytes(32))
        except ReaderInvalid:
            raise ReaderUnusable from None

    def check_filter(self, expression: str) -> None:
        """Make sure that a filter expression compiles. Waits for a process.

        Raises:
            FilterInvalid: it does not.
            DiagnosisUnavailable: nobody can tell here, or now.
        """
        try:
            check_filter(expression)
        except FilterRefused:
            raise FilterInvalid from None
        except OSError:
            raise DiagnosisUnavailable from None

    def path(self, capture_id: str) -> Path:
        """Where sealed evidence of a capture is put."""
        return self._folder.path(capture_id)

    def folder(self) -> str:
        """The id of the folder of evidence.

        Raises:
            DiagnosisUnavailable: there is none that can be used.
        """
        return self._folder.id()

    def find(self, capture_id: str, folder: str) -> Path:
        """Where the sealed evidence of a capture is.

        Raises:
            DiagnosisUnavailable: it is in another folder.
        """
        return self._folder.find(capture_id, folder)

    def recover(self, capture_id: str, folder: str) -> Evidence | None:
        """The evidence that a worker left which nobody watched; if it is not whole, nothing stays of it.

        Raises:
            DiagnosisUnavailable: it is in another folder, cannot be read, or is still being made.
        """
        return self._folder.recover(capture_id, folder)

    def delete(self, capture_id: str, folder: str) -> None:
        """Delete the evidence of a capture, if there is any.

        Raises:
            DiagnosisUnavailable: it is in another folder, or cannot be deleted.
        """
        self._folder.delete(capture_id, folder)

    def check_ready(self, worker: str) -> None:
        """This host is always there. Workers of others are not started here.

        Raises:
            DiagnosisUnavailable: it is one of another host.
        """
        if worker:
            raise DiagnosisUnavailable

    async def probe(self, order: ProbeOrder) -> ProbeResult:
        """Run a probe in a process of its own."""
        return await run_probe(order)

    async def launch(self, order: Order, /, input_fd: int | None = None) -> LocalWorker:
        """Start a worker and its sealer. `input_fd` is where the capture file of an order for one comes in.

        Raises:
            DiagnosisUnavailable: they did not start. `detail` is the cause.
        """
        try:
            worker = await start(order, self._folder, input_fd)
        except TicketRefused:
            raise DiagnosisUnavailable(CaptureFailure.ORDER) from None
        except OSError:
            raise DiagnosisUnavailable(CaptureFailure.NOT_STARTED) from None
        await worker.begin()
        return worker

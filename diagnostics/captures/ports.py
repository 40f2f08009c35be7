"""The ports of captures to workers, as protocols."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from linewarden.diagnostics.capture_model import Evidence, Reader, Tally
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.packets.ticket import StartTicket

#: How long a worker captures without a heartbeat of the supervisor, which sends one every second; seconds.
LEASE_S = 10


@dataclass(frozen=True, slots=True)
class Order:
    """An order to capture: the ticket for the worker that it names, and the readers of the evidence."""

    ticket: StartTicket
    readers: tuple[Reader, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a worker. `evidence` is None if there is no evidence that can be relied on.

    `detail` is the cause of a failure, one of `failures`; empty without a failure.
    """

    reason: StopReason
    tally: Tally
    evidence: Evidence | None
    detail: str = ""


class RunningWorker(Protocol):
    """A worker that captures. It stops when it receives no heartbeat for the lease in its ticket."""

    def tally(self) -> Tally:
        """Return the counters of the last report of the worker."""
        ...

    def heartbeat(self, *, paused: bool) -> None:
        """Renew the lease of the worker. A paused worker takes no packets."""
        ...

    def stop(self, reason: StopReason) -> None:
        """Order the worker to stop; the first reason counts. LEASE_LOST closes its pipe without an order."""
        ...

    async def ended(self) -> Outcome:
        """Wait until the worker has ended and its evidence is sealed. A fault of the worker is not raised."""
        ...


class WorkerLauncher(Protocol):
    """Starts workers on this host and on others, and manages their evidence files.

    A worker of another host is known by its name; the empty name is this host. An evidence folder is known by its id.
    The empty id stands for any folder, because captures from before folders had an id have no other.
    """

    def check_ready(self, worker: str) -> None:
        """Make sure that a capture can be started there.

        Raises:
            DiagnosisUnavailable: that worker is not connected.
        """
        ...

    async def launch(self, order: Order, /, input_fd: int | None = None) -> RunningWorker:
        """Start a worker. `input_fd` is the capture file to import, if the order names one; the caller closes it.

        Raises:
            DiagnosisUnavailable: the worker did not start. `detail` is one of `failures`.
        """
        ...

    def check_readers(self, readers: tuple[Reader, ...]) -> None:
        """Make sure that evidence can be sealed for them.

        Raises:
            ReaderUnusable: a public key is invalid.
        """
        ...

    def check_filter(self, expression: str) -> None:
        """Make sure that a filter expression compiles. Waits for a process.

        Raises:
            FilterInvalid: the expression does not compile.
            DiagnosisUnavailable: the filter cannot be checked here, or not now.
        """
        ...

    def folder(self) -> str:
        """Return the id of the folder where this process stores evidence of all hosts.

        Raises:
            DiagnosisUnavailable: the folder cannot be used.
        """
        ...

    def find(self, capture: str, folder: str) -> Path:
        """Return the path of the sealed evidence of a capture.

        Raises:
            DiagnosisUnavailable: the evidence is in the folder of another server.
        """
        ...

    def recover(self, capture: str, folder: str) -> Evidence | None:
        """Return the evidence that an unwatched worker left behind. Incomplete evidence is deleted.

        Raises:
            DiagnosisUnavailable: the evidence is in the folder of another server, unreadable, or still being written.
        """
        ...

    def delete(self, capture: str, folder: str) -> None:
        """Delete the evidence of a capture, if there is any.

        Raises:
            DiagnosisUnavailable: the evidence is in the folder of another server, or cannot be deleted.
        """
        ...

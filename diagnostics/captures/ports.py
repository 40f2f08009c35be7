"""The workers that captures need, as protocols."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from linewarden.diagnostics.capture_model import Evidence, Reader, Tally
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.packets.ticket import StartTicket

#: How long a worker goes on capturing without a word from the supervisor, which speaks to it every second; seconds.
LEASE_S = 10


@dataclass(frozen=True, slots=True)
class Order:
    """A capture to be run: the ticket for the worker it names, and who can open what it makes."""

    ticket: StartTicket
    readers: tuple[Reader, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a worker ended. No evidence means that there is none that can be relied on.

    `detail` is what went wrong, if something did: one of `causes`.
    """

    reason: StopReason
    tally: Tally
    evidence: Evidence | None
    detail: str = ""


class RunningWorker(Protocol):
    """A worker that captures. It stops by itself when it is not heard from for the lease in its ticket."""

    def tally(self) -> Tally:
        """Return what happened to the packets, at the last word from the worker."""
        ...

    def heartbeat(self, *, paused: bool) -> None:
        """Let it go on for another lease, taking packets or not."""
        ...

    def stop(self, reason: StopReason) -> None:
        """Tell it to stop; the first reason counts. LEASE_LOST lets go of it, as if this process had ended."""
        ...

    async def ended(self) -> Outcome:
        """Wait until it has ended and its evidence is sealed. Never raises for what goes wrong with the worker."""
        ...


class WorkerLauncher(Protocol):
    """Starts workers on this host and others, and looks after the files they leave.

    A worker of another host is known by its name; the empty name is this host. A folder of evidence is known by its
    id; the empty id is that of captures from before folders had one, and is taken for any.
    """

    def check_ready(self, worker: str) -> None:
        """Make sure that something can be started there.

        Raises:
            DiagnosisUnavailable: that worker is not there.
        """
        ...

    async def launch(self, order: Order, /, input_fd: int | None = None) -> RunningWorker:
        """Start a worker. `input_fd` is where the capture file of an order for one comes in; it stays the caller's.

        Raises:
            DiagnosisUnavailable: it did not start. `detail` is one of `causes`.
        """
        ...

    def check_readers(self, readers: tuple[Reader, ...]) -> None:
        """Make sure that evidence can be sealed for them.

        Raises:
            ReaderUnusable: a public key is none.
        """
        ...

    def check_filter(self, expression: str) -> None:
        """Make sure that a filter expression compiles. Waits for a process.

        Raises:
            FilterInvalid: it does not.
            DiagnosisUnavailable: nobody can tell here, or now.
        """
        ...

    def folder(self) -> str:
        """Return the id of the folder where this process puts evidence, wherever it is made.

        Raises:
            DiagnosisUnavailable: there is none that can be used.
        """
        ...

    def find(self, capture: str, folder: str) -> Path:
        """Return where the sealed evidence of a capture is.

        Raises:
            DiagnosisUnavailable: it is in the folder of another server.
        """
        ...

    def recover(self, capture: str, folder: str) -> Evidence | None:
        """Return the evidence that a worker left which nobody watched; if it is not whole, nothing stays of it.

        Raises:
            DiagnosisUnavailable: it is in the folder of another server, cannot be read, or is still being made.
        """
        ...

    def delete(self, capture: str, folder: str) -> None:
        """Delete the evidence of a capture, if there is any.

        Raises:
            DiagnosisUnavailable: it is in the folder of another server, or cannot be deleted.
        """
        ...

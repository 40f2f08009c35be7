"""What diagnostics need of the world, as protocols. `fakes` of the tests and the real adapters both keep to them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from linewarden.diagnostics.capture.model import StopReason
from linewarden.diagnostics.capture.ticket import StartTicket
from linewarden.diagnostics.places import Place
from linewarden.diagnostics.probes.model import Findings, ProbeOrder
from linewarden.diagnostics.session import Evidence, Reader, Tally


@dataclass(frozen=True, slots=True)
class Order:
    """A capture to be run: the ticket for the worker it names, and who can open what it makes."""

    ticket: StartTicket
    readers: tuple[Reader, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a worker ended. No evidence means that there is none that can be relied on."""

    reason: StopReason
    tally: Tally
    evidence: Evidence | None


class RunningWorker(Protocol):
    """A worker that captures. It stops by itself when it is not heard from for the lease in its ticket."""

    def tally(self) -> Tally:
        """What happened to the packets, at the last word from the worker."""
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

    A worker of another host is known by its name; the empty name is this host.
    """

    def check_ready(self, worker: str) -> None:
        """Make sure that something can be started there.

        Raises:
            DiagnosisUnavailable: that worker is not there.
        """
        ...

    async def probe(self, order: ProbeOrder) -> Findings:
        """Run a probe where its order says.

        Raises:
            DiagnosisUnavailable: that worker is not there, or left meanwhile.
        """
        ...

    async def launch(self, order: Order, /, input_fd: int | None = None) -> RunningWorker:
        """Start a worker. `input_fd` is where the capture file of an order for one comes in; it stays the caller's.

        Raises:
            DiagnosisUnavailable: it did not start.
        """
        ...

    def check_readers(self, readers: tuple[Reader, ...]) -> None:
        """Make sure that evidence can be sealed for them.

        Raises:
            ReaderUnusable: a public key is none.
        """
        ...

    def path(self, session: str) -> Path:
        """Where the sealed evidence of a session is."""
        ...

    def delete(self, session: str) -> None:
        """Delete the evidence of a session, if there is any.

        Raises:
            DiagnosisUnavailable: it cannot be deleted.
        """
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """A person, and the circumstances in which it acted."""

    name: str
    purpose: str
    case: str
    zone: str


class Rights(Protocol):
    """What the policy in force says, asked again while a capture runs."""

    async def may_capture(self, log: int, session: str, standing: Standing, /) -> bool:
        """Whether the person may start this capture now.

        Raises:
            LogUnavailable: the policy cannot be read.
        """
        ...

    async def may_approve(self, log: int, session: str, standing: Standing, /) -> bool:
        """Whether the person may approve this capture now.

        Raises:
            LogUnavailable: the policy cannot be read.
        """
        ...


class Places(Protocol):
    """Where tenants may capture."""

    def of(self, tenant: str, /) -> Place:
        """What is the tenant's; an empty place if nothing is stated."""
        ...

"""The run of one capture: from the source through the mask to the evidence, until the first reason to stop.

The evidence is always closed with the packets that were masked by then, and has exactly one reason to stop. A fault in
reading a packet ends the capture, and that packet is not stored in any form.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from linewarden.diagnostics.packets.control import Orders, Status
from linewarden.diagnostics.packets.errors import CaptureError, EvidenceLost, FailureCode
from linewarden.diagnostics.packets.evidence import EvidenceWriter, Manifest
from linewarden.diagnostics.packets.mask import Masker
from linewarden.diagnostics.packets.model import Counters, Frame, StopReason, WorkerState
from linewarden.diagnostics.packets.pcapng import PAUSED, RESUMED
from linewarden.diagnostics.packets.source import Source
from linewarden.diagnostics.packets.ticket import StartTicket

_WAIT_SECONDS = 0.1
_TICK_SECONDS = 1.0
#: Reads without a packet after which a stopped source is empty. They take longer than the ring takes to close a block.
_QUIET_READS = 2


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The environment of the worker: pipes, clocks, disk and signals.

    `disk_free` is in bytes, None without a watched folder; `ended` says whether a signal requested the end.
    """

    orders: Orders
    status: Status
    now_ns: Callable[[], int]
    monotonic: Callable[[], float]
    disk_free: Callable[[], int | None]
    ended: Callable[[], bool]


class Worker:
    """One capture. Call `run` once."""

    def __init__(self, ticket: StartTicket, source: Source, writer: EvidenceWriter, world: Surroundings) -> None:
        """Source and writer must match the ticket."""
        self._limits = ticket.limits
        self._masker = Masker(ticket.profile, ticket.selector, ticket.limits.snaplen)
        self._source = source
        self._writer = writer
        self._world = world
        # Losses in a capture file happened before. They are reported, and do not count against the budget.
        self._counts_losses = bool(ticket.interface)
        self._paused = False
        self._known = 0
        self._delivered = self._written = self._not_selected = 0
        self._reason: StopReason | None = None
        self._detail = ""
        self._code = ""

    def run(self) -> StopReason:
        """Capture until there is a reason to stop, and close the evidence. Raise EvidenceLost."""
        self._world.status.state(WorkerState.RUNNING)
        self._guard(self._capture)
        self._world.status.state(WorkerState.STOPPING, self._reason or StopReason.ERROR)
        self._source.stop()
        self._guard(self._drain)
        return self._finish(self._reason or StopReason.ERROR)

    def _guard(self, phase: Callable[[], None]) -> None:
        """Run a phase. A fault stops the capture. Only its class is reported; its text could be captured data."""
        try:
            phase()
        except EvidenceLost:
            raise
        except CaptureError as error:
            self._reason, self._detail, self._code = self._reason or StopReason.ERROR, str(error), error.code
        except Exception as error:  # noqa: BLE001 - the evidence must be closed whatever is wrong
            self._reason, self._detail, self._code = StopReason.ERROR, type(error).__name__, FailureCode.FAULT

    def _capture(self) -> None:
        started = ticked = self._world.monotonic()
        while self._reason is None:
            if self._paused is not self._world.orders.paused:
                self._turn(paused=self._world.orders.paused)
            frames = self._next()
            if frames is None:
                # A file that is cut between two packets looks complete. Its sender orders a stop before it closes the
                # pipe.
                ordered = self._world.orders.stop_ordered(self._limits.lease_seconds)
                self._reason = ordered or StopReason.REQUESTED
                return
            self._take(frames)
            now = self._world.monotonic()
            if now - ticked >= _TICK_SECONDS:
                ticked = now
                self._tick()
            if self._reason is None:
                self._reason = self._outside_reason(now - started)

    def _next(self) -> list[Frame] | None:
        if self._paused:
            self._world.orders.wait(_WAIT_SECONDS)
            return []
        return self._source.read(_WAIT_SECONDS)

    def _turn(self, *, paused: bool) -> None:
        """Pause or resume. The evidence records when, because packets in between are not lost."""
        self._paused = paused
        if paused:
            self._source.pause()
            self._drain()
            self._note(PAUSED)
            self._world.status.state(WorkerState.PAUSED)
            return
        self._note(RESUMED)
        self._source.resume()
        self._world.status.state(WorkerState.RUNNING)

    def _note(self, what: str) -> None:
        self._announce_interfaces()
        self._writer.add_statistics(self._source.counters(), what, self._world.now_ns())

    def _outside_reason(self, seconds: float) -> StopReason | None:
        if self._world.ended():
            return StopReason.WORKER_LOST
        if seconds >= self._limits.seconds:
            return StopReason.TIME
        return self._world.orders.stop_ordered(self._limits.lease_seconds)

    def _tick(self) -> None:
        self._writer.flush()
        counters = self._counters()
        self._world.status.counters(counters)
        free = self._world.disk_free()
        if free is not None and free < self._limits.disk_free_min:
            self._reason = StopReason.DISK_LOW
        elif self._counts_losses and counters.dropped > self._limits.loss_budget:
            self._reason = StopReason.LOSS_BUDGET

    def _take(self, frames: list[Frame]) -> None:
        self._announce_interfaces()
        interfaces, mask, writer = self._source.interfaces, self._masker.mask, self._writer
        self._delivered += len(frames)
        for time_ns, data, original_length, number in frames:
            if not self._fits(len(data)):
                return
            masked = mask(interfaces[number].link_type, data)
            if masked is None:
                self._not_selected += 1
                continue
            writer.add_packet(number, time_ns, masked, original_length)
            self._written += 1
            if writer.full():
                writer.flush()

    def _fits(self, size: int) -> bool:
        """Return whether a packet of up to `size` bytes is within the limits. The first exceeded one is the reason."""
        if self._written >= self._limits.packets:
            self._reason = self._reason or StopReason.PACKETS
        elif self._writer.size + size + 64 > self._limits.bytes:
            self._reason = self._reason or StopReason.BYTES
        else:
            return True
        return False

    def _announce_interfaces(self) -> None:
        for described in self._source.interfaces[self._known :]:
            self._writer.add_interface(described)
            self._known += 1

    def _drain(self) -> None:
        quiet = 0
        while quiet < _QUIET_READS and (frames := self._source.read(_WAIT_SECONDS)) is not None:
            quiet = 0 if frames else quiet + 1
            self._take(frames)

    def _counters(self) -> Counters:
        source = self._source.counters()
        return Counters(
            received=sum(counted.received for counted in source),
            dropped=sum(counted.dropped for counted in source),
            delivered=self._delivered,
            written=self._written,
            not_selected=self._not_selected,
            over_limit=self._delivered - self._written - self._not_selected,
            unparsed=self._masker.unparsed,
            bytes=self._writer.size,
            rules=dict(self._masker.rules),
        )

    def _finish(self, reason: StopReason) -> StopReason:
        self._announce_interfaces()
        counters = self._counters()
        comment = f"stop reason: {reason}; not selected: {counters.not_selected}; over limit: {counters.over_limit}"
        manifest = self._writer.finish(self._source.counters(), comment, self._world.now_ns())
        self._source.close()
        report = _report(reason, (self._detail, self._code), counters, manifest)
        self._world.status.report(report, self._limits.lease_seconds)
        self._world.status.state(WorkerState.DONE, reason)
        return reason


def _report(reason: StopReason, fault: tuple[str, str], counters: Counters, manifest: Manifest) -> dict[str, Any]:
    detail, code = fault
    return {
        "stop_reason": reason,
        "detail": detail,
        "code": code,
        "counters": asdict(counters),
        "manifest": asdict(manifest),
    }

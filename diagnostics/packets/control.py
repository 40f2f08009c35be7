"""The pipes to the starter of the worker: orders in, states and counters out, as JSON lines.

    in     the ticket, then {"order": "heartbeat", "paused": false} or {"order": "stop", "reason": "..."}
    out    {"type": "state", ...}, {"type": "counters", ...}, {"type": "report", ...}

A closed pipe means that the starter is gone, so the worker stops. A line that does not parse stops it too.
"""

import json
import os
import select
import stat
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from linewarden.diagnostics.packets.errors import EvidenceLost, OrderInvalid, TicketRefused
from linewarden.diagnostics.packets.model import Counters, StopReason, WorkerState
from linewarden.diagnostics.packets.ticket import MAX_TICKET_BYTES

#: The reasons that an order may give. The worker itself gives the others.
ORDERED = frozenset(
    {
        StopReason.REQUESTED,
        StopReason.TIME,
        StopReason.BYTES,
        StopReason.DISK_LOW,
        StopReason.ATTESTATION_WITHDRAWN,
        StopReason.ATTESTATION_EXPIRED,
        StopReason.NOTICE_REPLACED,
        StopReason.APPROVER_LEFT,
        StopReason.POLICY_CHANGED,
        StopReason.ERROR,
    }
)

#: A line is shorter than a pipe takes at once (PIPE_BUF), so it is never written in part.
_MAX_LINE = 4_096
_MAX_BACKLOG = MAX_TICKET_BYTES + _MAX_LINE


class Orders:
    """The received orders, and the lease that they renew. `monotonic` is in seconds.

    `paused` is the state of the last heartbeat. Every heartbeat states it, so the next one corrects a lost one.
    """

    def __init__(self, fd: int, monotonic: Callable[[], float]) -> None:
        """Read from `fd`; the caller closes it."""
        self._fd = fd
        self._monotonic = monotonic
        self._backlog = b""
        self._heard = monotonic()
        self._closed = False
        self.paused = False

    def ticket(self, patience: float) -> str:
        """Return the first line. Raise TicketRefused if none arrives within `patience` seconds."""
        until = self._monotonic() + patience
        while b"\n" not in self._backlog:
            if self._closed or self._monotonic() >= until or len(self._backlog) > MAX_TICKET_BYTES:
                raise TicketRefused("no ticket arrived in time")
            self._receive(until - self._monotonic())
        line, _, self._backlog = self._backlog.partition(b"\n")
        return line.decode("ascii", "replace").strip()

    def stop_ordered(self, lease_seconds: float) -> StopReason | None:
        """Process the received orders; return the reason to stop, if any. Never wait. Raise OrderInvalid."""
        self._receive(0)
        while b"\n" in self._backlog:
            line, _, self._backlog = self._backlog.partition(b"\n")
            order = _order(line)
            if isinstance(order, StopReason):
                return order
            self.paused = order
            self._heard = self._monotonic()
        if self._closed or self._monotonic() - self._heard > lease_seconds:
            return StopReason.LEASE_LOST
        return None

    def wait(self, seconds: float) -> None:
        """Wait for an order, `seconds` at most."""
        if self._closed:
            return
        select.select([self._fd], [], [], seconds)

    def _receive(self, timeout: float) -> None:
        ready, _, _ = select.select([] if self._closed else [self._fd], [], [], max(0.0, timeout))
        if not ready:
            return
        data = os.read(self._fd, _MAX_BACKLOG)
        self._closed = not data
        self._backlog += data
        if len(self._backlog) > _MAX_BACKLOG:
            raise OrderInvalid("a line is too long")


class Status:
    """The sent states and counters. A line that is not read in time is dropped, because the worker does not wait."""

    def __init__(self, fd: int) -> None:
        """Write to `fd`; the caller closes it."""
        self._fd = fd

    def state(self, state: WorkerState, detail: str = "", code: str = "") -> None:
        """Send the state of the worker. `code` is a FailureCode when the worker refused its order or failed."""
        self._send({"type": "state", "state": state, "detail": detail, "code": code}, patience=1.0)

    def counters(self, counters: Counters) -> None:
        """Send the counters so far."""
        self._send({"type": "counters", **asdict(counters)}, patience=0)

    def report(self, report: dict[str, Any], patience: float) -> None:
        """Send the final report. Wait `patience` seconds for a reader."""
        self._send({"type": "report", **report}, patience=patience)

    def _send(self, message: dict[str, Any], patience: float) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        _, ready, _ = select.select([], [self._fd], [], patience)
        if ready and len(line) <= _MAX_LINE:
            try:
                os.write(self._fd, line)
            except BrokenPipeError:
                return


class PipeSink:
    """Writes the evidence into a pipe. It is lost if the pipe is not read for `patience` seconds."""

    def __init__(self, fd: int, patience: float) -> None:
        """Raise EvidenceLost if `fd` is not a pipe or socket, because this process writes no files."""
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            raise EvidenceLost("the evidence must go into a pipe")
        os.set_blocking(fd, False)
        self._fd = fd
        self._patience = patience

    def write(self, data: bytes) -> None:
        """Write all bytes. Raise EvidenceLost."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                if not select.select([], [self._fd], [], self._patience)[1]:
                    raise EvidenceLost("the evidence is not read") from None
            except OSError:
                raise EvidenceLost("the pipe of the evidence is closed") from None


def _order(line: bytes) -> StopReason | bool:
    """Return whether to pause for a heartbeat, or the reason for an order to stop."""
    try:
        order = json.loads(line)
    except (ValueError, RecursionError):
        raise OrderInvalid("not JSON") from None
    match order:
        case {"order": "heartbeat", "paused": bool(paused), **rest} if not rest:
            return paused
        case {"order": "stop", "reason": str(reason), **rest} if not rest and reason in ORDERED:
            return StopReason(reason)
    raise OrderInvalid("not an order")

"""`python -m linewarden.diagnostics.packets`: reads a ticket, opens its source, drops its rights, captures.

Exit status: 0 the evidence is closed, 1 the evidence was lost, 2 the worker refused to start. `--check-filter` captures
nothing; see `checking`.
"""

import argparse
import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType

from linewarden.diagnostics.packets.checking import check
from linewarden.diagnostics.packets.confine import confine
from linewarden.diagnostics.packets.control import Orders, PipeSink, Status
from linewarden.diagnostics.packets.errors import CaptureError, EvidenceLost, FailureCode, TicketRefused
from linewarden.diagnostics.packets.evidence import EvidenceWriter
from linewarden.diagnostics.packets.filters import CHECK_FILTER, filter_text
from linewarden.diagnostics.packets.input_stream import InputStream
from linewarden.diagnostics.packets.model import WorkerState
from linewarden.diagnostics.packets.source import Source
from linewarden.diagnostics.packets.source_file import FileSource
from linewarden.diagnostics.packets.source_live import LiveSource
from linewarden.diagnostics.packets.ticket import KEY_BYTES, StartTicket, open_ticket
from linewarden.diagnostics.packets.worker import Surroundings, Worker

_TICKET_PATIENCE_SECONDS = 10.0
_SMALL = 64


def main(arguments: list[str] | None = None) -> int:
    """Run one capture; return the exit status."""
    if (sys.argv[1:] if arguments is None else arguments) == [CHECK_FILTER]:
        return check(sys.stdin.fileno())
    options = _options(arguments)
    ending: list[int] = []
    _end_on_signals(ending)
    status = Status(sys.stdout.fileno())
    orders = Orders(sys.stdin.fileno(), time.monotonic)
    try:
        ticket = open_ticket(orders.ticket(_TICKET_PATIENCE_SECONDS), _key(options.key_fd), time.time_ns())
        worker = _worker(ticket, options, orders, status, ending)
    except CaptureError as error:
        status.state(WorkerState.REFUSED, str(error), error.code)
        return 2
    except OSError:
        status.state(WorkerState.REFUSED, "a pipe is not open", FailureCode.PIPE)
        return 2
    try:
        worker.run()
    except EvidenceLost as error:
        status.state(WorkerState.FAILED, str(error), error.code)
        return 1
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m linewarden.diagnostics.packets", description=__doc__)
    parser.add_argument("--key-fd", type=int, required=True, help="the pipe with the key of the ticket")
    parser.add_argument("--evidence-fd", type=int, required=True, help="the pipe that takes the evidence")
    parser.add_argument("--input-fd", type=int, help="the capture file to import")
    parser.add_argument("--disk-fd", type=int, help="the folder whose free space is watched")
    options = parser.parse_args(arguments)
    for name in ("key_fd", "evidence_fd", "input_fd", "disk_fd"):
        setattr(options, name, _lowered(getattr(options, name)))
    return options


def _lowered(fd: int | None) -> int | None:
    """Return the same descriptor under a small number, because `select` accepts only numbers up to 1,023."""
    if fd is None or fd < _SMALL:
        return fd
    low = os.dup(fd)
    os.close(fd)
    return low


def _worker(
    ticket: StartTicket, options: argparse.Namespace, orders: Orders, status: Status, ending: list[int]
) -> Worker:
    """Open everything that needs rights, then drop the rights."""
    sink = PipeSink(options.evidence_fd, ticket.limits.lease_seconds)
    expression = ticket.raw_filter or filter_text(ticket.selector)
    source = _source(ticket, expression, options.input_fd)
    confine()
    world = Surroundings(
        orders=orders,
        status=status,
        now_ns=time.time_ns,
        monotonic=time.monotonic,
        disk_free=lambda: _disk_free(options.disk_fd),
        ended=lambda: bool(ending),
    )
    return Worker(ticket, source, EvidenceWriter(ticket, expression, sink, time.time_ns()), world)


def _source(ticket: StartTicket, expression: str, input_fd: int | None) -> Source:
    if ticket.interface:
        return LiveSource(ticket.interface, expression)
    if input_fd is None:
        raise TicketRefused("the ticket is for a file, and --input-fd is missing")
    return FileSource(InputStream(input_fd, ticket.limits.lease_seconds, time.monotonic), expression)


def _key(fd: int) -> bytes:
    """Return the key. Read it to its end and close its descriptor."""
    with os.fdopen(fd, "rb") as pipe:
        return pipe.read(KEY_BYTES + 1)


def _disk_free(fd: int | None) -> int | None:
    if fd is None:
        return None
    with suppress(OSError):
        space = os.fstatvfs(fd)
        return space.f_bavail * space.f_frsize
    return 0


def _end_on_signals(ending: list[int]) -> None:
    def end(number: int, _frame: FrameType | None) -> None:
        ending.append(number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


if __name__ == "__main__":
    sys.exit(main())

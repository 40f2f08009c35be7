"""Launch of a worker as a child process, and of the check of a filter.

The worker inherits four pipes, no other descriptor, and a minimal environment. Its evidence may be passed to another
process, which can finish sealing after this process is gone.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass

from linewarden.diagnostics.packets.errors import FilterRefused
from linewarden.diagnostics.packets.filters import CHECK_FILTER, COMPILES, REFUSED
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.packets.ticket import StartTicket, sign_ticket

_MODULE = "linewarden.diagnostics.packets"
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

#: The time limit of the check of a filter, seconds, because the caller waits about ten.
_CHECK_S = 8.0
#: Checks that run at once; each takes one processor.
_CHECKS = threading.BoundedSemaphore(2)
#: The exit statuses of a check that ran out of time or memory.
_BROKEN = frozenset({-signal.SIGXCPU, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS})


@dataclass(slots=True)
class WorkerProcess:
    """A running worker. Read its status lines from `process.stdout` and its evidence from `evidence_fd`."""

    process: subprocess.Popen[bytes]
    evidence_fd: int

    def heartbeat(self, *, paused: bool = False) -> None:
        """Renew the lease. A paused worker takes no packets. Raise BrokenPipeError if the worker is gone."""
        self.send(json.dumps({"order": "heartbeat", "paused": paused}))

    def stop(self, reason: StopReason) -> None:
        """Order the worker to stop. Raise BrokenPipeError if the worker is gone."""
        self.send(json.dumps({"order": "stop", "reason": reason}))

    def send(self, line: str) -> None:
        """Send one control line. Raise BrokenPipeError if the worker is gone."""
        if self.process.stdin is None:
            raise BrokenPipeError
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


def start_worker(
    ticket: StartTicket, key: bytes, *, input_fd: int | None = None, disk_fd: int | None = None
) -> WorkerProcess:
    """Start a worker and send it the ticket. Its first status line says whether it accepts the ticket.

    `key` must be random and of KEY_BYTES, and used for this worker only. `input_fd` is the capture file for a ticket
    that names one; `disk_fd` is the open folder whose free space counts. Raises TicketRefused, OSError.
    """
    line = sign_ticket(ticket, key)
    key_reader, key_writer = os.pipe()
    evidence_reader, evidence_writer = os.pipe()
    _widen(evidence_writer)
    arguments = [f"--key-fd={key_reader}", f"--evidence-fd={evidence_writer}"]
    passed = [key_reader, evidence_writer]
    for name, fd in (("input", input_fd), ("disk", disk_fd)):
        if fd is not None:
            arguments.append(f"--{name}-fd={fd}")
            passed.append(fd)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module; all arguments are numbers
            [sys.executable, "-P", "-m", _MODULE, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A traceback could contain captured data.
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            pass_fds=passed,
            # A Ctrl-C that is meant for the starter must not end the worker.
            start_new_session=True,
        )
    except OSError:
        os.close(evidence_reader)
        raise
    finally:
        os.write(key_writer, key)
        for fd in (key_reader, key_writer, evidence_writer):
            os.close(fd)
    worker = WorkerProcess(process, evidence_reader)
    # A worker that has already ended has an exit status.
    with suppress(BrokenPipeError):
        worker.send(line)
    return worker


def check_filter(expression: str) -> None:
    """Check in a separate process that an expression compiles. Wait for it.

    Raise FilterRefused if it does not compile, or needs too much time or memory; OSError if it cannot be checked.
    """
    # A check never waits for another, because that would take a thread from the supervisor of captures.
    if not _CHECKS.acquire(blocking=False):
        raise TimeoutError("too many filters are checked at once; try again later")
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module; the expression is no argument
            [sys.executable, "-P", "-m", _MODULE, CHECK_FILTER],
            input=expression.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            timeout=_CHECK_S,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError("the check of the filter took too long") from None
    finally:
        _CHECKS.release()
    if done.returncode == REFUSED or done.returncode in _BROKEN:
        raise FilterRefused("the filter does not compile")
    if done.returncode != COMPILES:
        raise OSError("the filter could not be checked")


def _widen(pipe: int) -> None:
    """Enlarge the pipe, so that a busy reader does not fill the ring."""
    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return

"""Starts a worker as a child process: for whoever is to be its other end. Asks one whether a filter compiles.

The worker inherits four pipes and nothing else: no descriptor, no environment beyond a bare one. Its evidence may be
handed to another process, which can finish sealing when this one is gone.
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

#: How long the check of a filter may take, and wait for others, seconds: whoever asks has about ten.
_CHECK_S = 8.0
#: How many run at once: they cost a processor each.
_CHECKS = threading.BoundedSemaphore(2)
#: How a check ends that was not for such an expression: by time, or because memory ran out.
_BROKEN = frozenset({-signal.SIGXCPU, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS})


@dataclass(slots=True)
class WorkerProcess:
    """A running worker. `process.stdout` gives its status lines, `evidence_fd` its evidence; read both."""

    process: subprocess.Popen[bytes]
    evidence_fd: int

    def heartbeat(self, *, paused: bool = False) -> None:
        """Renew the lease, taking packets or not. Raises BrokenPipeError when the worker is gone."""
        self.send(json.dumps({"order": "heartbeat", "paused": paused}))

    def stop(self, reason: StopReason) -> None:
        """Order the end. Raises BrokenPipeError when the worker is gone."""
        self.send(json.dumps({"order": "stop", "reason": reason}))

    def send(self, line: str) -> None:
        """Send one line of control. Raises BrokenPipeError when the worker is gone."""
        if self.process.stdin is None:
            raise BrokenPipeError
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


def start_worker(
    ticket: StartTicket, key: bytes, *, input_fd: int | None = None, disk_fd: int | None = None
) -> WorkerProcess:
    """Return a worker that has got its ticket; whether it takes it, its first status line says.

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
            # What a fault of it says could be captured data.
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            pass_fds=passed,
            # A Ctrl-C meant for the starter must not look like the loss of the worker.
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
    # A worker that is gone already tells by its exit status.
    with suppress(BrokenPipeError):
        worker.send(line)
    return worker


def check_filter(expression: str) -> None:
    """Have an expression compiled, in a process that can do nothing else. Waits for it.

    Raises FilterRefused when it does not compile, or takes too much to do so; OSError when nobody can tell here or now.
    """
    # Nobody waits for a turn: waiting would take a thread from those who look after captures.
    if not _CHECKS.acquire(blocking=False):
        raise TimeoutError("too many filters are checked")
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
    """A longer pipe rides out a reader that is busy; without it the ring has to."""
    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return

"""Servers under measurement: started, waited for, and ended by the process that measures."""

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

_PATIENCE_S = 30


@contextmanager
def started(
    call: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Path, int]]:
    """Run a process until the end of the block; yield the file of its messages, and its process id."""
    messages = folder / "messages.txt"
    with messages.open("w") as file:
        process = subprocess.Popen(
            call, cwd=folder, env=os.environ | (environment or {}), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
        try:
            yield messages, process.pid
        finally:
            process.terminate()
            timer = threading.Timer(_PATIENCE_S, process.kill)
            timer.start()
            process.wait()
            timer.cancel()


def processor_s(process: int) -> tuple[float, float]:
    """Return the processor seconds of a process and its running descendants; NaN where the system reports none."""
    used: dict[int, float] = {}
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold anything; after it come state, parent … and user and system time.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        number = int(stat.parent.name)
        parents[number] = int(fields[1])
        used[number] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    own = used.pop(process, float("nan"))
    return own, sum(seconds for number, seconds in used.items() if process in _line(number, parents))


def _line(process: int, parents: Mapping[int, int]) -> Iterator[int]:
    while process:
        yield process
        process = parents.get(process, 0)


def address_in(messages: Path, pattern: str, patience_s: float = _PATIENCE_S) -> str:
    """Return the address in a server's messages: the first group of the pattern."""
    deadline = monotonic() + patience_s
    while monotonic() < deadline:
        if match := re.search(pattern, messages.read_text(encoding="utf-8", errors="replace")):
            return match[1]
        sleep(0.05)
    raise SystemExit(f"a server did not start; see {messages}")


def free_address() -> str:
    """Return a loopback address on which no process listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def await_listener(address: str) -> None:
    """Wait until a process listens on the address."""
    host, _, port = address.rpartition(":")
    deadline = monotonic() + _PATIENCE_S
    while monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            sleep(0.05)
        else:
            return
    raise SystemExit(f"no process listens on {address}; read the messages of the server")

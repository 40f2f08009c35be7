"""Load from outside the servers: one frame, repeated over many connections with many calls at a time.

h2load makes the load where it is installed. Otherwise Python processes make it, which need more processor time.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 60
_OWN_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """The number of connections, and of open calls on each."""

    connections: int
    calls: int

    def __str__(self) -> str:
        return f"{self.connections} of {self.calls}"


@dataclass(frozen=True, slots=True)
class Question:
    """A call that is repeated: `method` is the path of the URL, `frame` the file to send."""

    address: str
    method: str
    frame: Path
    token: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load. `body_bytes` counts all answers with their frames; times are of single calls."""

    calls: int
    seconds: float
    body_bytes: int
    mean_ms: float
    slowest_ms: float

    @property
    def rate(self) -> float:
        """The number of answers a second."""
        return self.calls / self.seconds


def generator() -> str:
    """Return the name and version of the program that makes the load."""
    tool = shutil.which("h2load")
    if tool is None:
        return f"{_OWN_PROCESSES} processes of our own (grpc.aio): h2load, of nghttp2, is not installed"
    return subprocess.run([tool, "--version"], check=True, capture_output=True, text=True).stdout.strip()


def press(question: Question, shape: Shape, calls: int) -> Load:
    """Make the calls.

    Raises:
        SystemExit: a call was not answered.
    """
    return _h2load(question, shape, calls) if shutil.which("h2load") else _own(question, shape, calls)


def _h2load(question: Question, shape: Shape, calls: int) -> Load:
    call = ["h2load", f"http://{question.address}/{question.method}", "-d", str(question.frame), "-n", str(calls)]
    call += ["-c", str(shape.connections), "-m", str(shape.calls), "-t", "1"]
    call += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    if question.token:
        call += ["-H", f"authorization: Bearer {question.token}"]
    done = subprocess.run(call, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    return parse_h2load(done.stdout, calls)


def parse_h2load(text: str, calls: int) -> Load:
    """Parse the summary that h2load prints.

    Raises:
        SystemExit: a call failed, or the text has an unknown format.
    """
    finished = re.search(r"finished in ([\d.]+)(us|ms|s)", text)
    succeeded = re.search(r"(\d+) succeeded, 0 failed, 0 errored, 0 timeout", text)
    body = re.search(r"\((\d+)\) data$", text, re.MULTILINE)
    times = re.search(r"time for request: +\S+ +([\d.]+)(us|ms|s) +([\d.]+)(us|ms|s)", text)
    if not (finished and succeeded and body and times) or int(succeeded[1]) != calls:
        raise SystemExit(f"h2load did not get all answers:\n{text}")
    slowest, mean = _ms(times[1], times[2]), _ms(times[3], times[4])
    return Load(calls, _ms(finished[1], finished[2]) / 1e3, int(body[1]), mean, slowest)


def _ms(number: str, unit: str) -> float:
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def _own(question: Question, shape: Shape, calls: int) -> Load:
    connections = -(-shape.connections // _OWN_PROCESSES)
    each = -(-calls // _OWN_PROCESSES)
    command = [sys.executable, str(Path(__file__).with_name("load_process.py")), question.address, question.method]
    command += [str(question.frame), str(connections), str(shape.calls), str(each)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(_OWN_PROCESSES)
    ]
    parts = [json.loads(one.communicate(question.token, timeout=_TIMEOUT_S)[0]) for one in processes]
    return Load(
        calls=each * _OWN_PROCESSES,
        seconds=max(part["end"] for part in parts) - min(part["start"] for part in parts),
        body_bytes=sum(part["body_bytes"] for part in parts),
        mean_ms=sum(part["mean_ms"] for part in parts) / len(parts),
        slowest_ms=max(part["slowest_ms"] for part in parts),
    )

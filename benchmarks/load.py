"""Load from outside the servers: one frame, repeated over many connections with many calls at a time.

h2load makes the load where it is installed. Otherwise Python processes make it, which need more processor time.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
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
    """A call that is repeated: `method` is the path of the URL, `frame` the file to send.

    `authority` is the file of the certificate that signed the server's; without one the call goes in plain text.
    """

    address: str
    method: str
    frame: Path
    token: str = ""
    authority: Path | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load. `body_bytes` counts all answers with their frames; times are of single calls.

    `p50_ms` and `p99_ms` are the times that 50 and 99 of 100 calls do not exceed.
    """

    calls: int
    seconds: float
    body_bytes: int
    p50_ms: float
    p99_ms: float

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
    scheme = "https" if question.authority else "http"
    call = ["h2load", f"{scheme}://{question.address}/{question.method}", "-d", str(question.frame), "-n", str(calls)]
    call += ["-c", str(shape.connections), "-m", str(shape.calls), "-t", "1"]
    call += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    if question.token:
        call += ["-H", f"authorization: Bearer {question.token}"]
    with tempfile.NamedTemporaryFile(prefix="h2load-") as times:
        call += [f"--log-file={times.name}"]
        done = subprocess.run(call, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
        return parse_h2load(done.stdout, calls, Path(times.name).read_text(encoding="ascii"))


def parse_h2load(text: str, calls: int, log: str) -> Load:
    """Parse the summary that h2load prints, and its log: start, status and time of each call, in microseconds.

    Raises:
        SystemExit: a call failed, or the text has an unknown format.
    """
    finished = re.search(r"finished in ([\d.]+)(us|ms|s)", text)
    succeeded = re.search(r"(\d+) succeeded, 0 failed, 0 errored, 0 timeout", text)
    body = re.search(r"\((\d+)\) data$", text, re.MULTILINE)
    times = [int(line.split()[2]) / 1e3 for line in log.splitlines()]
    if not (finished and succeeded and body) or int(succeeded[1]) != calls or len(times) != calls:
        raise SystemExit(f"h2load did not get all answers:\n{text}")
    return Load(calls, _ms(finished[1], finished[2]) / 1e3, int(body[1]), *percentiles(times))


def percentiles(times_ms: Sequence[float]) -> tuple[float, float]:
    """Return the times that 50 and 99 of 100 calls do not exceed."""
    ordered = sorted(times_ms)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


def _ms(number: str, unit: str) -> float:
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]


def _own(question: Question, shape: Shape, calls: int) -> Load:
    connections = -(-shape.connections // _OWN_PROCESSES)
    each = -(-calls // _OWN_PROCESSES)
    command = [sys.executable, str(Path(__file__).with_name("load_process.py")), question.address, question.method]
    command += [str(question.frame), str(connections), str(shape.calls), str(each), str(question.authority or "")]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(_OWN_PROCESSES)
    ]
    parts = [json.loads(one.communicate(question.token, timeout=_TIMEOUT_S)[0]) for one in processes]
    p50_ms, p99_ms = percentiles([one for part in parts for one in part["times_ms"]])
    return Load(
        calls=each * _OWN_PROCESSES,
        seconds=max(part["end"] for part in parts) - min(part["start"] for part in parts),
        body_bytes=sum(part["body_bytes"] for part in parts),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
    )

"""Running an analysis in a process of its own, with bounds: a capture that breaks the parser breaks nothing else.

The process sees the standard library and this package, because it starts without `site`: no installed library, and no
variable of the environment. That also makes it start in half the time.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from linewarden.diagnostics.analysis.outcome import NO_CALL, NO_CAPTURE, Form

#: Starts Python without `site`, installed libraries and variables of the environment.
INTERPRETER = (sys.executable, "-I", "-S", "-c")
#: Makes `linewarden` the package in the folder that the first argument names, and analyses.
START = """
import sys, types
package = sys.modules["linewarden"] = types.ModuleType("linewarden")
package.__path__ = [sys.argv.pop(1)]
from linewarden.diagnostics.analysis.__main__ import main
sys.exit(main())
"""
#: The folder of the package: of `diagnostics` and its neighbours.
PACKAGE = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of an analysis: bytes of memory, seconds of processor time and of the clock, bytes written.

    The memory is twice that of the worst capture known; see `Limits`.
    """

    memory: int = 1 << 30
    processor_s: int = 120
    clock_s: float = 180.0
    output: int = 256 << 20


class AnalysisRefused(Exception):
    """The file is not a capture, or has no such call."""


class AnalysisFailed(Exception):
    """The process crashed, or reached a bound."""


def analyse_apart(
    file: BinaryIO,
    form: Form,
    *,
    call_id: str = "",
    width: int = 80,
    timeline: bool = False,
    bounds: Bounds | None = None,
) -> bytes:
    """Analyse an open capture file; with `call_id` return the ladder of that call, as text at most `width` wide.

    With `timeline`, text and drawing show loss, jitter and score of the streams over time too. JSON always has them.

    Raises:
        AnalysisRefused: the file is not a capture, or has no such call.
        AnalysisFailed: the process crashed, or reached a bound. No part of its output is returned.
        OSError: no process can be started.
    """
    bounds = bounds or Bounds()
    arguments = [f"--form={form}", f"--call-id={call_id}", f"--width={width}"]
    arguments += ["--timeline"] if timeline else []
    arguments += [f"--memory={bounds.memory}", f"--seconds={bounds.processor_s}", f"--output={bounds.output}"]
    # Written to a file and not to a pipe, because the kernel bounds the size of files.
    with _unnamed_file() as made:
        status = _status_of(arguments, file, made, bounds.clock_s)
        if status == 0:
            made.seek(0)
            return made.read()
    if status == NO_CAPTURE:
        raise AnalysisRefused("the file is not a pcap or pcapng capture")
    if status == NO_CALL:
        raise AnalysisRefused("the capture has no call with this Call-ID")
    raise AnalysisFailed("the analysis broke off: the capture exceeds the bounds of an analysis, or is malicious")


def _unnamed_file() -> BinaryIO:
    """Return a file without a name; on Linux in memory, because the modules for temporary files load slowly."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("analysis"), "w+b")
    import tempfile  # noqa: PLC0415 - see above

    return tempfile.TemporaryFile()


def _status_of(arguments: list[str], file: BinaryIO, made: BinaryIO, clock_s: float) -> int | None:
    """The exit status; None after a timeout."""
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            [*INTERPRETER, START, PACKAGE, *arguments],
            stdin=file,
            stdout=made,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            cwd="/",
            timeout=clock_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.returncode

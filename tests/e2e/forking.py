"""A forking process that runs the installed command many times with one import.

Each child runs the installed script with its environment, standard files and exit. Only the imports are shared, which
take most of the time of a short command. As a script, this file is that process: it reads calls as JSON lines from
stdin and writes `{"code": …, "out": …, "err": …}` lines to stdout.
"""

import contextlib
import gc
import json
import os
import pkgutil
import runpy
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any


class Forking:
    """The process that forks; made at the first call, and again after a call that did not end."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], within_s: float) -> dict[str, Any]:
        """Run the command; return its exit code and its output.

        Raises:
            TimeoutError: it did not end in time. It is ended.
        """
        process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        call = {"arguments": list(arguments), "environment": dict(environment), "cwd": str(Path.cwd())}
        process.stdin.write(json.dumps(call).encode() + b"\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(within_s):
                self.close()
                raise TimeoutError(f"the command did not end: {' '.join(arguments)}")
        told: dict[str, Any] = json.loads(process.stdout.readline())
        return told

    def close(self) -> None:
        """End the process and its child."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)
            self._process.communicate()
            self._process = None

    def _started(self) -> "subprocess.Popen[bytes]":
        call = [sys.executable, __file__, self._command]
        self._process = subprocess.Popen(
            call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        return self._process


def main(command: str) -> None:
    """Serve calls until stdin ends."""
    (entry,) = entry_points(group="console_scripts", name=Path(command).name)
    entry.load()
    commands = import_module(entry.module)
    for module in pkgutil.walk_packages(commands.__path__, f"{entry.module}."):  # each is imported when it is run, else
        if not module.name.endswith("__main__"):
            import_module(module.name)
    gc.freeze()  # what is shared with the children stays shared
    calls = os.fdopen(os.dup(0), "rb", buffering=0)
    while line := calls.readline():
        folder = Path(tempfile.mkdtemp())
        child = os.fork()
        if child == 0:
            calls.close()
            _become(command, json.loads(line), folder)
            return
        _, status = os.waitpid(child, 0)
        told = {name: (folder / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err")}
        shutil.rmtree(folder)
        sys.stdout.write(json.dumps({"code": os.waitstatus_to_exitcode(status)} | told) + "\n")
        sys.stdout.flush()


def _become(command: str, call: dict[str, Any], folder: Path) -> None:
    """Run the installed script as if this process had been started for it."""
    files = {1: folder / "out", 2: folder / "err"}
    for number, path in files.items():
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(call["environment"])
    os.chdir(call["cwd"])
    sys.argv = [command, *call["arguments"]]
    runpy.run_path(command, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])

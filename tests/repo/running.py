"""A real server as the README describes it: `var/linewarden` in a scratch folder, on a free port."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deadlines import HANG_S
from tests.integration.forked_python import forked_commands, forked_python


@dataclass(frozen=True)
class Service:
    """A running server; `home` is the folder of its commands, `said` its messages about capture workers."""

    home: Path
    address: str
    said: str = ""

    def run(self, *call: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a program in the server's home, with this environment's commands on its path."""
        return subprocess.run(
            call,
            cwd=self.home,
            env=_environment() | {"LINEWARDEN_SERVER": self.address} | environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=HANG_S,
        )


def initialize(home: Path, folder: str = "var/linewarden") -> None:
    """Make a service, unless there is one."""
    call = [forked_python(), "-m", "linewarden.cli", "init", folder, "--keep"]
    subprocess.run(call, cwd=home, env=_environment(), check=True, timeout=HANG_S)


@contextmanager
def serving(home: Path, folder: str = "var/linewarden", **settings: str) -> Iterator[Service]:
    """Make a service and serve, as `make run` does; end it by SIGTERM. `settings` are environment variables."""
    initialize(home, folder)
    environment = _environment() | {"LINEWARDEN_LISTEN": "localhost:0"} | settings
    call = [forked_python(), "-m", "linewarden.cli", "serve", "--config", f"{folder}/linewarden.toml"]
    with subprocess.Popen(call, cwd=home, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            address = _address(server)
            more = "LINEWARDEN_CAPTURE_LISTEN" in settings and server.stderr
            yield Service(home, address, server.stderr.readline().strip() if more and server.stderr else "")
        finally:
            server.terminate()
            server.communicate(timeout=HANG_S)


@contextmanager
def attending(folder: Path) -> Iterator[None]:
    """Run the capture worker of a folder; end it by SIGTERM."""
    call = [forked_python(), "-m", "linewarden.cli", "worker", "run", str(folder)]
    with subprocess.Popen(call, env=_environment(), stderr=subprocess.PIPE, text=True) as worker:
        try:
            if not any("is connected to" in line for line in worker.stderr or ()):
                raise AssertionError("the worker does not attend")
            yield
        finally:
            worker.terminate()
            worker.communicate(timeout=HANG_S)


def _address(server: "subprocess.Popen[str]") -> str:
    for line in server.stderr or ():
        if match := re.search(r"serving on (\S+:\d+)", line):
            return match[1]
    raise AssertionError("the server did not start")


def _environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LINEWARDEN_")}
    path = (str(forked_commands()), str(Path(sys.executable).parent), os.environ["PATH"])
    return clean | {"PATH": os.pathsep.join(path)}

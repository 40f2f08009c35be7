"""The installed command, and a service that it made and runs."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deadlines import HANG_S
from tests.integration.forked_python import Done, forked_python, run_forked

COMMAND = str(Path(sys.executable).parent / "linewarden")
POLICY = Path(__file__).parents[2] / "examples/asterisk/company.policy"


def linewarden(*arguments: str, **environment: str) -> Done:
    """Run the installed command as a user does, off a terminal; its imports are shared with other runs."""
    done = run_forked(arguments, clean() | environment, HANG_S)
    assert "Traceback" not in done.err, done.err
    return done


def unread(*arguments: str, **environment: str) -> Done:
    """Run the command with a pipe as stdout whose reader has gone away."""
    return run_forked(arguments, clean() | environment, HANG_S, closed=True)


def linewarden_by_itself(*arguments: str, **environment: str) -> Done:
    """Run the installed command in a process that shares nothing with another."""
    done = subprocess.run(
        [COMMAND, *arguments], env=clean() | environment, capture_output=True, text=True, timeout=HANG_S, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def clean() -> dict[str, str]:
    """Return the environment without settings for other tests on this machine."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LINEWARDEN_")}


@dataclass(frozen=True)
class Service:
    """A running service with the tenant `acme`, and the environment of its clients."""

    folder: Path
    address: str
    process: "subprocess.Popen[bytes]"

    @property
    def config(self) -> str:
        """The settings file."""
        return str(self.folder / "linewarden.toml")

    def run(self, *arguments: str, subject: str = "erik", **environment: str) -> Done:
        """Run a client's command against the service."""
        return linewarden(*arguments, **(self.client(subject) | environment))

    def client(self, subject: str = "erik") -> dict[str, str]:
        """Return the environment of a client of the service."""
        return {
            "LINEWARDEN_SERVER": self.address,
            "LINEWARDEN_CA": str(self.folder / "tls/ca.crt"),
            "LINEWARDEN_KEY_FILE": str(self.folder / "secrets/api-key"),
            "LINEWARDEN_TENANT": "acme",
            "LINEWARDEN_SUBJECT": subject,
        }

    def operate(self, *arguments: str) -> Done:
        """Run an operator's command on the service's database."""
        return linewarden(*arguments, "--config", self.config)

    def stderr(self) -> str:
        """Return everything that the server has written to stderr."""
        return (self.folder / "stderr").read_text()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a new service, from `init` to SIGTERM."""
    folder = tmp_path_factory.mktemp("e2e") / "service"
    made = linewarden("init", str(folder), "--tenant", "acme", "--policy", str(POLICY))
    assert (made.code, made.out) == (0, "")
    environment = os.environ | {"LINEWARDEN_LISTEN": "localhost:0"}
    with (folder / "stderr").open("wb") as stderr:
        call = [forked_python(), "-m", "linewarden.cli", "serve", "--config", str(folder / "linewarden.toml")]
        process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=stderr, env=environment)
    try:
        yield Service(folder, address_of(folder / "stderr"), process)
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=HANG_S)
    assert (process.returncode, out) == (0, b"")


def address_of(stderr: Path) -> str:
    """Return the address in the server's messages."""
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        if match := re.search(r"serving on (\S+:\d+)", stderr.read_text()):
            return match[1]
        time.sleep(0.05)
    pytest.fail(f"the server did not start: {stderr.read_text()}")

"""Shared parts of the demonstration: the findings, the running service, and the command."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from acme import TENANT, Person
from rich.console import Console

from linewarden.client import Client

FOLDER = Path(__file__).resolve().parents[2] / ".demo"
DEADLINE_S = 20

#: The credentials of a call.
Metadata = tuple[tuple[str, str | bytes], ...]

console = Console(highlight=False)
if not console.is_terminal:
    console.width = 100


class Findings:
    """The expectations of the demonstration, with a count of the failed ones."""

    def __init__(self) -> None:
        self.failed = 0

    def expect(self, holds: bool, promise: str) -> None:
        """Show an expectation, and count it if it failed."""
        self.failed += not holds
        console.print(f"  [{'green]✓' if holds else 'bold red]✗'}[/] {promise}")


@dataclass(frozen=True)
class Site:
    """A running service: its folder, its address, a connection, and the credentials for calls."""

    service: Path
    address: str
    channel: grpc.Channel
    metadata: Metadata

    def client(self) -> Client:
        """Return the client of a backend; the caller closes it."""
        ca, key = ((self.service / name).read_bytes() for name in ("tls/ca.crt", "secrets/api-key"))
        return Client(self.address, key=key.decode(), ca=ca, tenant=TENANT)

    def options(self, person: Person) -> tuple[str, ...]:
        """Return the options with which a command reaches the service on behalf of a person."""
        secrets = ("--ca", str(self.service / "tls/ca.crt"), "--key-file", str(self.service / "secrets/api-key"))
        return ("--server", self.address, *secrets, "--tenant", TENANT, "--as", person.full)


@contextmanager
def connected(service: Path, address: str) -> Iterator[Site]:
    """Connect to the service at an address; the connection ends with the block."""
    roots = grpc.ssl_channel_credentials((service / "tls/ca.crt").read_bytes())
    key = (service / "secrets/api-key").read_text().strip()
    with grpc.secure_channel(address, roots) as channel:
        yield Site(service, address, channel, (("authorization", f"Bearer {key}"),))


def command(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run the command `linewarden` as a user does."""
    call = [sys.executable, "-m", "linewarden.cli", *arguments]
    done = subprocess.run(call, check=False, capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        raise SystemExit(f"linewarden {arguments[0]} failed: {done.stderr}")
    return done

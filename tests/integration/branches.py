"""A customer with a second host, for the integration tests of capture workers."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from linewarden.diagnostics.agent import connection_loop
from linewarden.diagnostics.agent.enrolment import Enrolment, read_enrolment
from linewarden.server.bootstrap import Running
from linewarden.server.tls import make_development_certificates
from linewarden.server.workers.certificates import make_authority
from linewarden.server.workers.enrolment import enrol
from linewarden.v1 import capture_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import Client, Site
from tests.integration.diagnosing import Diagnosing

PLACES = """
[acme]
interfaces = ["lo"]
hosts = ["127.0.0.1"]
[acme.workers]
branch = ["lo", "eth7"]
"""


class Branch:
    """A customer whose second host has a capture worker, and the server to which it connects."""

    def __init__(self, site: Site, acme: Diagnosing, running: Running) -> None:
        self.site = site
        self.acme = acme
        self.running = running
        self.folder = Path(site.settings.data_dir)
        self.welcomed = asyncio.Event()

    @property
    def evidence(self) -> Path:
        """The folder of sealed evidence at the server."""
        return self.folder / "evidence"

    def files(self) -> list[str]:
        """Return the names in that folder, except for the file with its id."""
        return sorted(one.name for one in self.evidence.glob("*") if one.name != "folder-id")

    def enrol(self, name: str = "branch", **more: Any) -> Enrolment:
        """Enrol a worker that may capture on lo."""
        folder = self.folder / f"{name}-{os.urandom(3).hex()}"
        usual: dict[str, Any] = {"servers": (f"localhost:{self.port}",), "interfaces": ("lo",)}
        trust = self.folder / "tls/ca.crt"
        enrol(self.site.settings, name, folder, trust=trust, **usual | more)
        return read_enrolment(folder)

    @property
    def port(self) -> int:
        """The port for workers."""
        return int(self.running.worker_address.rpartition(":")[2])

    @asynccontextmanager
    async def attending(self, enrolment: Enrolment | None = None) -> AsyncIterator[asyncio.Event]:
        """Run the worker in this process; the event ends it in order, cancelling its task ends it at once."""
        stop = asyncio.Event()
        self.welcomed.clear()
        task = asyncio.create_task(
            connection_loop.run(enrolment or self.enrol(), lambda _server: self.welcomed.set(), stop)
        )
        try:
            async with asyncio.timeout(HANG_S):
                await self.welcomed.wait()
            yield stop
        finally:
            stop.set()
            await task

    async def armed(self, **more: Any) -> str:
        """Return a capture for the worker that may be started."""
        return await self.acme.armed(**{"worker": "branch"} | more)

    async def started(self, **more: Any) -> str:
        """Return a capture that runs at the worker's host."""
        id = await self.armed(**more)
        assert (await self.acme.ask("StartCapture", capture_id=id)).capture.state == capture_pb2.CAPTURE_STATE_RUNNING
        return id

    async def attended(self, count: int) -> None:
        """Wait until the worker has connected so many times."""
        await until(lambda: self.kinds().count("worker.attended") >= count)

    def kinds(self) -> list[str]:
        """Return the kinds of the system log's entries."""
        return [entry["kind"] for entry in self.site.entries("")]


def prepare(site: Site) -> dict[str, Any]:
    """Make certificates for the workers' listener, and return the settings for it."""
    folder = Path(site.settings.data_dir)
    make_development_certificates(folder / "tls", datetime.now(UTC))
    make_authority(site.settings.capture_worker_ca, site.settings.capture_worker_ca_key, datetime.now(UTC))
    (folder / "branch.toml").write_text(PLACES)
    return {"capture_listen": "localhost:0", "places_file": folder / "branch.toml"}


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(HANG_S):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.05)


def worker_process(enrolment: Enrolment) -> "subprocess.Popen[bytes]":
    """Run a worker in a child process."""
    command = [sys.executable, "-m", "linewarden.cli", "worker", "run", str(enrolment.spool.parent)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def capture_processes(capture: str) -> list[str]:
    """Return the sealers of a capture, which live as long as its worker does."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{capture}.pcapng.age".encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def client_of(address: str, site: Site) -> Client:
    """Return a caller of a server."""
    return Client(address, site.token)

"""Failing and full disks, under load, again and again."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from linewarden.server.storage import open_storage
from tests.integration.conftest import Server, Site, make_site, processes
from tests.integration.disks import small_disk
from tests.integration.honest_disk import HonestDisk
from tests.integration.test_kill import Answered
from tests.soak.load import assert_kept, assert_verifies, children, load, until_answered

pytestmark = pytest.mark.soak

#: Errors that the system calls of a commit may return, for strace.
ERRORS = ("fsync,fdatasync:error=EIO:when=1+3", "pwrite64:error=ENOSPC:when=1+5", "pwrite64:error=EIO:when=1+5")


@pytest.fixture
def disk(tmp_path: Path) -> HonestDisk:
    """Return a disk that keeps only synced data."""
    return HonestDisk(tmp_path / "disk")


@pytest.fixture
def disk_site(disk: HonestDisk, tmp_path: Path) -> Site:
    """Return a service that was made on that disk and shut down cleanly."""
    with make_site(tmp_path / "site", f"sqlite:///{disk.files}/linewarden.db") as site:
        pass
    for file in disk.files.iterdir():
        shutil.copy(file, disk.left / file.name)
    return site


async def test_syncs_that_fail_lose_no_answer(
    disk: HonestDisk, disk_site: Site, tmp_path: Path, seconds: float
) -> None:
    """After failed syncs and kills, the data on the disk has every answer and verifies."""
    answered: Answered = {}
    site = disk_site
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await one_life(site, disk, answered)
    left = site.settings.model_copy(update={"database_url": f"sqlite:///{disk.left}/linewarden.db"})
    storage = open_storage(left)
    try:
        assert_kept(Site(left, storage, site.token), answered)
    finally:
        storage.close()
    assert answered
    await assert_verifies(site, tmp_path / "export", LINEWARDEN_DATABASE_URL=left.database_url)


async def one_life(site: Site, disk: HonestDisk, answered: Answered) -> None:
    """Serve with two workers under occasional sync failures, then kill all processes."""
    server = Server(site, LINEWARDEN_WORKERS="2", **disk.environment)
    try:
        await server.ready()
        async with load(site, lambda: server.address, answered):
            await until_answered(answered)
            for _ in range(random.randrange(1, 5)):
                disk.switch.write_text("-wal" if random.random() < 0.7 else "")
                await asyncio.sleep(random.uniform(0.01, 0.8))
                if random.random() < 0.3:
                    break
                disk.switch.unlink()
                await until_answered(answered)
                await asyncio.sleep(random.uniform(0.01, 0.5))
            for pid in (*children(server), server.process.pid):
                os.kill(pid, signal.SIGKILL)
    finally:
        server.kill()
        disk.switch.unlink(missing_ok=True)


async def assert_survived(
    site: Site, fault: Callable[[Server], AbstractAsyncContextManager[None]], tmp: Path, seconds: float
) -> None:
    """Begin and end a fault under load, repeatedly; check for answers after each end."""
    answered: Answered = {}
    async with processes(site) as (server,), load(site, lambda: server.address, answered):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await until_answered(answered)
            async with fault(server):
                await asyncio.sleep(random.uniform(0.1, 1.5))
            await until_answered(answered)
        assert server.process.poll() is None
    assert answered
    assert_kept(site, answered)
    await assert_verifies(site, tmp / "export")


@pytest.fixture
def full_site(tmp_path: Path) -> Iterator[Site]:
    """Yield a service whose database is on a small disk."""
    with (
        small_disk(tmp_path / "small", "300m") as folder,
        make_site(tmp_path / "site", f"sqlite:///{folder}/linewarden.db") as made,
    ):
        yield made


async def test_a_disk_that_fills_up_loses_no_answer(full_site: Site, tmp_path: Path, seconds: float) -> None:
    """The service recovers each time a full disk gets room again, without losing an answer."""
    filler = tmp_path / "small/filler"
    await assert_survived(full_site, lambda _server: fill(filler), tmp_path, seconds)


@asynccontextmanager
async def fill(filler: Path) -> AsyncIterator[None]:
    """Fill the disk to its last byte."""
    try:
        with filler.open("wb", buffering=0) as file:
            for piece in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(piece))
                except OSError:
                    continue
        yield
    finally:
        await asyncio.to_thread(filler.unlink)


@pytest.mark.parametrize("errors", ERRORS)
async def test_system_calls_that_fail_lose_no_answer(
    sqlite_site: Site, tmp_path: Path, seconds: float, errors: str
) -> None:
    """Calls end with UNAVAILABLE while the kernel refuses a system call of a commit, and no answer is lost."""
    if shutil.which("strace") is None:
        pytest.skip("install strace to let system calls fail")
    await assert_survived(sqlite_site, lambda server: traced(errors, server.process.pid), tmp_path, seconds)


@asynccontextmanager
async def traced(errors: str, pid: int) -> AsyncIterator[None]:
    """Make system calls of the server's process fail."""
    call = [
        "strace",
        "-f",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        f"trace={errors.partition(':')[0]}",
        "-e",
        f"inject={errors}",
    ]
    tracer = await asyncio.create_subprocess_exec(*call, "-p", str(pid), stderr=subprocess.PIPE)
    try:
        yield
    finally:
        if tracer.returncode is None:
            tracer.send_signal(signal.SIGINT)
        await tracer.communicate()

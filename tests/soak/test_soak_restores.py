"""Databases restored as operators and accidents do it: whole files, a lost WAL, an older base backup."""

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path

import grpc
import pytest

from tests.deadlines import HANG_S
from tests.integration.conftest import Client, Server, Site, make_site, processes, refusal_of
from tests.integration.test_faults import Postgres

pytestmark = pytest.mark.soak

RULE = "bind dora role:user"


async def load(client: Client, seconds: float) -> int:
    """Ask for some seconds; return the number of answers."""
    count, until = 0, asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        await client.check("bob", "play", "voicemail", f"{count}", owner="bob")
        count += 1
    return count


async def reasons(client: Client, count: int = 10) -> set[str]:
    """Return the outcomes of checks of the removed rule: reasons of refusals, or `answered`."""
    found = set()
    for _ in range(count):
        try:
            await client.check("dora", "play", "voicemail", "1", owner="dora")
            found.add("answered")
        except grpc.aio.AioRpcError as error:
            found.add(refusal_of(error).reason)
    return found


def copy_files(site: Site, target: Path) -> None:
    """Copy the database file with its WAL."""
    target.mkdir()
    database = Path(site.settings.database_url.removeprefix("sqlite:///"))
    for file in (database, Path(f"{database}-wal")):
        if file.exists():
            shutil.copy2(file, target)


def kill(servers: list[Server]) -> None:
    """Kill all processes as a power cut would, also the children of a server."""
    for server in servers:
        pid = server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in map(int, children):
            os.kill(child, signal.SIGKILL)
        server.kill()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_an_older_file_gives_no_answers(sqlite_site: Site, tmp_path: Path, workers: str) -> None:
    """Every process refuses each call after the file of the last night replaced that of the day."""
    site = sqlite_site
    async with processes(site, LINEWARDEN_WORKERS=workers) as servers, Client(servers[0].address, site.token) as client:
        await client.change(add=[RULE])
        await load(client, 1)
    copy_files(site, tmp_path / "backup")
    async with processes(site, LINEWARDEN_WORKERS=workers) as servers, Client(servers[0].address, site.token) as client:
        await client.change(remove=[RULE])
        await load(client, 3)
        kill(servers)
    site.storage.close()
    database = Path(site.settings.database_url.removeprefix("sqlite:///"))
    for file in database.parent.glob(f"{database.name}-*"):
        file.unlink()
    for file in (tmp_path / "backup").iterdir():
        shutil.copy2(file, database.parent)
    async with processes(site, LINEWARDEN_WORKERS=workers) as servers:
        for _ in range(4):
            async with Client(servers[0].address, site.token) as client:
                assert await reasons(client) == {"LOG_ROLLED_BACK"}
        assert "log_rolled_back" in servers[0].stderr()


@pytest.mark.parametrize("load_s", [0.2, 3.0])
async def test_a_lost_wal_gives_no_answers(sqlite_site: Site, load_s: float) -> None:
    """The server gives no answer after its processes were killed and the WAL was deleted."""
    site = sqlite_site
    site.storage.close()
    async with processes(site) as servers, Client(servers[0].address, site.token) as client:
        assert await load(client, load_s) > 0
        kill(servers)
    database = Path(site.settings.database_url.removeprefix("sqlite:///"))
    await asyncio.to_thread(Path(f"{database}-wal").unlink)
    async with processes(site) as servers, Client(servers[0].address, site.token) as client:
        assert await reasons(client) == {"LOG_ROLLED_BACK"}


def test_an_older_base_backup_gives_no_answers(tmp_path: Path) -> None:
    """The server gives no answer after PostgreSQL was restored from an older base backup."""
    with tempfile.TemporaryDirectory(prefix="lwpg") as folder:
        postgres = Postgres(folder)
        try:
            with make_site(tmp_path / "site", postgres.url) as site:
                asyncio.run(_restored(site, postgres, folder, tmp_path))
        finally:
            postgres.cleanup()


async def _restored(site: Site, postgres: Postgres, folder: str, tmp_path: Path) -> None:
    async with processes(site, 2) as servers, Client(servers[0].address, site.token) as client:
        await client.change(add=[RULE])
        await asyncio.to_thread(postgres.stop)
        await copied(Path(folder), tmp_path / "base")
        await asyncio.to_thread(postgres.start)
        await until_answered(client)
        await client.change(remove=[RULE])
        await load(client, 2)
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(shutil.rmtree, folder)
        await copied(tmp_path / "base", Path(folder))
        await asyncio.to_thread(postgres.start)
        await until_reachable(client)
        for server in servers:
            async with Client(server.address, site.token) as other:
                await until_reachable(other)
                assert await reasons(other) == {"LOG_ROLLED_BACK"}
        kill(servers)
    async with processes(site) as servers, Client(servers[0].address, site.token) as client:
        assert await reasons(client) == {"LOG_ROLLED_BACK"}


async def copied(source: Path, target: Path) -> None:
    """Copy a folder with its owners, because the server has a separate account."""
    copying = await asyncio.create_subprocess_exec("cp", "-a", str(source), str(target))
    assert await copying.wait() == 0


async def until_answered(client: Client) -> None:
    """Wait until the service has recovered."""
    async with asyncio.timeout(HANG_S):
        while await reasons(client, 1) != {"answered"}:  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.1)


async def until_reachable(client: Client) -> None:
    """Wait until the database can be reached; no answer may come."""
    async with asyncio.timeout(HANG_S):
        while (found := await reasons(client, 1)) != {"LOG_ROLLED_BACK"}:
            assert "answered" not in found
            await asyncio.sleep(0.1)

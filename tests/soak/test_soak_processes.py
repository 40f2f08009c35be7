"""Processes that are killed or stopped under load, again and again."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.conftest import Server, Site, make_site, processes
from tests.integration.test_kill import Answered
from tests.soak.load import assert_kept, assert_verifies, children, load, until_answered

pytestmark = pytest.mark.soak


async def test_killed_processes_lose_no_answer(site: Site, tmp_path: Path, seconds: float) -> None:
    """Every answer is in a log that verifies after any order of kills of server, worker and housekeeper."""
    answered: Answered = {}
    server = Server(site, LINEWARDEN_WORKERS="2")
    await server.ready()
    try:
        async with load(site, lambda: server.address, answered):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                await until_answered(answered)
                await asyncio.sleep(random.uniform(0.05, 1.0))
                victim = random.choice([server.process.pid, *children(server)])
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                if victim == server.process.pid:
                    await server.ended()
                    server = Server(site, LINEWARDEN_WORKERS="2")
                    await server.ready()
    finally:
        server.kill()
    assert answered
    assert_kept(site, answered)
    await assert_verifies(site, tmp_path / "export")


@pytest.fixture
def shared_site(tmp_path: Path, postgres_url: str) -> Iterator[Site]:
    """Yield a service on PostgreSQL, for several servers."""
    with make_site(tmp_path / "site", postgres_url) as made:
        yield made


async def test_a_server_that_freezes_stops_no_other(shared_site: Site, tmp_path: Path, seconds: float) -> None:
    """A server goes on while another is stopped for seconds at a time, inside a transaction or not."""
    answered: Answered = {}
    everywhere: Answered = {}
    async with (
        processes(shared_site, 2) as (first, second),
        load(shared_site, lambda: first.address, everywhere),
        load(shared_site, lambda: second.address, answered),
    ):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(random.uniform(0.05, 0.5))
            first.process.send_signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(random.uniform(0.0, 1.0))
                await until_answered(answered)
            finally:
                first.process.send_signal(signal.SIGCONT)
            await until_answered(everywhere)
    assert_kept(shared_site, answered | everywhere)
    await assert_verifies(shared_site, tmp_path / "export")

"""Callers that go on through every fault of the service, and their answers."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from linewarden.audit.verify import verify_export
from tests.deadlines import HANG_S
from tests.integration.conftest import Client, Server, Site, processes
from tests.integration.test_kill import Answered, effects_by_decision

#: Callers at a time.
CALLERS = 8

#: Seconds within which the service must answer again after a fault, also on a busy machine.
BACK_S = 60.0


async def ask_on(address: Callable[[], str], token: str, name: str, answered: Answered, stop: asyncio.Event) -> None:
    """Ask until told to stop, and note each answer as it comes; after an error ask another running server."""
    for number in itertools.count():
        if stop.is_set():
            return
        async with Client(address(), token) as client:
            while not stop.is_set():
                request_id = f"{name}-{number}-{random.getrandbits(48):x}"
                owner = random.choice(["bob", "carol", f"{name}-{number}"])
                try:
                    answer = await client.check("bob", "play", "voicemail", "1", owner=owner, request_id=request_id)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.05)
                    break
                answered[request_id] = [(answer.decision.id, answer.decision.effect)]


@asynccontextmanager
async def load(site: Site, address: Callable[[], str], answered: Answered) -> AsyncIterator[None]:
    """Run callers in the background."""
    stop = asyncio.Event()
    callers = [asyncio.create_task(ask_on(address, site.token, f"c{n}", answered, stop)) for n in range(CALLERS)]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*callers), HANG_S)


async def until_answered(answered: Answered) -> None:
    """Wait for another answer, which must come in bounded time."""
    before, end = len(answered), time.monotonic() + BACK_S
    while len(answered) == before:
        assert time.monotonic() < end, "the service did not come back"
        await asyncio.sleep(0.05)


def assert_kept(site: Site, answered: Answered) -> None:
    """Check that every answer is in the log with its effect."""
    logged = effects_by_decision(site)
    lost = [id for id, decisions in answered.items() if any(logged.get((id, d)) != effect for d, effect in decisions)]
    assert not lost, f"{len(lost)} of {len(answered)} answers are not in the log"


async def assert_verifies(site: Site, folder: Path, **environment: str) -> None:
    """Check that a newly started server exports a log that verifies."""
    async with processes(site, 1, **environment) as (server,), Client(server.address, site.token) as client:
        key = await client.export(folder)
        assert verify_export(folder, key).size > 0


def children(server: Server) -> dict[int, str]:
    """Return the child processes of a server, with their command lines."""
    pid = server.process.pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(one): Path(f"/proc/{one}/cmdline").read_text().replace("\0", " ") for one in found}

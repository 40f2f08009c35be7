"""kill -9 at any moment: every sent answer is in the log, and the log verifies."""

import asyncio
import itertools
import random
from pathlib import Path

import grpc
import pytest

from linewarden.audit.verify import verify_export
from linewarden.server.names import EFFECT_NUMBERS
from linewarden.v1 import access_pb2, core_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import TENANT, Client, Server, Site, check_request, processes
from tests.integration.forked_python import forked_python

pytestmark = pytest.mark.usefixtures("each_transport")

#: Kills of a server; `tests/soak/test_soak_processes.py` goes on for minutes.
ROUNDS = {"sqlite": 4, "postgresql": 3}
CALLERS = 12

#: The answers: request id -> decision ids and effects.
Answered = dict[str, list[tuple[str, int]]]


async def ask_until_killed(client: Client, name: str, answered: Answered) -> None:
    """Ask without pause, singly and in batches, and note each answer when it arrives."""
    for number in itertools.count():
        request_id = f"{name}-{number}"
        # A new person from time to time, because introductions are entries, too, and must come exactly once.
        owner = random.choice(["bob", "carol", f"{name}-{number // 20}"])
        one = check_request("bob", "play", "voicemail", f"default/101/{number}", owner=owner, request_id=request_id)
        try:
            if number % 3:
                answer = await client.call(client.access.Check, one)
                decisions = [answer.decision]
            else:
                items = [access_pb2.CheckItem(verb=one.verb, resource=one.resource)] * 3
                batch = access_pb2.CheckBatchRequest(
                    header=core_pb2.RequestHeader(tenant=TENANT, subject=one.header.subject, request_id=request_id),
                    items=items,
                )
                decisions = (await client.call(client.access.CheckBatch, batch)).decisions
        except grpc.aio.AioRpcError:
            return
        answered[request_id] = [(decision.id, decision.effect) for decision in decisions]


async def one_round(site: Site, server: Server, number: int, answered: Answered) -> str:
    """Load a server and kill it; return a checkpoint from the time before the load."""
    address = await server.ready()
    async with Client(address, site.token) as client:
        checkpoint = (await client.checkpoint()).checkpoint
        callers = [
            asyncio.create_task(ask_until_killed(client, f"r{number}c{caller}", answered)) for caller in range(CALLERS)
        ]
        before = len(answered)
        while len(answered) == before:  # noqa: ASYNC110 - no event says so; a slow machine gets its time
            await asyncio.sleep(random.Random(number).uniform(0.05, 0.6))
        server.process.kill()
        await asyncio.wait_for(asyncio.gather(*callers), HANG_S)
        await server.ended()
    return checkpoint


@pytest.mark.slow
async def test_what_was_answered_survives_kill_9(site: Site, tmp_path: Path) -> None:
    """Every answer before a kill is in the log with its effect, and the dense log extends each checkpoint."""
    answered: Answered = {}
    checkpoints: list[str] = []
    stderr = ""
    for number in range(ROUNDS[site.storage.log._engine.dialect.name]):
        server = Server(site, python=forked_python())
        checkpoints.append(await one_round(site, server, number, answered))
        stderr += server.stderr()
    assert len(answered) >= len(checkpoints)
    logged = effects_by_decision(site)
    wrong = {
        request_id: decisions
        for request_id, decisions in answered.items()
        if any(logged.get((request_id, id)) != effect for id, effect in decisions)
    }
    assert not wrong
    assert len({id for decisions in answered.values() for id, _ in decisions}) == sum(map(len, answered.values()))
    async with processes(site, python=forked_python()) as (server,), Client(server.address, site.token) as client:
        key = await client.export(tmp_path / "export")
        for checkpoint in checkpoints[:: max(1, len(checkpoints) // 4)]:
            report = verify_export(tmp_path / "export", key, old_checkpoint=checkpoint)
        assert report.size == site.storage.log.head_of(TENANT).size
        stderr += server.stderr()
    assert "housekeeping_fault" not in stderr
    assert "internal_fault" not in stderr


def effects_by_decision(site: Site) -> dict[tuple[str, str], int]:
    """Return the effects in the log, by request id and decision id."""
    effects: dict[tuple[str, str], int] = {}
    for index, entry in enumerate(site.entries()):
        items = entry.get("items", ())
        for item, decision in enumerate(items):
            id = f"{index}.{item}" if len(items) > 1 else str(index)
            effects[entry["request_id"], id] = EFFECT_NUMBERS[decision["effect"]]
    return effects

"""The peak memory of a server under every known attack of one tenant at once, for a minute."""

import asyncio
import itertools
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import pytest

from linewarden.audit import directory
from linewarden.authz import snapshot
from linewarden.server.names import TYPE_NUMBERS, VERB_NUMBERS
from linewarden.v1 import access_pb2, core_pb2, policy_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import TENANT, Client, Site, make_site, person, processes

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))

#: Memory of an idle server, and the addition that open requests and the interpreter's reserves may make.
START_BYTES = 160 << 20
UNDER_WAY_BYTES = 96 << 20

#: A statement in force, compiled. The policy here has some ten thousand.
STATEMENT_BYTES = 2_000

ROLES, ZONES, PERSONS = 4, 240, 2_000

pytestmark = pytest.mark.soak


def statements() -> list[list[str]]:
    """Return policies within the limits: many rules for all items, many roles of many persons, many single items."""
    zones = [f"allow role:z{r} play recording any if zone=z{n}" for r in range(ROLES) for n in range(ZONES)]
    bindings = [f"bind p{n} role:z{r}" for n in range(PERSONS) for r in range(ROLES)]
    items = [f"allow role:z0 play recording id:i{n}" for n in range(2_000)]
    lines = [*zones, *bindings, *items]
    return [lines[start : start + 900] for start in range(0, len(lines), 900)]


def memory_of(pid: int, field: str = "VmHWM") -> int:
    """Return a figure of a process in bytes; VmHWM is its peak memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


def check(subject: str, id: str, zone: str) -> access_pb2.CheckRequest:
    """Return a question about a recording."""
    return access_pb2.CheckRequest(
        header=core_pb2.RequestHeader(
            tenant=TENANT, subject=person(subject), context=core_pb2.Context(network_zone=zone)
        ),
        verb=VERB_NUMBERS["play"],
        resource=core_pb2.Resource(type=TYPE_NUMBERS["recording"], id=id),
    )


def batch(names: list[str]) -> access_pb2.CheckBatchRequest:
    """Return a batch that names 17 persons an item."""
    items = []
    for start in range(0, len(names), 17):
        owner, *parties = names[start : start + 17]
        resource = core_pb2.Resource(type=TYPE_NUMBERS["recording"], id=str(start), owner=owner, parties=parties)
        items.append(access_pb2.CheckItem(verb=VERB_NUMBERS["play"], resource=resource))
    return access_pb2.CheckBatchRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")), items=items
    )


async def keep_on(attack: Callable[[], Awaitable[object]], until: float) -> int:
    """Attack until then, ignoring the answers; return the number of calls."""
    count = 0
    while time.monotonic() < until:
        try:
            await attack()
        except grpc.aio.AioRpcError as error:
            assert error.code() is not grpc.StatusCode.UNKNOWN  # noqa: PT017 - any refusal will do, a crash will not
        count += 1
    return count


@pytest.fixture
def attacked(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    """Yield the service under attack."""
    with make_site(tmp_path / "site", sqlite_url) as made:
        yield made


async def test_memory_under_every_attack_at_once(attacked: Site) -> None:
    """A server stays within its memory bound under new explanations, zones, persons, items and batches."""
    rng, numbers = random.Random(7), itertools.count()
    async with processes(attacked) as (server,), Client(server.address, attacked.token) as client:
        parts = statements()
        for lines in parts:
            await client.call(client.policy.ChangePolicy, _change(lines), within_s=HANG_S)
        loaded = memory_of(server.process.pid)

        async def zones() -> None:
            request = check(f"p{rng.randrange(PERSONS)}", f"x{next(numbers)}", f"z{rng.randrange(2 * ZONES)}")
            await client.call(client.access.Check, request, within_s=HANG_S)

        async def items() -> None:
            request = check(f"p{rng.randrange(PERSONS)}", f"i{rng.randrange(2_000)}", f"u{next(numbers)}")
            await client.call(client.access.Check, request, within_s=HANG_S)

        async def strangers() -> None:
            await client.call(client.access.Check, check("s" * 200 + str(next(numbers)), "1", ""), within_s=HANG_S)

        async def batches() -> None:
            names = ["n" * 200 + str(next(numbers)) for _ in range(rng.choice([900, 2_000, 8_500]))]
            await client.call(client.access.CheckBatch, batch(names), within_s=HANG_S)

        async def page() -> None:
            many = access_pb2.CheckBatchRequest(
                header=core_pb2.RequestHeader(tenant=TENANT, subject=person(f"p{rng.randrange(PERSONS)}"))
            )
            many.header.context.network_zone = f"z{rng.randrange(ZONES)}"
            for n in range(50):
                many.items.add(verb=VERB_NUMBERS["play"], resource=check("x", f"i{n}", "").resource)
            await client.call(client.access.CheckBatch, many, within_s=HANG_S)

        until = time.monotonic() + SECONDS
        attacks = [*[zones] * 8, *[items] * 8, *[strangers] * 4, *[batches] * 4, *[page] * 2]
        counts = await asyncio.gather(*(keep_on(attack, until) for attack in attacks))
        most = memory_of(server.process.pid)
    statements_bytes = sum(map(len, parts)) * STATEMENT_BYTES
    bound = START_BYTES + UNDER_WAY_BYTES + statements_bytes
    bound += snapshot.REMEMBERED_BYTES + directory.REMEMBERED_BYTES
    sys.stdout.write(
        f"{sum(counts)} requests; after loading {loaded >> 20} MiB, at most {most >> 20} MiB, bound {bound >> 20} MiB\n"
    )
    assert most < bound


def _change(lines: list[str]) -> policy_pb2.ChangePolicyRequest:
    return policy_pb2.ChangePolicyRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")), add=lines
    )

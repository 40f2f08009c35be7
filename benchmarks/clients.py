"""The client library: 1,000 concurrent questions in shared requests, beside the same questions one by one."""

import asyncio
import itertools
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, process_time

import service
from processes import address_in, processor_s, started
from rounds import Series, alternate, figure, ratio
from section import Goal, Section
from workload import PERSON, PURPOSE, QUEUE, TENANT

from linewarden.client import AsyncClient, Question

CONCURRENT = 1_000
#: Persons who ask in turn; the first has the right to play.
_PERSONS = (PERSON, *(f"agent{n}@acme.example" for n in range(49)))
_CALLS_OF_A_TASK = 8


class _Side:
    """One way to ask, and the processor time of its questions: of the server and of the client."""

    def __init__(self, address: str, token: str, process: int, *, coalesce: bool) -> None:
        self._address = address
        self._token = token
        self._process = process
        self._coalesce = coalesce
        self.server_us: list[float] = []
        self.client_us: list[float] = []

    def rate(self) -> float:
        """Return the answers a second in one round, in which each of the concurrent tasks asks several times."""
        server, client, began = processor_s(self._process)[0], process_time(), monotonic()
        asked = asyncio.run(self._ask())
        seconds = monotonic() - began
        self.client_us.append((process_time() - client) / asked * 1e6)
        self.server_us.append((processor_s(self._process)[0] - server) / asked * 1e6)
        return asked / seconds

    async def _ask(self) -> int:
        numbers, created_at = itertools.count(), datetime.now(UTC) - timedelta(days=1)

        async def task(client: AsyncClient) -> None:
            for _ in range(_CALLS_OF_A_TASK):
                number = next(numbers)
                person = _PERSONS[number % len(_PERSONS)]
                question = Question(
                    person,
                    "play",
                    "recording",
                    f"call-{number % 97}",
                    owner="bob",
                    queue=QUEUE,
                    created_at=created_at,
                    purpose=PURPOSE,
                    zone="office",
                )
                answer = await client.check(question, timeout_s=60)
                if answer.effect != ("allow" if person == PERSON else "deny"):
                    raise SystemExit(f"a wrong decision: {answer.effect}, {answer.reason}")

        async with AsyncClient(
            self._address, key=self._token, tenant=TENANT, plaintext=True, coalesce=self._coalesce
        ) as client:
            await asyncio.gather(*(task(client) for _ in range(CONCURRENT)))
        return CONCURRENT * _CALLS_OF_A_TASK


def measure(scratch: Path, rounds: int) -> Section:
    """Measure both ways in turn, in each of the rounds, against one server with its durable log."""
    settings_file = service.initialize(scratch)
    token = (settings_file.parent / "secrets/api-key").read_text().strip()
    environment = {"LINEWARDEN_LISTEN": "127.0.0.1:0", "LINEWARDEN_PLAINTEXT": "true", "LINEWARDEN_WORKERS": "1"}
    call = [sys.executable, "-m", "linewarden.cli", "serve", "--config", str(settings_file)]
    with started(call, scratch, environment) as (messages, process):
        address = address_in(messages, r"serving on (\S+:\d+)")
        ways = {name: _Side(address, token, process, coalesce=name == "shared") for name in ("shared", "single")}
        for way in ways.values():
            way.rate()  # meets the persons
            way.server_us.clear()
            way.client_us.clear()
        sides: dict[str, Callable[[], float]] = {name: way.rate for name, way in ways.items()}
        found = alternate(sides, rounds)
    return _section(ways, found)


def _section(ways: dict[str, _Side], found: dict[str, Series]) -> Section:
    rows = [["questions of one client", "answers/s", "lowest to highest", "server, µs", "client, µs"]]
    for name, way in ways.items():
        server, client = Series(tuple(way.server_us)).median, Series(tuple(way.client_us)).median
        rows.append([name, figure(found[name].median), found[name].spread, figure(server), figure(client)])
    times = ratio(found["shared"], found["single"])
    notes = [
        f"{CONCURRENT:,} tasks of one process ask {_CALLS_OF_A_TASK} times each, for {len(_PERSONS)} persons in turn.",
        f"Shared requests against single ones: {figure(times.median)} times the answers, {times.spread}.",
        "Client and server share the machine. The processor time is that of one answer.",
    ]
    goal = Goal("1,000 concurrent questions, shared against single", 2.0, times.median, "times")
    return Section("Client library", rows, notes, [goal])

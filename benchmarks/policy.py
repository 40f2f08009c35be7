"""The cost of changing a large policy, and the effect of one tenant's policy loads on a quiet tenant.

    one statement    added through one server: until it is acknowledged, and until each of two servers answers by it
    four at once     the same, four changes sent together
    the first page   of GetPolicy
    a quiet tenant   a Check alone, and beside dry runs of another tenant

Start it in the environment of `make dev`. It writes nothing but what it prints.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc
from machine import machine
from processes import address_in, started

from linewarden.server.bootstrap import now_us
from linewarden.server.names import TYPE_NUMBERS, VERB_NUMBERS
from linewarden.server.operator_actions import create_key, create_tenant, load_first_policy
from linewarden.server.scaffold import initialize, pbx_template
from linewarden.server.settings import Settings
from linewarden.server.storage import open_storage
from linewarden.v1 import access_pb2, core_pb2, policy_pb2
from linewarden.v1.access_pb2_grpc import AccessServiceStub
from linewarden.v1.policy_pb2_grpc import PolicyServiceStub

BIG, QUIET, LOUD = "big", "quiet", "loud"
_ROLES = 10
_DEADLINE_S = 60.0
_LINE_BYTES = 90


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller of one server."""

    access: Any
    policy: Any
    metadata: Sequence[tuple[str, str]]

    async def allowed(self, tenant: str, person: str, queue: str) -> bool:
        """Return whether a person may play a recording of a queue."""
        request = access_pb2.CheckRequest(
            header=core_pb2.RequestHeader(tenant=tenant, subject=core_pb2.Subject(id=person)),
            verb=VERB_NUMBERS["play"],
            resource=core_pb2.Resource(type=TYPE_NUMBERS["recording"], id="1", owner=person, queue=queue),
        )
        answer = await self.access.Check(request, metadata=self.metadata, timeout=_DEADLINE_S)
        return bool(answer.decision.effect == access_pb2.EFFECT_ALLOW)

    async def add(self, statement: str) -> None:
        """Add a statement to the large policy."""
        request = policy_pb2.ChangePolicyRequest(
            header=core_pb2.RequestHeader(tenant=BIG, subject=_ADMIN), add=[statement]
        )
        await self.policy.ChangePolicy(request, metadata=self.metadata, timeout=_DEADLINE_S)

    async def first_page(self) -> None:
        """Read the first page of the large policy."""
        request = policy_pb2.GetPolicyRequest(header=core_pb2.RequestHeader(tenant=BIG, subject=_ADMIN))
        await self.policy.GetPolicy(request, metadata=self.metadata, timeout=_DEADLINE_S)

    async def dry_run(self, document: str) -> str:
        """Try a policy file of the loud tenant; return the outcome."""
        request = policy_pb2.LoadPolicyRequest(
            header=core_pb2.RequestHeader(tenant=LOUD, subject=_ADMIN), document=document, dry_run=True
        )
        try:
            await self.policy.LoadPolicy(request, metadata=self.metadata, timeout=_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"


_ADMIN = core_pb2.Subject(id="admin")


def policy_lines(size: int) -> str:
    """Return a company with `size` rules, each for a role and a queue, and two thousand persons."""
    roles = max(1, size // _ROLES)
    lines = ["allow admin read_policy,change_policy policy any"]
    lines += [f"bind person{n} role:r{n % roles}" for n in range(2_000)]
    lines += [f"allow role:r{n % roles} play recording queue:q{n} then announce,notify_owner" for n in range(size)]
    return "\n".join(lines)


def prepared(folder: Path, size: int) -> tuple[Settings, str]:
    """Make a service with a large, a quiet and a loud tenant; return its settings and a key."""
    settings = initialize(folder, now_us, tenant=QUIET, policy=pbx_template())
    storage = open_storage(settings)
    try:
        for tenant, text in ((BIG, policy_lines(size)), (LOUD, policy_lines(100))):
            log = create_tenant(storage.log, tenant, now_us())
            asyncio.run(load_first_policy(storage, log, text, now_us()))
        return settings, create_key(storage.log, "bench", ("*",), ("*",), now_us())[1]
    finally:
        storage.close()


async def spent_ms(what: Callable[[], Awaitable[object]]) -> float:
    """Return the milliseconds that an operation takes."""
    began = time.perf_counter()
    await what()
    return (time.perf_counter() - began) * 1e3


async def until_allowed(callers: Sequence[Caller], person: str, queue: str) -> None:
    """Ask each server once; each must answer by the change that was acknowledged."""
    for allowed in await asyncio.gather(*(caller.allowed(BIG, person, queue) for caller in callers)):
        if not allowed:
            raise SystemExit("an acknowledged change is not in force")


async def changes(callers: Sequence[Caller], rounds: int) -> dict[str, list[float]]:
    """Time single changes, four at once, and first pages."""
    found: dict[str, list[float]] = {"acknowledged": [], "in force on both": [], "four at once": [], "first page": []}
    for turn in range(rounds):
        person, queue = f"new{turn}", f"added{turn}"
        began = time.perf_counter()
        await callers[turn % 2].add(f"allow {person} play recording queue:{queue}")
        found["acknowledged"].append((time.perf_counter() - began) * 1e3)
        await until_allowed(callers, person, queue)
        found["in force on both"].append((time.perf_counter() - began) * 1e3)
        four = [callers[n % 2].add(f"bind four{turn}x{n} role:r{n}") for n in range(4)]
        found["four at once"].append(await spent_ms(lambda four=four: asyncio.gather(*four)))  # type: ignore[misc]
        found["first page"].append(await spent_ms(callers[turn % 2].first_page))
    return found


async def quiet_ms(caller: Caller, seconds: float) -> list[float]:
    """Return the times of single questions of the quiet tenant, one after the other."""
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        times.append(await spent_ms(lambda: caller.allowed(QUIET, "alice", "")))
    return sorted(times)


async def dry_runs(address: str, token: str, chosen: argparse.Namespace) -> str:
    """Try policy files repeatedly, several at a time, until the time is over; return the outcomes."""
    results: Counter[str] = Counter()
    document, until = policy_lines(chosen.dry_run_bytes // _LINE_BYTES), time.monotonic() + chosen.seconds

    async def again_and_again(caller: Caller) -> None:
        while time.monotonic() < until:
            results[result := await caller.dry_run(document)] += 1
            await asyncio.sleep(0 if result == "OK" else 0.5)

    async with grpc.aio.insecure_channel(address) as channel:
        metadata = (("authorization", f"Bearer {token}"),)
        caller = Caller(AccessServiceStub(channel), PolicyServiceStub(channel), metadata)
        await asyncio.gather(*(again_and_again(caller) for _ in range(chosen.dry_runs)))
    return ", ".join(f"{number} {name}" for name, number in sorted(results.items()))


async def beside(caller: Caller, address: str, token: str, chosen: argparse.Namespace) -> tuple[list[float], str]:
    """Return the quiet tenant's times while another process tries dry runs, and the outcomes of these."""
    call = [sys.executable, __file__, "--loud", address, token]
    call += ["--seconds", str(chosen.seconds), "--dry-runs", str(chosen.dry_runs)]
    call += ["--dry-run-bytes", str(chosen.dry_run_bytes)]
    loud = await asyncio.create_subprocess_exec(*call, stdout=asyncio.subprocess.PIPE)
    assert loud.stdout is not None
    await loud.stdout.readline()  # it begins
    times = await quiet_ms(caller, chosen.seconds)
    told, _ = await loud.communicate()
    return times, told.decode().strip()


async def measure(addresses: Sequence[str], token: str, processes: Sequence[int], chosen: argparse.Namespace) -> None:
    """Measure all of it on two servers."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options) for address in addresses]
    metadata = (("authorization", f"Bearer {token}"),)
    callers = [Caller(AccessServiceStub(one), PolicyServiceStub(one), metadata) for one in channels]
    await until_allowed(callers, "person1", "q1")
    show("first question", [await spent_ms(lambda: callers[0].allowed(BIG, "person2", "q2"))])
    for name, times in (await changes(callers, chosen.rounds)).items():
        show(name, times)
    alone = await quiet_ms(callers[0], chosen.seconds)
    show("quiet tenant alone", alone)
    before = resident_mb(processes[0])
    times, results = await beside(callers[0], addresses[0], token, chosen)
    title = f"beside {chosen.dry_runs} dry runs of {chosen.dry_run_bytes / 1e6:.1f} MB ({results})"
    show(title, times)
    print(f"{'ratio of medians':58} {median(times) / median(alone):8.1f}")
    print(f"{'memory of that server before, after, MB':58} {before:8.0f} {resident_mb(processes[0]):8.0f}")
    for channel in channels:
        await channel.close()


def show(name: str, times: Sequence[float]) -> None:
    """Print the median and the ninth decile of some times."""
    ordered = sorted(times)
    print(
        f"{name:58} {median(ordered):8.1f} ms   p90 {ordered[int(len(ordered) * 0.9)]:8.1f} ms   of {len(ordered)}",
        flush=True,
    )


def resident_mb(process: int) -> float:
    """Return the memory of a process in megabytes; NaN where the system does not report it."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Make a service, start two servers on it, measure."""
    parser = argparse.ArgumentParser(
        description="Measure changes of a large policy, and policies beside a quiet tenant."
    )
    parser.add_argument("--rules", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=8.0, help="of the quiet tenant's questions, alone and beside")
    parser.add_argument("--dry-runs", type=int, default=40, help="at a time")
    parser.add_argument("--dry-run-bytes", type=int, default=3_900_000)
    parser.add_argument("--loud", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.loud:
        print("begins", flush=True)
        address, token = chosen.loud
        print(asyncio.run(dry_runs(address, token, chosen)))
        return
    print(", ".join(f"{name} {value}" for name, value in machine().items()), flush=True)
    with tempfile.TemporaryDirectory(prefix="linewarden-bench-") as scratch, ExitStack() as running:
        began = time.monotonic()
        _, token = prepared(Path(scratch) / "service", chosen.rules)
        print(f"{f'making a policy of {chosen.rules} rules, seconds':58} {time.monotonic() - began:8.1f}", flush=True)
        environment = {"LINEWARDEN_LISTEN": "127.0.0.1:0", "LINEWARDEN_PLAINTEXT": "true", "LINEWARDEN_WORKERS": "1"}
        call = [sys.executable, "-m", "linewarden.cli", "serve", "--config", f"{scratch}/service/linewarden.toml"]
        addresses, numbers = [], []
        for name in ("one", "two"):
            (folder := Path(scratch) / name).mkdir()
            began = time.monotonic()
            messages, process = running.enter_context(started(call, folder, environment))
            addresses.append(address_in(messages, r"serving on (\S+:\d+)", patience_s=180))
            numbers.append(process)
            print(
                f"{'a server with that policy is ready after seconds':58} {time.monotonic() - began:8.1f}", flush=True
            )
        asyncio.run(measure(addresses, token, numbers, chosen))


if __name__ == "__main__":
    main()

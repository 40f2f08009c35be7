"""The cost of a Check without gRPC: the service's code in this process, timed, then profiled."""

import asyncio
import cProfile
import pstats
from collections import Counter
from pathlib import Path
from time import process_time, thread_time, time
from typing import Any

from rounds import Series, figure
from section import Section
from service import initialize
from workload import AGENTS, BATCH, batch, single

from linewarden.audit.writer import Writer
from linewarden.authz.policies import Policies
from linewarden.authz.service import AccessControl
from linewarden.server.access import AccessServicer
from linewarden.server.admission import Admission
from linewarden.server.bootstrap import now_us
from linewarden.server.callers import Callers
from linewarden.server.capacity import capacity_of
from linewarden.server.rpc import Rpc, served
from linewarden.server.settings import Settings, load_settings
from linewarden.server.storage import Storage, open_storage
from linewarden.server.tenants import Tenants
from linewarden.v1 import access_pb2

_CONCURRENCY = 64
_SHOWN = 22
_ROOT = Path(__file__).parent.parent


def measure(scratch: Path, rounds: int, calls: int) -> Section:
    """Time a Check and a batch of 50; profile the Check."""
    folder = scratch / "anatomy"
    folder.mkdir()
    settings_file = initialize(folder)
    settings = load_settings(settings_file)
    token = (settings_file.parent / "secrets/api-key").read_text().strip()
    storage = open_storage(settings)
    try:
        return asyncio.run(_measure(storage, settings, token, rounds, calls))
    finally:
        storage.close()


async def _measure(storage: Storage, settings: Settings, token: str, rounds: int, calls: int) -> Section:
    writer = Writer(
        storage.log,
        batch_limit=settings.batch_limit,
        queue_limit=settings.queue_limit,
        timeout_s=settings.append_timeout_ms / 1e3,
    )
    rpcs, callers = await _served(storage, settings, writer)
    single_check, batch_check = (rpcs[f"/linewarden.v1.AccessService/{name}"] for name in ("Check", "CheckBatch"))
    now_s = int(time())
    frame, many = single(now_s).SerializeToString(), batch(now_s, AGENTS).SerializeToString()

    async def check() -> bytes:
        request = single_check.read(frame)
        return single_check.write(await single_check.call(await callers.admit(token), request))

    async def check_batch() -> bytes:
        request = batch_check.read(many)
        return batch_check.write(await batch_check.call(await callers.admit(token), request))

    rows = [["call", "event loop, µs", "writer's thread, µs", "both, µs"]]
    for name, act, count in (("Check", check, calls), (f"CheckBatch of {BATCH}", check_batch, calls // 10)):
        await _press(act, count // 4)
        found = [await _cost(act, count) for _ in range(rounds)]
        loop, thread = (Series(tuple(one)).median for one in zip(*found, strict=True))
        rows.append([name, figure(loop), figure(thread), figure(loop + thread)])
    profile = cProfile.Profile()
    profile.enable()
    await _press(check, calls)
    profile.disable()
    await writer.close()
    return Section("The cost of a Check", rows, [_NOTE, *_summary(profile, calls)])


async def _served(storage: Storage, settings: Settings, writer: Writer) -> tuple[dict[str, Rpc], Callers]:
    callers = Callers(storage.keys.load, now_us)
    await callers.refresh()
    policies = Policies(storage.policies)
    control = AccessControl(policies, storage.directory(writer))
    capacity = capacity_of(settings)
    admission = Admission(callers, Tenants(storage.log), policies, writer, now_us, capacity)
    service = access_pb2.DESCRIPTOR.services_by_name["AccessService"]
    servicer = AccessServicer(control, settings.decision_ttl_s * 1_000_000)
    rpcs = served(service, servicer, admission, capacity.streams, settings.max_stream_messages)
    return {rpc.path: rpc for rpc in rpcs}, callers


async def _press(act: Any, calls: int) -> None:
    turns = iter(range(calls))

    async def work() -> None:
        for _ in turns:
            await act()

    await asyncio.gather(*(work() for _ in range(_CONCURRENCY)))


async def _cost(act: Any, calls: int) -> tuple[float, float]:
    all_before, own_before = process_time(), thread_time()
    await _press(act, calls)
    own = thread_time() - own_before
    return own / calls * 1e6, (process_time() - all_before - own) / calls * 1e6


def _summary(profile: cProfile.Profile, calls: int) -> list[str]:
    """Return the event-loop functions that take most of its time, and the shares of the packages."""
    stats: Any = pstats.Stats(profile)
    found = {place: row for place, row in stats.stats.items() if "poll" not in place[2]}  # waiting is no work
    total = sum(row[2] for row in found.values())
    packages: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for (file, line, function), (_, count, spent, _, _) in found.items():
        path = Path(file)
        inside = path.is_relative_to(_ROOT) and ".venv" not in path.parts
        package = (
            str(path.relative_to(_ROOT).parts[0]) if inside else ("libraries" if path.suffix == ".py" else "built in")
        )
        packages[package] += spent
        place = (
            f"{path.relative_to(_ROOT)}:{line} {function}"
            if inside
            else f"{path.name}:{line} {function}".lstrip("~:0 ")
        )
        places[f"`{place}`, {count / calls:.0f} a call" if count >= calls else f"`{place}`"] += spent
    shares = ", ".join(f"{package} {spent / total:.0%}" for package, spent in packages.most_common())
    lines = [f"{place}: {spent / total:.1%}" for place, spent in places.most_common(_SHOWN)]
    return [
        f"Under cProfile, which makes small functions look dearer than they are, the event loop's time: {shares}.",
        *lines,
    ]


_NOTE = (
    "Processor time of parsing, `AccessService` with everything behind it, and writing the answer; "
    f"{_CONCURRENCY} calls at a time, no gRPC, SQLite. Both threads share Python's lock, so that a server pays for "
    "both, one after the other."
)

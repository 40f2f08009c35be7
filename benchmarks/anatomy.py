"""The cost of a Check without gRPC: the service's code in this process, timed, then profiled."""

import asyncio
import cProfile
import pstats
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from direct import Act, Cost, Service, cost, opened, press
from rounds import Series, figure
from section import Section
from service import initialize
from workload import BATCH, TENANT, batch, name, single

_CONCURRENCY = 64
_SHOWN = 22
_PERSONS = 2_000
_ROOT = Path(__file__).parent.parent


class _Side(NamedTuple):
    """Calls that are timed. With `forgets`, the policy is loaded again before, so that it has met no person."""

    name: str
    act: Act
    frames: list[bytes]
    at_once: int = _CONCURRENCY
    forgets: bool = False


def measure(scratch: Path, rounds: int, calls: int) -> Section:
    """Time Checks and batches of 50, the kinds in turn; profile the Check."""
    folder = scratch / "anatomy"
    folder.mkdir()
    return asyncio.run(_measure(initialize(folder, _PERSONS), rounds, calls))


async def _measure(settings_file: Path, rounds: int, calls: int) -> Section:
    async with opened(settings_file) as service:
        sides = _sides(service, calls)
        found: list[list[Cost]] = [[] for _ in sides]
        for side in sides:
            await _timed(service, side)  # meets the persons
        for number in range(rounds):
            for place in range(len(sides)) if number % 2 == 0 else reversed(range(len(sides))):
                found[place].append(await _timed(service, sides[place]))
        profile = cProfile.Profile()
        profile.enable()
        await press(service.check, sides[0].frames, _CONCURRENCY)
        profile.disable()
    rows = [_HEAD, *(_row(side, costs) for side, costs in zip(sides, found, strict=True))]
    return Section("The cost of a Check", rows, [*_NOTES, *_summary(profile, calls)])


def _sides(service: Service, calls: int) -> list[_Side]:
    now_s = int(time())
    one = single(now_s).SerializeToString()
    each = [single(now_s, name(number)).SerializeToString() for number in range(_PERSONS)]
    batches = [[batch(now_s, owners).SerializeToString()] * (calls // 10) for owners in (1, BATCH)]
    return [
        _Side("Check, one person", service.check, [one] * calls),
        _Side("Check, one at a time", service.check, [one] * (calls // 10), at_once=1),
        _Side("Check, each person known", service.check, each),
        _Side("Check, each person new to the policy", service.check, each, forgets=True),
        _Side(f"CheckBatch of {BATCH}, one owner", service.check_batch, batches[0]),
        _Side(f"CheckBatch of {BATCH}, {BATCH} owners", service.check_batch, batches[1]),
    ]


async def _timed(service: Service, side: _Side) -> Cost:
    if side.forgets:
        log = service.storage.log.head_of(TENANT).log
        service.policies.forget(log)
        await service.policies.load(log)
    return await cost(side.act, side.frames, side.at_once)


def _row(side: _Side, costs: Sequence[Cost]) -> list[str]:
    loop, thread = (Series(tuple(one)).median for one in zip(*costs, strict=True))
    return [side.name, figure(loop), figure(thread), figure(loop + thread)]


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


_HEAD = ["call", "event loop, µs", "writer's thread, µs", "both, µs"]
_TIMES = (
    "Processor time of parsing, `AccessService` with everything behind it, and writing the answer; "
    f"{_CONCURRENCY} calls at a time, no gRPC, SQLite. Both threads share Python's lock, so that a server pays for "
    "both, one after the other."
)
_NOTES = (
    _TIMES,
    f"The {_PERSONS:,} persons have the same two roles. A person new to the policy is known to the log.",
)

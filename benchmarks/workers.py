"""The gain of a second worker: processes that answer Checks at the same log, without a network.

A network would need processor time for the load, which a machine with two cores does not have. So each process asks
its own handlers. `python workers.py FILE SECONDS` is one such process: it says `ready`, answers from the first line of
its input on, and writes the number of its answers and its processor time.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count, takewhile
from os import cpu_count
from pathlib import Path
from shutil import rmtree
from statistics import median
from subprocess import PIPE
from time import monotonic, process_time, time

from appends import databases
from direct import opened, press
from rounds import alternate, figure, ratio
from section import Goal, Section
from service import initialize
from workload import TENANT, policy_text, single

from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import create_key, create_system_log, create_tenant, load_first_policy
from linewarden.server.settings import load_settings
from linewarden.server.storage import open_storage

_AT_ONCE = 64
_GAIN = 1.6


def measure(scratch: Path, rounds: int, seconds: float) -> Section:
    """Answer Checks with one and with two processes, in turn, on each database."""
    rows = [["database", "workers", "Checks/s", "processor time of a Check, µs", "times one worker"]]
    goals = []
    with ExitStack() as stack:
        for database, url in databases(scratch, stack).items():
            folder = scratch / f"workers-{database}"
            folder.mkdir()
            settings_file = initialize(folder)
            side = _Side(settings_file if database == "SQLite" else _on_database(settings_file, url), seconds)
            found = alternate({str(number): side.with_workers(number) for number in (1, 2)}, rounds)
            gain = ratio(found["2"], found["1"])
            for number, rate in found.items():
                times = "" if number == "1" else f"{figure(gain.median)} ({gain.spread})"
                rows.append([database, number, figure(rate.median), figure(side.cost_us(number)), times])
            goals.append(Goal(f"second worker, {database}", _GAIN, gain.median, "times"))
    return Section("Workers", rows, [_NOTE], goals)


class _Side:
    """A service's folder on which processes answer."""

    def __init__(self, settings_file: Path, seconds: float) -> None:
        self._call = [sys.executable, __file__, str(settings_file), str(seconds)]
        self._costs: dict[str, list[float]] = {}

    def with_workers(self, number: int) -> Callable[[], float]:
        """Return the measurement of the answers a second with so many processes."""
        return lambda: self._measured(number)

    def cost_us(self, number: str) -> float:
        """Return the median of the processor time of a Check, in microseconds."""
        return median(self._costs[number])

    def _measured(self, number: int) -> float:
        workers = [subprocess.Popen(self._call, stdin=PIPE, stdout=PIPE, text=True) for _ in range(number)]
        for worker in workers:
            if worker.stdout is None or worker.stdout.readline() != "ready\n":
                raise SystemExit("a worker did not start; read its message above")
        for worker in workers:
            if worker.stdin is not None:
                worker.stdin.write("go\n")
                worker.stdin.flush()
        found = [tuple(map(float, worker.communicate()[0].split())) for worker in workers]
        self._costs.setdefault(str(number), []).append(
            sum(one[1] for one in found) / sum(one[0] for one in found) * 1e6
        )
        return sum(calls / lasted for calls, _, lasted in found)


async def _work(settings_file: Path, seconds: float) -> None:
    frame = single(int(time())).SerializeToString()
    async with opened(settings_file) as service:
        await press(service.check, [frame] * 500, _AT_ONCE)
        print("ready", flush=True)
        sys.stdin.readline()
        began, spent, calls = monotonic(), process_time(), count()
        await press(service.check, (frame for _ in takewhile(lambda _: monotonic() - began < seconds, calls)), _AT_ONCE)
        print(next(calls) - 1, process_time() - spent, monotonic() - began, flush=True)


def _on_database(settings_file: Path, url: str) -> Path:
    """Move a fresh service to an empty database."""
    settings_file.write_text(f'database_url = "{url}"\n{settings_file.read_text()}')
    settings = load_settings(settings_file)
    rmtree(settings.anchor_dir)
    for file in settings_file.parent.glob("linewarden.db*"):
        file.unlink()
    storage = open_storage(settings)
    try:
        create_system_log(storage.log, now_us())
        log = create_tenant(storage.log, TENANT, now_us())
        asyncio.run(load_first_policy(storage, log, policy_text(), now_us(), allow_lockout=False))
        _, token = create_key(storage.log, "first-caller", (TENANT,), ("*",), now_us())
    finally:
        storage.close()
    (settings_file.parent / "secrets/api-key").write_text(token)
    return settings_file


_NOTE = (
    f"{_AT_ONCE} Checks at a time in each process, no gRPC; {cpu_count()} cores. A process alone idles while its batch "
    "is committed, because all its requests wait; two processes use this time of each other."
)

if __name__ == "__main__":
    asyncio.run(_work(Path(sys.argv[1]), float(sys.argv[2])))

"""`python benchmarks/fairness.py`: response times of a quiet tenant beside one that calls without pause.

The busy tenant keeps more calls open than the server can answer, and repeats each refused call at once. Rounds
alternate between the quiet tenant alone and beside it. Each ratio is of one round, so that a slow machine slows both of
its sides.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep, time
from typing import Any

import grpc
from processes import address_in, started
from rounds import figure
from service import initialize
from workload import TENANT, framed, policy_text, single

from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import create_key, create_tenant, load_first_policy
from linewarden.server.settings import load_settings
from linewarden.server.storage import open_storage

QUIET = "quiet"
_METHOD = "/linewarden.v1.AccessService/Check"
#: Answers after which the flood has its full rate.
_WARM_CALLS = 500
_GAP_S = 0.02
_FRAME_HEAD = 5


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description="Measure a quiet tenant beside a busy one.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=100, help="of the quiet tenant in each half of a round")
    parser.add_argument("--connections", type=int, default=4, help="of the busy tenant")
    parser.add_argument("--at-a-time", type=int, default=100, help="calls of each of its connections")
    parser.add_argument("--flood", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.flood:
        address, frame, key = chosen.flood
        message, token = Path(frame).read_bytes()[_FRAME_HEAD:], Path(key).read_text(encoding="ascii")
        asyncio.run(_flood(address, message, token, chosen.connections, chosen.at_a_time))
        return
    with tempfile.TemporaryDirectory(prefix="lwfair") as scratch:
        _measure(Path(scratch), chosen)


def _measure(folder: Path, chosen: argparse.Namespace) -> None:
    with _serving(folder) as (address, quiet_token):
        ratios: dict[str, list[float]] = {"p50": [], "p99": []}
        for number in range(chosen.rounds):
            alone = _ask(folder, address, quiet_token, chosen.calls)
            with _flooded(folder, address, chosen) as outcomes:
                beside = _ask(folder, address, quiet_token, chosen.calls)
            for name, part in (("p50", 0.5), ("p99", 0.99)):
                ratios[name].append(_quantile(beside, part) / _quantile(alone, part))
            told = ", ".join(f"{count:,} {status}" for status, count in outcomes.items())
            print(
                f"round {number + 1}: alone {_told(alone)}; beside {_told(beside)}; the busy tenant: {told}", flush=True
            )
    for name, values in ratios.items():
        spread = f"{figure(min(values))} to {figure(max(values))}"
        print(f"{name} beside the flood, alone = 1: {figure(median(values))} ({spread})")


@contextmanager
def _serving(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve both tenants; yield the address and a key of the quiet one. Frames are in the folder."""
    config = initialize(folder)
    storage = open_storage(load_settings(config))
    try:
        log = create_tenant(storage.log, QUIET, now_us())
        asyncio.run(load_first_policy(storage, log, policy_text(), now_us()))
        _, quiet_token = create_key(storage.log, "quiet", (QUIET,), ("*",), now_us())
        _, busy_token = create_key(storage.log, "busy", (TENANT,), ("*",), now_us())
    finally:
        storage.close()
    for tenant in (QUIET, TENANT):
        question = single(int(time()))
        question.header.tenant = tenant
        (folder / f"{tenant}.frame").write_bytes(framed(question.SerializeToString()))
    (folder / "busy").write_text(busy_token)
    environment = {"LINEWARDEN_LISTEN": "127.0.0.1:0", "LINEWARDEN_PLAINTEXT": "true"}
    call = [sys.executable, "-m", "linewarden.cli", "serve", "--config", str(config)]
    with started(call, folder, environment) as (messages, _process):
        yield address_in(messages, r"serving on (\S+:\d+)"), quiet_token


def _ask(folder: Path, address: str, token: str, calls: int) -> list[float]:
    """Ask one question after the other; return the sorted times in milliseconds.

    Raises:
        grpc.RpcError: one of them was refused.
    """
    message = (folder / f"{QUIET}.frame").read_bytes()[_FRAME_HEAD:]
    times = []
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(_METHOD)
        for _ in range(calls):
            began = perf_counter()
            call(message, metadata=(("authorization", f"Bearer {token}"),), timeout=30)
            times.append((perf_counter() - began) * 1e3)
            sleep(_GAP_S)
    return sorted(times)


@contextmanager
def _flooded(folder: Path, address: str, chosen: argparse.Namespace) -> Iterator[dict[str, int]]:
    """Run the busy tenant in a process until the end of the block; then count its statuses."""
    outcomes: dict[str, int] = {}
    call = [sys.executable, __file__, "--flood", address, str(folder / f"{TENANT}.frame"), str(folder / "busy")]
    call += ["--connections", str(chosen.connections), "--at-a-time", str(chosen.at_a_time)]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or not process.stdout.readline():
            raise SystemExit("the flood did not begin")
        yield outcomes
    finally:
        process.terminate()
        outcomes |= json.loads(process.communicate()[0])


async def _flood(address: str, message: bytes, token: str, connections: int, at_a_time: int) -> None:
    """Ask without pause until SIGTERM; print how often each status came, and the rate a second."""
    told: Counter[str] = Counter()
    options = [("grpc.use_local_subchannel_pool", 1)]

    async def ask(channel: grpc.aio.Channel) -> None:
        call: Any = channel.unary_unary(_METHOD)
        while True:
            try:
                await call(message, metadata=(("authorization", f"Bearer {token}"),), timeout=30)
                told["answered"] += 1
            except grpc.aio.AioRpcError as error:
                told[error.code().name] += 1

    began = monotonic()
    channels = [grpc.aio.insecure_channel(address, options) for _ in range(connections)]
    asking = [asyncio.create_task(ask(channel)) for channel in channels for _ in range(at_a_time)]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    while told["answered"] < _WARM_CALLS:  # noqa: ASYNC110 - no event says so
        await asyncio.sleep(0.1)
    print("in full flow", flush=True)
    await stop.wait()
    told["answered a second"] = round(told["answered"] / (monotonic() - began))
    print(json.dumps(told), flush=True)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    for channel in channels:
        await channel.close()


def _quantile(times: list[float], part: float) -> float:
    return times[min(int(len(times) * part), len(times) - 1)]


def _told(times: list[float]) -> str:
    return f"p50 {figure(_quantile(times, 0.5))} ms, p99 {figure(_quantile(times, 0.99))} ms"


if __name__ == "__main__":
    main()

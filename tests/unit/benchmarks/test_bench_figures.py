"""Computations of the benchmarks on measured values."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import load_process
import pytest
from load import parse_h2load
from results import page, part, parts_of
from rounds import Series, alternate, figure, ratio
from section import Goal, Section
from workload import framed

from tests.deadlines import HANG_S

H2LOAD = """\
finished in 532.10ms, 3758.69 req/s, 1.10MB/s
requests: 2000 total, 2000 started, 2000 done, {succeeded} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 600.02KB (614420) total, 214.94KB (220100) headers (space savings 50.00%), 248.05KB (254000) data
                     min         max         mean         sd        +/- sd
time for request:     1.28ms      1.05s    850us     6.20ms    80.00%
"""


def test_sides_take_turns_and_the_order_turns_round() -> None:
    """Each side is measured once a round, and no side always comes after the same."""
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = alternate({name: partial(measure, name) for name in "ab"}, 3)
    assert "".join(order) == "abbaab"
    assert found["a"].values == (1.0, 4.0, 5.0)


def test_a_ratio_is_taken_round_by_round() -> None:
    """A round that was slow for both sides leaves their ratio as it is."""
    assert ratio(Series((10, 1, 8)), Series((5, 0.5, 4))).values == (2, 2, 2)


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.846, "0.85"), (12.34, "12.3"), (61234.5, "61,234")])
def test_figures_have_three_digits(value: float, text: str) -> None:
    """A figure has no more digits than a measurement supports."""
    assert figure(value) == text


@pytest.mark.parametrize(
    ("goal", "met", "missed_by"),
    [
        (Goal("a", 0.85, 0.85, "times"), True, 0),
        (Goal("a", 0.85, 0.68, "times"), False, 0.2),
        (Goal("a", 20, 19, "µs", at_most=True), True, 0),
        (Goal("a", 20, 25, "µs", at_most=True), False, 0.25),
    ],
)
def test_a_missed_goal_says_by_how_much(goal: Goal, *, met: bool, missed_by: float) -> None:
    """A missed goal is reported with its distance, in both directions of better."""
    assert goal.met == met
    assert goal.missed_by == pytest.approx(missed_by)


def test_a_part_tells_missed_goals_and_where_it_was_measured() -> None:
    """A part shows a missed goal as missed, with the time and the machine."""
    text = _part("Rpcs", others=[0.01, 0.02])
    assert "| check | ≥ 0.85 times | 0.68 times | **missed by 20%** |" in text
    assert "2026-01-31 08:00 UTC" in text
    assert "cores 2" in text
    assert "Do not quote these figures" not in text


def test_a_part_warns_of_a_busy_machine() -> None:
    """A part warns of figures from a machine that did other work at the same time."""
    assert "Do not quote these figures" in _part("Rpcs", others=[0.01, 0.6])


def test_a_later_run_replaces_its_parts_only() -> None:
    """The parts of a page are read back as they were written."""
    parts = {"grpc": _part("Rpcs", others=[0.0]), "index": _part("Index", others=[0.6])}
    assert parts_of(page(parts)) == parts


def _part(title: str, *, others: list[float]) -> str:
    when = datetime(2026, 1, 31, 8, tzinfo=UTC)
    section = Section(title, [["a"], ["1"]], ["a note"], [Goal("check", 0.85, 0.68, "times")])
    return part(when, 1.5, "run.py", others, {"cores": "2"}, section)


def test_what_h2load_tells_is_understood() -> None:
    """The parser of h2load reads rate, bytes and times in their units."""
    log = "".join(f"{number} 200 {number}\n" for number in range(1, 2001))
    load = parse_h2load(H2LOAD.format(succeeded=2000, failed=0), 2000, log)
    assert load.rate == pytest.approx(3758.69, rel=1e-4)
    assert (load.body_bytes, load.p50_ms, load.p99_ms) == (254_000, 1.001, 1.981)


@pytest.mark.parametrize(("succeeded", "failed", "calls"), [(1999, 1, 2000), (2000, 0, 2001)])
def test_one_failed_call_spoils_the_measurement(succeeded: int, failed: int, calls: int) -> None:
    """The parser refuses a measurement with a failed call."""
    with pytest.raises(SystemExit, match="all answers"):
        parse_h2load(H2LOAD.format(succeeded=succeeded, failed=failed), calls, "1 200 1\n" * calls)


async def test_the_process_of_our_own_makes_every_call(tmp_path: Path) -> None:
    """Without h2load the Python process makes the same calls, with the token, and counts all answers."""
    seen: list[Any] = []

    async def answer(request: bytes, context: Any) -> bytes:
        seen.append((request, dict(context.invocation_metadata())["authorization"]))
        return b"four"

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Echo": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    frame = tmp_path / "frame"
    frame.write_bytes(framed(b"question"))
    call = [sys.executable, str(load_process.__file__), f"127.0.0.1:{port}", "test/Echo", str(frame), "2", "3", "40"]
    done = await asyncio.to_thread(
        subprocess.run, call, input="secret", check=True, capture_output=True, text=True, timeout=HANG_S
    )
    await server.stop(None)
    result = json.loads(done.stdout)
    assert seen == [(b"question", "Bearer secret")] * 40
    assert result["body_bytes"] == 40 * 9
    assert result["end"] > result["start"]

"""Checks over gRPC: single ones and batches with the durable log, beside a bare echo and Cerbos without log."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cerbos
import service
from load import Load, Question, Shape, generator
from processes import await_listener, free_address, processor_s, started
from rounds import Series, alternate, figure, ratio
from section import Goal, Section
from target import Target

#: Shapes that are tried for each server and question; the one with the most answers is used.
_SHAPES = {
    1: (Shape(1, 32), Shape(1, 128), Shape(4, 16), Shape(4, 64), Shape(16, 16)),
    50: (Shape(1, 8), Shape(2, 4), Shape(4, 4), Shape(8, 8)),
}
_SWEEP_CALLS = {1: 2_000, 50: 200}
_ALONE_CALLS = 200


class _Measured:
    """A target, the shape of load that suits it best, and its measurements."""

    def __init__(self, target: Target, seconds: float) -> None:
        self.target = target
        self.loads: list[Load] = []
        self.costs_us: list[tuple[float, float]] = []
        calls = _SWEEP_CALLS[target.items]
        target.press(_SHAPES[target.items][0], calls // 3)  # warms up
        tried: dict[Shape, float] = {}
        for shape in (
            _SHAPES[target.items] * 2
        ):  # the better try counts, because other programs may have slowed the other
            tried[shape] = max(tried.get(shape, 0), target.press(shape, calls).rate)
        self.shape = max(tried, key=lambda shape: tried[shape])
        self._calls = max(calls, int(tried[self.shape] * seconds))
        self.alone_ms = target.alone_ms(_ALONE_CALLS)

    def decisions(self) -> float:
        """Return the decisions a second in one round."""
        own, others = processor_s(self.target.process)
        load = self.target.press(self.shape, self._calls)
        own_after, others_after = processor_s(self.target.process)
        self.loads.append(load)
        self.costs_us.append(((own_after - own) / load.calls * 1e6, (others_after - others) / load.calls * 1e6))
        return load.rate * self.target.items

    @property
    def cost(self) -> str:
        """Return the processor time of a call: in the server, and in the process behind it."""
        own, others = self.medians()
        return figure(own) + (f" + {figure(others)} behind" if others else "")

    def cost_against(self, other: "_Measured") -> str:
        """Return the ratio of the servers' processor times for one decision."""
        mine, theirs = self.medians()[0] / self.target.items, other.medians()[0] / other.target.items
        return f"{figure(mine / theirs)} times"

    def medians(self) -> tuple[float, float]:
        """Return the processor time of a call, in microseconds: in the server, and in the process behind it."""
        own, others = (Series(tuple(one)).median for one in zip(*self.costs_us, strict=True))
        return own, others


def measure(scratch: Path, cache: Path, rounds: int, seconds: float) -> Section:
    """Measure every server with every question, in turn, `seconds` each, in each of the rounds."""
    with ExitStack() as stack:
        ours, log = stack.enter_context(service.running(_folder(scratch, "linewarden")))
        targets = {"single": ours["single"], "batch": ours["batch"], "owners": ours["owners"]}
        targets["echo"] = stack.enter_context(_echo(ours["single"], _folder(scratch, "echo")))
        binary = cerbos.installed(cache / "cerbos")
        if binary is not None:
            peers = stack.enter_context(cerbos.running(binary, _folder(scratch, "cerbos")))
            targets |= {"cerbos single": peers["single"], "cerbos batch": peers["batch"]}
        order = [name for name in _ORDER if name in targets]
        measured = {name: _Measured(targets[name], seconds) for name in order}
        sides: dict[str, Callable[[], float]] = {name: one.decisions for name, one in measured.items()}
        found = alternate(sides, rounds)
        sizes = _sizes(ours, log)
    return _section(measured, found, [*_notes(binary), sizes])


_ORDER = ("single", "echo", "cerbos single", "batch", "cerbos batch", "owners")
_TITLES = {
    "single": "Linewarden, Check",
    "echo": "bare grpc.aio echo",
    "cerbos single": "Cerbos, 1 resource",
    "batch": "Linewarden, CheckBatch of 50, 8 owners",
    "cerbos batch": "Cerbos, 50 resources",
    "owners": "Linewarden, CheckBatch of 50, 50 owners",
}
_AGAINST = {"single": ("echo", "cerbos single"), "batch": ("cerbos batch",), "owners": ("cerbos batch",)}
_GOALS = {("single", "echo"): 0.85, ("batch", "cerbos batch"): 1.5}


@contextmanager
def _echo(single: Target, folder: Path) -> Iterator[Target]:
    answer = folder / "answer"
    answer.write_bytes(single.ask())
    single.settle(1)
    address = free_address()
    call = [sys.executable, str(Path(__file__).with_name("echo_server.py")), address, str(answer)]
    with started(call, folder) as (_, process):
        await_listener(address)
        question = Question(address, single.question.method, single.question.frame)
        yield Target("echo", question, process, 1, lambda got: got == answer.read_bytes())


def _folder(scratch: Path, name: str) -> Path:
    folder = scratch / name
    folder.mkdir()
    return folder


def _section(measured: Mapping[str, _Measured], found: dict[str, Series], notes: Sequence[str]) -> Section:
    rows = [
        [
            "server and question",
            "decisions/s",
            "lowest to highest",
            "load",
            "mean, ms",
            "alone, ms",
            "processor time a call, µs",
        ]
    ]
    for name, one in measured.items():
        mean = Series(tuple(load.mean_ms for load in one.loads)).median
        rate = found[name]
        rows.append(
            [
                _TITLES[name],
                figure(rate.median),
                rate.spread,
                str(one.shape),
                figure(mean),
                figure(one.alone_ms),
                one.cost,
            ]
        )
    goals: list[Goal] = []
    for name, others in _AGAINST.items():
        for other in others:
            if other not in measured:
                continue
            times = ratio(found[name], found[other])
            what, cost = f"{_TITLES[name]} / {_TITLES[other]}", measured[name].cost_against(measured[other])
            rows.append([f"**{what}**", f"**{times.median:.2f} times**", times.spread, "", "", "", cost])
            if (name, other) in _GOALS:
                goals.append(Goal(what, _GOALS[name, other], times.median, "times"))
    return Section("Over gRPC", rows, notes, goals)


def _sizes(ours: Mapping[str, Target], log: service.Log) -> str:
    parts = []
    for name, target in ours.items():
        answer = target.ask()
        target.settle(1)
        asked = target.question.frame.stat().st_size - 5
        parts.append(f"{name} {asked:,} / {len(answer):,} / {len(log.entry):,}")
    return f"Bytes of question / answer / entry in the log: {'; '.join(parts)}."


def _notes(binary: Path | None) -> Iterator[str]:
    yield (
        f"Load by {generator()}, in plain text on loopback. *Load* is how many connections with how many calls at a "
        "time, the best of a sweep for each server and question. All calls of a question are the same, byte for byte: "
        "what a server remembers of the person and the rules that apply, it remembers here."
    )
    yield (
        "Linewarden is `linewarden serve` with one worker: keys checked, requests validated, decisions explained, "
        "names encrypted, the log on SQLite durable before each answer, the housekeeping process beside it. Before "
        "each measurement one answer was checked; after it every entry that came was read: as many as answers, all of "
        "them decisions that allow. Then the index caught up, so that it does not weigh on the next."
    )
    yield "The echo reads the same question and writes one answer of the same size: no key, no decision, no log."
    if binary is None:
        yield "Cerbos was not measured, because npm or its package is missing. Install npm with access to its registry."
    else:
        yield (
            f"Cerbos {cerbos.version(binary)} uses both cores and runs with its log off; its policy has the same rules "
            "on recordings but no duties; the caller tells it the roles, which Linewarden knows itself."
        )
    yield (
        "Ratios are medians of the rounds' ratios. *mean*: of single calls under load; *alone*: the median of "
        "calls one after the other. *Processor time* is that of the server alone."
    )

"""Checks over gRPC: single ones and batches with the durable log, beside a bare echo and Cerbos without log."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cerbos
import openfga
import postgres
import service
from load import Load, Question, Shape, generator
from processes import await_listener, free_address, started
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
        self.costs_us: list[float] = []
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
        before = self.target.processor_s()
        load = self.target.press(self.shape, self._calls)
        self.loads.append(load)
        self.costs_us.append((self.target.processor_s() - before) / load.calls * 1e6)
        return load.rate * self.target.items

    @property
    def cost_us(self) -> float:
        """The processor time of a call in all processes of the server, in microseconds."""
        return Series(tuple(self.costs_us)).median

    def loaded_ms(self) -> tuple[float, float]:
        """Return p50 and p99 under load, in milliseconds: the medians of the rounds."""
        p50, p99 = (Series(tuple(getattr(load, name) for load in self.loads)).median for name in ("p50_ms", "p99_ms"))
        return p50, p99


def measure(scratch: Path, cache: Path, rounds: int, seconds: float) -> Section:
    """Measure every server with every question, in turn, `seconds` each, in each of the rounds."""
    with ExitStack() as stack:
        ours, log = stack.enter_context(service.running(_folder(scratch, "linewarden")))
        targets = {name: ours[name] for name in ("single", "batch", "owners")}
        for name, settings in _VARIANTS.items():
            found, _ = stack.enter_context(service.running(_folder(scratch, name), **settings))
            targets |= {f"{name} single": found["single"], f"{name} batch": found["batch"]}
        targets |= _on_postgres(stack, scratch)
        targets["echo"] = stack.enter_context(_echo(ours["single"], _folder(scratch, "echo")))
        targets |= _peers(stack, scratch, cache)
        measured = {name: _Measured(targets[name], seconds) for name in _TITLES if name in targets}
        sides: dict[str, Callable[[], float]] = {name: one.decisions for name, one in measured.items()}
        found_rates = alternate(sides, rounds)
        sizes = _sizes(ours, log)
    return _section(measured, found_rates, [*_notes(cache), sizes])


#: Servers of ours that differ in these settings.
_VARIANTS: dict[str, dict[str, Any]] = {
    "grpcio": {"transport": "grpcio"},
    "tls": {"plaintext": "false"},
    "workers": {"workers": "2"},
}


def _on_postgres(stack: ExitStack, scratch: Path) -> dict[str, Target]:
    database = stack.enter_context(postgres.running(_folder(scratch, "database")))
    if database is None:
        return {}
    targets: dict[str, Target] = {}
    for name, workers in (("postgres", "1"), ("postgres workers", "2")):
        url = database.make(f"bench_{workers}")
        found, _ = stack.enter_context(
            service.running(_folder(scratch, name), database.process, database_url=url, workers=workers)
        )
        targets |= {f"{name} single": found["single"], f"{name} batch": found["batch"]}
    return targets


def _peers(stack: ExitStack, scratch: Path, cache: Path) -> dict[str, Target]:
    targets: dict[str, Target] = {}
    binary = cerbos.installed(cache / "cerbos")
    if binary is not None:
        found = stack.enter_context(cerbos.running(binary, _folder(scratch, "cerbos")))
        targets |= {f"cerbos {name}": one for name, one in found.items()}
    binary = openfga.installed(cache / "openfga")
    for name, sqlite in (("openfga", False), ("openfga sqlite", True)):
        if binary is not None:
            found = stack.enter_context(openfga.running(binary, _folder(scratch, name), sqlite=sqlite))
            targets |= {f"{name} {question}": one for question, one in found.items()}
    return targets


_TITLES = {
    "single": "Linewarden, Check",
    "tls single": "the same over TLS",
    "workers single": "the same with 2 workers",
    "grpcio single": "the same with the transport grpcio",
    "postgres single": "the same on PostgreSQL",
    "postgres workers single": "the same on PostgreSQL with 2 workers",
    "echo": "bare grpc.aio echo",
    "cerbos single": "Cerbos, 1 resource",
    "openfga single": "OpenFGA in memory, Check",
    "openfga sqlite single": "OpenFGA on SQLite, Check",
    "batch": "Linewarden, CheckBatch of 50, 8 owners",
    "tls batch": "the same over TLS",
    "workers batch": "the same with 2 workers",
    "grpcio batch": "the same with the transport grpcio",
    "postgres batch": "the same on PostgreSQL",
    "postgres workers batch": "the same on PostgreSQL with 2 workers",
    "owners": "Linewarden, CheckBatch of 50, 50 owners",
    "cerbos batch": "Cerbos, 50 resources",
    "openfga batch": "OpenFGA in memory, BatchCheck of 50",
    "openfga sqlite batch": "OpenFGA on SQLite, BatchCheck of 50",
}


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two sides, and the goals of the first against the second, as times of the second."""

    one: str
    other: str
    rate: float | None = None
    cost: float | None = None
    alone: float | None = None


_COMPARISONS = (
    _Comparison("single", "cerbos single", rate=1.5, cost=0.6, alone=1.5),
    _Comparison("batch", "cerbos batch", rate=3.0),
    _Comparison("owners", "cerbos batch"),
    _Comparison("single", "openfga single"),
    _Comparison("batch", "openfga batch"),
    _Comparison("single", "openfga sqlite single"),
    _Comparison("batch", "openfga sqlite batch"),
    _Comparison("single", "grpcio single"),
    _Comparison("batch", "grpcio batch"),
    _Comparison("tls single", "single"),
    _Comparison("workers single", "single", rate=1.6),
    _Comparison("workers batch", "batch"),
    _Comparison("postgres workers single", "postgres single", rate=1.6),
    _Comparison("single", "echo"),
)


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
            *("server and question", "decisions/s", "lowest to highest", "load"),
            *("p50 / p99, ms", "alone: p50 / p99, ms", "processor time a call, µs"),
        ]
    ]
    for name, one in measured.items():
        rate, (p50, p99) = found[name], one.loaded_ms()
        times = (f"{figure(p50)} / {figure(p99)}", " / ".join(map(figure, one.alone_ms)))
        rows.append([_TITLES[name], figure(rate.median), rate.spread, str(one.shape), *times, figure(one.cost_us)])
    goals: list[Goal] = []
    pairs = [pair for pair in _COMPARISONS if pair.one in measured and pair.other in measured]
    rows += [_compared(pair, measured, found, goals) for pair in pairs]
    return Section("Over gRPC", rows, notes, goals)


def _compared(
    pair: _Comparison, measured: Mapping[str, _Measured], found: Mapping[str, Series], goals: list[Goal]
) -> list[str]:
    one, other = measured[pair.one], measured[pair.other]
    rate = ratio(found[pair.one], found[pair.other])
    cost = one.cost_us / one.target.items / (other.cost_us / other.target.items)
    alone = one.alone_ms[0] / other.alone_ms[0]
    what = f"{_named(pair.one)} / {_named(pair.other)}"
    for kind, wanted, seen in (
        ("rate", pair.rate, rate.median),
        ("cost", pair.cost, cost),
        ("alone", pair.alone, alone),
    ):
        if wanted is not None:
            goals.append(Goal(f"{what}, {_KINDS[kind]}", wanted, seen, "times", at_most=kind != "rate"))
    return [
        f"**{what}**",
        f"**{rate.median:.2f} times**",
        rate.spread,
        "",
        "",
        f"{alone:.2f} times",
        f"{cost:.2f} times",
    ]


_KINDS = {"rate": "rate", "cost": "processor time of a decision", "alone": "p50 alone"}


def _named(name: str) -> str:
    question = "CheckBatch" if _TITLES[name].startswith("the same") and "batch" in name else "Check"
    return f"{question}, {_TITLES[name].removeprefix('the same ')}" if "the same" in _TITLES[name] else _TITLES[name]


def _sizes(ours: Mapping[str, Target], log: service.Log) -> str:
    parts = []
    for name, target in ours.items():
        answer = target.ask()
        target.settle(1)
        asked = target.question.frame.stat().st_size - 5
        parts.append(f"{name} {asked:,} / {len(answer):,} / {len(log.entry):,}")
    return f"Bytes of question / answer / entry in the log: {'; '.join(parts)}."


def _notes(cache: Path) -> Iterator[str]:
    yield (
        f"Load by {generator()}, on loopback, in plain text except where TLS is named. *Load* is how many connections "
        "with how many calls at a time, the best of a sweep for each server and question. All calls of a question are "
        "the same, byte for byte: what a server remembers of the person and the rules that apply, it remembers here."
    )
    yield (
        "Linewarden is `linewarden serve`: keys checked, requests validated, decisions explained, names encrypted, the "
        "log durable before each answer, on SQLite with one worker except where another is named. Before each "
        "measurement one answer was checked; after it every entry that came was read: as many as answers, all of them "
        "decisions that allow. Then the index caught up."
    )
    yield "The echo reads the same question and writes one answer of the same size: no key, no decision, no log."
    binary = cerbos.installed(cache / "cerbos")
    if binary is None:
        yield "Cerbos was not measured, because npm or its package is missing. Install npm with access to its registry."
    else:
        yield (
            f"Cerbos {cerbos.version(binary)} uses both cores and runs with its log off; its policy has the same rules "
            "on recordings but no duties; the caller tells it the roles, which Linewarden knows itself."
        )
    if openfga.installed(cache / "openfga") is None:
        yield "OpenFGA was not measured: install Go with access to its module proxy to build it."
    else:
        yield "OpenFGA decides by relations alone, without purposes, ages and a log; it reads as its defaults say."
    yield (
        "Ratios are medians of the rounds' ratios. *alone*: calls one after the other. *Processor time* is that of all "
        "processes of a server while the load ran and until its log was indexed: workers, housekeeping with the index, "
        "and the processes of PostgreSQL."
    )

"""Decisions in process: the time of `Snapshot.decide` as the rules grow, beside unmodified Casbin."""

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter, thread_time, time_ns
from typing import Any

from rounds import Series, alternate, figure, ratio
from section import Goal, Section

from linewarden.authz.casbin_model import stock_enforcer, stock_request
from linewarden.authz.model import Context, Resource, ResourceType, Verb
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import parse_statement
from linewarden.server.bootstrap import COLLECTOR_THRESHOLDS

_PERSONS = 2_000
_ROLES_EACH = 3
_RULES_PER_ROLE = 10

#: Unmodified Casbin evaluates every rule for each question: at 1,000,000 rules one answer would take seconds.
_STOCK_UP_TO = 100_000
_STOCK_BUDGET_S = 0.4

#: Its role manager takes time with the square of the bindings, so it gets only the bindings of the first so many.
_STOCK_PERSONS = 100

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class _Question:
    subject: str
    resource: Resource


class _Policy:
    """A company with `size` rules, each for a role and a queue; every person has three roles."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.roles = max(_ROLES_EACH, size // _RULES_PER_ROLE)
        started = perf_counter()
        statements = [parse_statement(line) for line in self._lines(_PERSONS)]
        parsed = perf_counter()
        self.snapshot = Snapshot.compile(1, b"", ((f"1.{n}", one) for n, one in enumerate(statements)))
        self.parse_s, self.compile_s = parsed - started, perf_counter() - parsed
        self.collect_ms = _set_apart()
        self.stock: Any = None
        if size <= _STOCK_UP_TO:
            self.stock = stock_enforcer(parse_statement(line) for line in self._lines(_STOCK_PERSONS))
            _set_apart()

    def questions(self, seed: int, persons: int = _PERSONS) -> list[_Question]:
        """Return one question of each person, in random order, each about another item; about half are allowed."""
        chosen = random.Random(seed)
        asked = []
        for person in chosen.sample(range(persons), persons):
            role = self._roles_of(person)[chosen.randrange(_ROLES_EACH)]
            queue = role + self.roles * chosen.randrange(max(1, self.size // self.roles))
            asked.append(_Question(_name(person), self._item(chosen, queue)))
        return asked

    def _item(self, chosen: random.Random, queue: int) -> Resource:
        id = f"q{queue}/{chosen.randrange(10**9)}.wav"
        owner = _name(chosen.randrange(_PERSONS))
        created_us = time_ns() // 1_000 - chosen.randrange(2, 180) * _DAY_US
        return Resource(ResourceType.RECORDING, id, owner, f"q{queue}", created_us)

    def _lines(self, persons: int) -> Iterator[str]:
        for person in range(persons):
            for role in dict.fromkeys(self._roles_of(person)):
                yield f"bind {_name(person)} role:r{role}"
        for rule in range(self.size):
            yield f"allow role:r{rule % self.roles} play recording queue:q{rule} if age<90d then announce"

    def _roles_of(self, person: int) -> list[int]:
        return [(person * 7 + n) % self.roles for n in range(_ROLES_EACH)]


def measure(sizes: Sequence[int], rounds: int) -> Section:
    """Time decisions at each number of rules, all sizes in turn within each round."""
    policies = [_Policy(size) for size in sizes]
    for policy in policies:
        _compare(policy)
    context = Context(time_ns() // 1_000)
    sides: dict[str, Callable[[], float]] = {}
    for policy in policies:
        side = _Side(policy, context)
        sides[f"new {policy.size}"], sides[f"known {policy.size}"] = side.persons_new, side.persons_known
        if policy.stock is not None:
            sides[f"stock {policy.size}"] = side.stock
    found = alternate(sides, rounds)
    return _section(policies, found)


class _Side:
    """The measurement of one policy."""

    def __init__(self, policy: _Policy, context: Context) -> None:
        self._policy = policy
        self._context = context
        self._seed = 0

    def persons_new(self) -> float:
        """Return microseconds a decision about a person that the snapshot has not met."""
        return self._time(self._policy.snapshot.changed(2, b"", (), ()))

    def persons_known(self) -> float:
        """Return microseconds a decision about a known person and a new item."""
        snapshot = self._policy.snapshot.changed(2, b"", (), ())
        self._time(snapshot)
        return self._time(snapshot)

    def stock(self) -> float:
        """Return microseconds a decision of unmodified Casbin, on a few questions."""
        enforce, context = self._policy.stock.enforce, self._context
        started, count, spent = thread_time(), 0, 0.0
        for one in self._next(_STOCK_PERSONS):
            enforce(*stock_request(one.subject, Verb.PLAY, one.resource, context))
            count, spent = count + 1, thread_time() - started
            if spent > _STOCK_BUDGET_S:
                break
        return spent / count * 1e6

    def _time(self, snapshot: Snapshot) -> float:
        questions, decide, context = self._next(), snapshot.decide, self._context
        started = thread_time()
        for one in questions:
            decide(one.subject, Verb.PLAY, one.resource, context)
        return (thread_time() - started) / len(questions) * 1e6

    def _next(self, persons: int = _PERSONS) -> list[_Question]:
        self._seed += 1
        return self._policy.questions(self._seed, persons)


def _set_apart() -> float:
    """Configure the garbage collector as the server does, and exclude present objects from it.

    Returns the time of one full collection of these objects, in milliseconds.
    """
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    started = perf_counter()
    gc.collect()
    spent = perf_counter() - started
    gc.freeze()
    return spent * 1e3


def _compare(policy: _Policy) -> None:
    """Stop unless both allow and deny occur and unmodified Casbin gives the same answers on a sample."""
    context = Context(time_ns() // 1_000)
    asked = policy.questions(0, _STOCK_PERSONS)
    answers = [policy.snapshot.decide(one.subject, Verb.PLAY, one.resource, context).allowed for one in asked]
    if not any(answers) or all(answers):
        raise SystemExit(f"at {policy.size} rules, the answers are all the same: {answers[0]}")
    if policy.stock is None:
        return
    for one, answer in list(zip(asked, answers, strict=True))[:4]:
        if policy.stock.enforce(*stock_request(one.subject, Verb.PLAY, one.resource, context)) != answer:
            raise SystemExit(f"at {policy.size} rules, unmodified Casbin gives another answer")


def _section(policies: Sequence[_Policy], found: dict[str, Series]) -> Section:
    rows = [
        [
            "rules",
            "person known, µs",
            "person new, µs",
            "stock Casbin, µs",
            "times faster",
            "parse + compile, s",
            "walk by the garbage collector, ms",
        ]
    ]
    for policy in policies:
        known, new = found[f"known {policy.size}"], found[f"new {policy.size}"]
        stock = found.get(f"stock {policy.size}")
        rows.append(
            [
                f"{policy.size:,}",
                f"{figure(known.median)} ({known.spread})",
                f"{figure(new.median)} ({new.spread})",
                "not run" if stock is None else figure(stock.median),
                "" if stock is None else figure(stock.median / known.median),
                f"{policy.parse_s:.1f} + {policy.compile_s:.1f}",
                figure(policy.collect_ms),
            ]
        )
    return Section("Decisions in process", rows, _NOTES, _goals(policies, found))


def _goals(policies: Sequence[_Policy], found: dict[str, Series]) -> list[Goal]:
    goals = []
    for kind in ("known", "new"):
        series = [found[f"{kind} {policy.size}"] for policy in policies]
        slowest = max(one.median for one in series)
        growth = max(ratio(one, series[0]).median for one in series)
        what = f"decision in process, person {kind}"
        goals.append(Goal(f"{what}, slowest size", 20, slowest, "µs", at_most=True))
        goals.append(Goal(f"{what}, slowest size / {policies[0].size} rules", 1.5, growth, "times", at_most=True))
    return goals


def _name(person: int) -> str:
    return f"u{person}@acme.example"


_QUESTIONS = (
    f"{_PERSONS:,} persons with {_ROLES_EACH} roles each; a rule is for one role and one queue, with a condition "
    "on age and a duty. Each question is about an item not seen before; about half are allowed. No answer is cached."
)
_STOCK = (
    "Stock Casbin is `casbin.Enforcer` with the same model, rules and function. It is run up to "
    f"{_STOCK_UP_TO:,} rules; beyond, one answer would take seconds. On a sample at each size its answers were "
    f"compared with ours. It has the bindings of {_STOCK_PERSONS} persons only: its role manager takes time with the "
    "square of them."
)
_WALK = (
    "Policies are excluded from garbage collection (`gc.freeze`). The last column is the time that one full collection "
    "adds to a request without that."
)
_NOTES = (
    _QUESTIONS,
    "*Known*: the snapshot has met the person since the policy last changed. *New*: it has not, and closes its roles.",
    "Times are processor time of the thread, so that other work on the machine does not count.",
    _STOCK,
    _WALK,
)

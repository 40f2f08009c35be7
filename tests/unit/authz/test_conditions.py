"""Conditions state their inputs, and the cache of explanations is composed from them.

Requests are made from what each condition reads: a recorder notes which attributes its input takes, and the test varies
these around its marks. So a condition that is added later is tested without a change here.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewarden.authz import conditions
from linewarden.authz.casbin_model import stock_enforcer, stock_request
from linewarden.authz.conditions import KINDS, Condition, parse_conditions
from linewarden.authz.inputs import EVERYTHING, MAX_SKEW_US, NOW, Elapsed, Input, Look, Named
from linewarden.authz.model import Consent, Context, Effect, Purpose, Resource, ResourceType, Verb
from linewarden.authz.rules import Rule
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import parse_statement

SECOND = 1_000_000
DAY = 86_400 * SECOND
START = 1_789_999_200_000_000  # 2026-09-21T14:00:00Z, a Monday
HASH = bytes(32)

_STEPS = (0, SECOND, 20 * SECOND, 60 * SECOND, 3600 * SECOND, DAY, 7 * DAY, 90 * DAY)
_relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def written() -> list[Condition]:
    """Return the examples of every kind that can be written."""
    return [parse_conditions((kind + text,))[0] for kind, one in KINDS.items() for text in one.examples]


def classes() -> set[type[Condition]]:
    """Return every class of condition of the package."""
    found = vars(conditions).values()
    return {one for one in found if inspect.isclass(one) and issubclass(one, Condition) and not inspect.isabstract(one)}


class _Recorder:
    """A stand-in for an object that notes which of its attributes, or items, are read."""

    def __init__(self, target: Any, noted: set[str], prefix: str) -> None:
        self._target, self._noted, self._prefix = target, noted, prefix

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if isinstance(value, Mapping):
            return _Recorder(value, self._noted, f"{self._prefix}{name}.")
        if not callable(value):
            self._noted.add(f"{self._prefix}{name}")
        return self.noting(value) if callable(value) else value

    def noting(self, function: Any) -> Any:
        """Return the function, which notes its key."""

        def call(key: str, *more: Any) -> Any:
            self._noted.add(f"{self._prefix}{key}")
            return function(key, *more)

        return call

    def __getitem__(self, key: str) -> Any:
        self._noted.add(f"{self._prefix}{key}")
        return self._target[key]


def attributes_read(condition: Condition) -> set[str]:
    """Return the attributes of a request that the condition's input reads, such as `resource.labels.kind`."""
    noted: set[str] = set()
    resource = Resource(ResourceType.RECORDING, "1", created_us=START, labels={})
    context = Context(START, Purpose.LEGAL, "T-1", "x", Consent.GIVEN)
    condition.input.read(_Recorder(resource, noted, "resource."), _Recorder(context, noted, "context."))  # type: ignore[arg-type]
    return noted


class Requests:
    """Requests that vary in the inputs of some conditions, around their marks."""

    def __init__(self, found: Sequence[Condition], random: Random) -> None:
        self._random = random
        self._read = sorted({name for one in found for name in attributes_read(one)})
        self._marks = [mark for one in found for mark in one.marks]

    def __iter__(self) -> Iterator[tuple[Resource, Context]]:
        while True:
            yield self._request()

    def _request(self) -> tuple[Resource, Context]:
        resource, context = Resource(ResourceType.RECORDING, "1"), Context(START)
        for name in self._read:
            part, _, attribute = name.partition(".")
            if part == "context":
                context = context._replace(**{attribute: self._value(attribute, context)})
            elif attribute.startswith("labels."):
                labels = {**resource.labels, attribute.removeprefix("labels."): self._word()}
                resource = resource._replace(labels={key: word for key, word in labels.items() if word})
            else:
                resource = resource._replace(**{attribute: self._value(attribute, context)})
        return resource, context

    def _value(self, attribute: str, context: Context) -> Any:
        pick = self._random.choice
        if attribute == "created_us":
            return pick([None, self._instant(context.now_us), context.now_us + pick([1, MAX_SKEW_US, MAX_SKEW_US + 1])])
        if attribute.endswith("_us"):
            return self._instant(START)
        if attribute == "purpose":
            return pick([None, *Purpose])
        if attribute == "consent":
            return pick([None, *Consent])
        return self._word()

    def _instant(self, around: int) -> int:
        pick = self._random.choice
        numbers = [mark for mark in self._marks if type(mark) is int]
        instants = [mark for mark in numbers if mark > START // 2]
        base = pick([around, *instants, *(around - mark for mark in numbers if mark not in instants)])
        near = self._random.randrange(8) * pick([0, SECOND, 3600 * SECOND, DAY])
        return base + pick([-1, 0, 0, 1]) + pick([-1, 0, 1]) * (pick(_STEPS) + near)

    def _word(self) -> str:
        return self._random.choice(["", "unheard-of", *(mark for mark in self._marks if isinstance(mark, str))])


def rules_of(found: Sequence[Sequence[Condition]], effects: Sequence[Effect]) -> list[Rule]:
    """Return rules for one person and all recordings, which differ in their conditions only."""
    return [_rule(effect, *each) for each, effect in zip(found, effects, strict=True)]


def _rule(effect: Effect, *found: Condition) -> Rule:
    plain = parse_statement("allow ann play recording any")
    assert isinstance(plain, Rule)
    return replace(plain, effect=effect, conditions=found)


def compare(rules: Sequence[Rule], asked: Sequence[tuple[Resource, Context]], later_us: int = 0) -> None:
    """Ask one snapshot everything twice, compare with unmodified Casbin, and repeat just before each answer expires."""
    snapshot = Snapshot.compile(1, HASH, [(f"1.{n}", rule) for n, rule in enumerate(rules)])
    enforcer = stock_enforcer(rules)
    for resource, context in [*asked, *reversed(asked)]:
        decision = snapshot.decide("ann", Verb.PLAY, resource, context)
        assert decision.allowed is enforcer.enforce(*stock_request("ann", Verb.PLAY, resource, context))
        last = context.now_us + later_us if decision.expires_us is None else decision.expires_us - 1
        assert last >= context.now_us
        then = context._replace(now_us=min(last, context.now_us + later_us) if later_us else last)
        assert decision.allowed is enforcer.enforce(*stock_request("ann", Verb.PLAY, resource, then))


def test_every_class_of_condition_has_examples() -> None:
    """Each class of condition is in the table from which these tests take conditions."""
    assert {type(one) for one in written()} == classes()
    for text in (kind + example for kind, one in KINDS.items() for example in one.examples):
        assert parse_conditions((text,))[0].text == text


def sets_of(known: Sequence[Condition]) -> st.SearchStrategy[list[list[Condition]]]:
    """Return conditions of several rules, each kind once in a rule."""
    one = st.lists(st.sampled_from(known), min_size=1, max_size=3, unique_by=lambda condition: condition.kind)
    return st.lists(one, min_size=1, max_size=4)


@pytest.mark.slow
@settings(_relaxed, max_examples=50)
@given(sets_of(written()), st.randoms(use_true_random=False), st.integers(0, 100 * DAY))
def test_remembered_answers_are_those_of_casbin(found: list[list[Condition]], random: Any, later_us: int) -> None:
    """A cached answer equals that of Casbin until it expires, for every condition."""
    rules = rules_of(found, [random.choice([Effect.ALLOW, Effect.ALLOW, Effect.DENY]) for _ in found])
    requests = Requests([condition for each in found for condition in each], random)
    compare(rules, list(islice(requests, 20)), later_us)


@pytest.mark.parametrize("condition", written(), ids=lambda one: one.text)
@pytest.mark.parametrize("effect", list(Effect))
def test_each_condition_alone_is_remembered_rightly(condition: Condition, effect: Effect) -> None:
    """A rule with one condition gives the answers of Casbin, computed and cached, allowing and denying."""
    everybody = _rule(Effect.ALLOW)
    rules = rules_of([[condition]], [effect]) + ([everybody] if effect is Effect.DENY else [])
    compare(rules, list(islice(Requests([condition], Random(7)), 100)), later_us=3 * DAY)


class Weekday(Named):
    """The day of the week, as a word."""

    def read(self, resource: Resource, context: Context) -> str:  # noqa: ARG002 - the instant alone matters
        """Return the name of the day in UTC; 1970 began on a Thursday."""
        return ("thu", "fri", "sat", "sun", "mon", "tue", "wed")[context.now_us // DAY % 7]

    def look(self, resource: Resource, context: Context, marks: frozenset[str]) -> Look:
        """Return the day, which stands until midnight."""
        return super().look(resource, context, marks)[0], (context.now_us // DAY + 1) * DAY


class Label(Named):
    """The label of a key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def read(self, resource: Resource, context: Context) -> str | None:  # noqa: ARG002 - the item alone matters
        """Return the value of the label; None without one."""
        return resource.labels.get(self._key)


class SinceMidnight(Elapsed):
    """The time of day."""

    def since(self, resource: Resource, context: Context) -> int:  # noqa: ARG002 - the instant alone matters
        """Return the midnight before the request."""
        return context.now_us // DAY * DAY

    def look(self, resource: Resource, context: Context, marks: tuple[int, ...]) -> Look:
        """Return the time of day; after the last mark it begins anew at midnight."""
        value, until = super().look(resource, context, marks)
        return value, until or self.since(resource, context) + DAY


WEEKDAY, KIND, TIME_OF_DAY = Weekday(), Label("kind"), SinceMidnight()


@dataclass(frozen=True)
class New(Condition):
    """A newly added condition: its value is one of some words, or above a number."""

    kind: str
    of: Input
    said: tuple[Any, ...]

    @property
    def text(self) -> str:
        """The text of the condition in a policy."""
        return self.kind + ",".join(map(str, self.said))

    @property
    def input(self) -> Input:
        """The input of the condition."""
        return self.of

    @property
    def marks(self) -> tuple[Any, ...]:
        """The values at which the verdict changes."""
        return self.said

    def is_met(self, value: Any) -> bool:
        """Return whether the value is one of the words, or above the number."""
        return value >= self.said[0] if isinstance(self.of, Elapsed) else value in self.said


@dataclass(frozen=True)
class Even(Condition):
    """A condition without marks that it could state: the second is an even one."""

    kind: str = "even"
    text: str = "even"
    input: Input = EVERYTHING
    marks: tuple[Any, ...] = ()

    def is_met(self, value: Any) -> bool:
        """Return the verdict, which depends on the whole request."""
        return bool(value[1].now_us // SECOND % 2 == 0)


@dataclass(frozen=True)
class Forgetful(New):
    """A condition that does not state all its marks."""

    @property
    def marks(self) -> tuple[Any, ...]:
        """The incomplete marks."""
        return self.said[:1]


TOYS = [
    New("weekday=", WEEKDAY, ("mon", "tue")),
    New("weekday!=", WEEKDAY, ("sat",)),
    New("label=", KIND, ("internal", "test")),
    New("after=", TIME_OF_DAY, (14 * 3600 * SECOND,)),
]


@pytest.mark.slow
@settings(_relaxed, max_examples=50)
@given(sets_of([*TOYS, *TOYS, *written()]), st.randoms(use_true_random=False), st.integers(0, 9 * DAY))
def test_a_condition_added_tomorrow_is_remembered_rightly(
    found: list[list[Condition]], random: Any, later_us: int
) -> None:
    """The cache of explanations handles new conditions on the day, the hour or a label without a change."""
    rules = rules_of(found, [random.choice([Effect.ALLOW, Effect.DENY]) for _ in found])
    requests = Requests([condition for each in found for condition in each], random)
    compare(rules, list(islice(requests, 20)), later_us)


def test_what_does_not_compose_is_not_remembered() -> None:
    """A condition that may change at any moment is asked each time, and its answer expires at once."""
    rules = rules_of([[Even()]], [Effect.ALLOW])
    asked = [(Resource(ResourceType.RECORDING, "1"), Context(START + n * SECOND)) for n in range(6)]
    compare(rules, asked)
    snapshot = Snapshot.compile(1, HASH, [("1.1", rules[0])])
    assert [snapshot.decide("ann", Verb.PLAY, *one).allowed for one in asked] == [True, False] * 3
    assert snapshot.decide("ann", Verb.PLAY, *asked[0]).expires_us == START + 1


def test_a_condition_that_hides_what_it_tells_apart_is_found() -> None:
    """The comparison fails for a condition that states too few marks."""
    requests = list(islice(Requests([New("label=", KIND, ("internal", "test"))], Random(1)), 50))
    with pytest.raises(AssertionError):
        compare(rules_of([[Forgetful("label=", KIND, ("internal", "test"))]], [Effect.ALLOW]), requests)


def test_an_answer_that_outlives_its_instant_is_found() -> None:
    """The comparison fails for an input that does not state when time changes it."""

    class Still(Weekday):
        look = Named.look

    condition = New("weekday=", Still(), ("mon", "tue"))
    requests = list(islice(Requests([condition], Random(1)), 50))
    with pytest.raises(AssertionError):
        compare(rules_of([[condition]], [Effect.ALLOW]), requests, later_us=2 * DAY)


@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize("text", ["age<90d", "age>=30s"])
@pytest.mark.parametrize("ahead_us", [MAX_SKEW_US + 1, 3600 * SECOND, 253_402_300_799 * SECOND - START])
def test_an_item_from_the_future_has_no_age(effect: Effect, text: str, ahead_us: int) -> None:
    """A creation time in the future meets no condition of an allow rule on age, and keeps no deny rule from denying."""
    everybody = _rule(Effect.ALLOW)
    rules = rules_of([parse_conditions((text,))], [effect]) + ([everybody] if effect is Effect.DENY else [])
    snapshot = Snapshot.compile(1, HASH, [(f"1.{n}", rule) for n, rule in enumerate(rules)])
    item = Resource(ResourceType.RECORDING, "1", created_us=START + ahead_us)
    assert not snapshot.decide("ann", Verb.PLAY, item, Context(START)).allowed
    compare(rules, [(item, Context(START))])


def test_the_clocks_of_two_machines_may_differ_a_little() -> None:
    """An item that seems to be made up to MAX_SKEW_US from now is new."""
    snapshot = Snapshot.compile(1, HASH, [("1.1", rules_of([parse_conditions(("age<90d",))], [Effect.ALLOW])[0])])
    item = Resource(ResourceType.RECORDING, "1", created_us=START + MAX_SKEW_US)
    assert snapshot.decide("ann", Verb.PLAY, item, Context(START)).allowed
    assert not snapshot.decide("ann", Verb.PLAY, item, Context(START - 1)).allowed
    assert snapshot.decide("ann", Verb.PLAY, item, Context(START - 1)).expires_us == START
    assert NOW.read(item, Context(START)) == START

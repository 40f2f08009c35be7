"""Conditions of rules: requirements beside person, verb and item.

    from=T, until=T          from T on, before T: half-open, T as 2026-01-31T08:00:00Z
    purpose=A,B              the stated purpose is one of these
    age<90d, age>=30m        the item's age; units s, m, h, d, w, and mo and y for calendar months and years in UTC
    created>=T, created<T    the time of creation of the item is at or after T, or before T
    duration<10m             the item is shorter; units s, m, h
    duration>=5s             the item is at least that long
    consent=given            the parties agreed (or `refused`)
    case                     a case reference is stated
    zone=A,B, zone!=A,B      the person's network zone is, or is not, one of these

**Unknown inputs** (no creation time, or one in the future; no consent, purpose or zone stated) make a condition neither
true nor false. An allow rule matches only if all its conditions are true. A deny rule matches unless one is false. So a
caller who leaves an attribute out never gets more: `deny … if purpose=training` also denies a request without a
purpose, and `deny … if consent=refused` denies while consent is unknown. `case` asks whether a reference is stated, so
it is never unknown. A creation time up to five seconds ahead of this service's clock is clock skew: the item is new.

**Inputs that cannot be evaluated** (a time that is no whole number) make a deny rule match, regardless of its other
conditions, and keep an allow rule from matching.

**Adding a condition.** A class states its `input`, the `marks` at which its verdict changes, and the verdict for a
value. `KINDS` has its parser and examples. The key under which explanations are remembered, and the time at which an
answer expires, follow from these. A condition gets the value of its input and nothing else of the request.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from linewarden.authz.inputs import (
    AGE,
    AGE_MONTHS,
    CASE,
    CONSENT,
    CREATED,
    DURATION,
    EPOCH,
    NOW,
    PURPOSE,
    STATED,
    US,
    ZONE,
    Input,
)
from linewarden.authz.lexer import Malformed
from linewarden.authz.model import Consent, Context, Effect, Purpose, Resource

_SECONDS: Mapping[str, int] = MappingProxyType({"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800})
_MONTHS: Mapping[str, int] = MappingProxyType({"mo": 1, "y": 12})
#: Microseconds of the shortest and the longest span of one unit.
_SPANS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        **{unit: (seconds * 1_000_000, seconds * 1_000_000) for unit, seconds in _SECONDS.items()},
        "mo": (28 * 86400 * 1_000_000, 31 * 86400 * 1_000_000),
        "y": (365 * 86400 * 1_000_000, 366 * 86400 * 1_000_000),
    }
)
_MAX_AGE_US = 36525 * 86400 * 1_000_000

_SIGNS = re.compile(r"([a-z]+)(=|!=|<|>=)(.*)", re.DOTALL)
_AGE = re.compile(r"([1-9][0-9]{0,9})(mo|[smhdwy])")
_DURATION = re.compile(r"([1-9][0-9]{0,9})([smh])")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?Z")
_ZONE = re.compile(r"[a-z0-9_-]{1,64}")


class Condition(ABC):
    """One condition. A rule has at most one condition of each `kind`."""

    __slots__ = ()

    #: Name and sign, such as `age<`.
    kind: str

    @property
    @abstractmethod
    def text(self) -> str:
        """As it is written in a policy file."""

    @property
    @abstractmethod
    def input(self) -> Input:
        """The only input on which the verdict depends."""

    @property
    @abstractmethod
    def marks(self) -> tuple[Any, ...]:
        """The values of the input at which the verdict can change; see `inputs`."""

    @abstractmethod
    def is_met(self, value: Any) -> bool:
        """Return whether a known value of the input meets the condition."""


Conditions = tuple[Condition, ...]


class Fault:
    """The result of an input that could not be read, or of a condition that could not be evaluated."""


FAULT: Final = Fault()

#: The result of a condition; None if its input is unknown.
Verdict = bool | Fault | None


def holds(when: Conditions, effect: str, resource: Resource, context: Context) -> bool:
    """Return whether the conditions let a rule of this effect match. Never raises; see this module's docstring."""
    return lets_match([verdict(one, _observed(one.input, resource, context)) for one in when], effect)


def lets_match(verdicts: Sequence[Verdict], effect: str) -> bool:
    """Return whether a rule of this effect matches when its conditions have these verdicts."""
    if FAULT in verdicts:
        return effect != Effect.ALLOW
    if effect == Effect.ALLOW:
        return all(verdicts)
    return False not in verdicts


def _observed(one: Input, resource: Resource, context: Context) -> Any:
    """Return the value of an input: None if it is unknown, FAULT if it cannot be read."""
    try:
        return one.read(resource, context)
    except Exception:  # noqa: BLE001 - no error in a condition may grant an access
        return FAULT


def verdict(condition: Condition, value: Any) -> Verdict:
    """Evaluate a condition for a value of its input."""
    if value is None or value is FAULT:
        known: Verdict = value
        return known
    try:
        return condition.is_met(value)
    except Exception:  # noqa: BLE001 - see `_observed`
        return FAULT


@dataclass(frozen=True, slots=True)
class Bound(Condition):
    """One end of a window for the time of the request or of creation. It includes its start and excludes its end."""

    kind: str
    at_us: int

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        at = EPOCH + self.at_us * US
        return f"{self.kind}{at:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def input(self) -> Input:
        """The instant of the request, or that of the item's creation."""
        return _INPUTS[self.kind]

    @property
    def marks(self) -> tuple[int, ...]:
        """The bound itself."""
        return (self.at_us,)

    def is_met(self, value: int) -> bool:
        """Return whether the request falls on the right side of the bound."""
        return (value >= self.at_us) is (self.kind in ("from=", "created>="))


@dataclass(frozen=True, slots=True)
class Age(Condition):
    """A bound on the item's age or duration. Months and years are those of the calendar."""

    kind: str
    count: int
    unit: str

    @property
    def span(self) -> tuple[int, int]:
        """The shortest and the longest time that the bound can be, microseconds."""
        shortest, longest = _SPANS[self.unit]
        return self.count * shortest, self.count * longest

    @property
    def bound(self) -> int:
        """The bound: calendar months for months and years, otherwise microseconds."""
        return self.count * _MONTHS[self.unit] if self.unit in _MONTHS else self.span[0]

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        return f"{self.kind}{self.count}{self.unit}"

    @property
    def input(self) -> Input:
        """The age of the item, in the unit of the bound, or its duration."""
        if self.kind.startswith("duration"):
            return DURATION
        return AGE_MONTHS if self.unit in _MONTHS else AGE

    @property
    def marks(self) -> tuple[int, ...]:
        """The bound itself."""
        return (self.bound,)

    def is_met(self, value: int) -> bool:
        """Return whether the age or duration is on the right side of the bound."""
        return (value < self.bound) is self.kind.endswith("<")


@dataclass(frozen=True, slots=True)
class Stated(Condition):
    """A requirement on the stated purpose, consent or zone: it is one of the values, or with `!=` none of them."""

    kind: str
    values: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        return self.kind + ",".join(self.values)

    @property
    def input(self) -> Input:
        """The input that `kind` names."""
        return _INPUTS[self.kind]

    @property
    def marks(self) -> tuple[str, ...]:
        """The values of the condition."""
        return self.values

    def is_met(self, value: str) -> bool:
        """Return whether the stated value is one of the values, or with `!=` none of them."""
        return (value in self.values) is not self.kind.endswith("!=")


@dataclass(frozen=True, slots=True)
class CaseStated(Condition):
    """The requirement that a case reference is stated."""

    kind: str = "case"

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        return self.kind

    @property
    def input(self) -> Input:
        """The presence of a case reference."""
        return CASE

    @property
    def marks(self) -> tuple[str, ...]:
        """The word that represents a stated reference."""
        return (STATED,)

    def is_met(self, value: str) -> bool:
        """Return whether a reference is stated."""
        return value == STATED


_INPUTS: Mapping[str, Input] = MappingProxyType(
    {
        "from=": NOW,
        "until=": NOW,
        "created>=": CREATED,
        "created<": CREATED,
        "purpose=": PURPOSE,
        "consent=": CONSENT,
        "zone=": ZONE,
        "zone!=": ZONE,
    }
)


def parse_conditions(texts: tuple[str, ...]) -> Conditions:
    """Parse the conditions of one rule; the result is in the order of KINDS.

    Raises:
        Malformed: a condition is invalid, is given twice, or can never hold together with another one.
    """
    # Long texts are rare, and a cache of them would keep megabytes of policies that are no longer in force.
    return _parsed(texts) if sum(map(len, texts)) <= _CACHED_LENGTH else _parsed.__wrapped__(texts)


@lru_cache(4096)
def _parsed(texts: tuple[str, ...]) -> Conditions:
    by_kind = {one.kind: one for one in map(_parse, texts)}
    if len(by_kind) != len(texts):
        raise Malformed("two conditions are of the same kind: join them or remove one")
    for start, end in (("from=", "until="), ("created>=", "created<")):
        match by_kind.get(start), by_kind.get(end):
            case Bound(at_us=first), Bound(at_us=last) if first >= last:
                raise Malformed(f"`{start}` is not before `{end}`, so the rule never matches: exchange or change them")
    for noun in ("age", "duration"):
        match by_kind.get(f"{noun}<"), by_kind.get(f"{noun}>="):
            case Age() as below, Age() as least if least.span[0] >= below.span[1]:
                raise Malformed(f"`{noun}>=` is not below `{noun}<`, so no item has such {noun}: change one of them")
    return tuple(by_kind[kind] for kind in KINDS if kind in by_kind)


def _parse(text: str) -> Condition:
    match = _SIGNS.fullmatch(text)
    kind, value = (match[1] + match[2], match[3]) if match else (text, "")
    if kind not in KINDS:
        *others, last = KINDS
        raise Malformed(f"unknown condition: write {', '.join(others)} or {last}")
    return KINDS[kind].parse(kind, value)


def _parse_bound(kind: str, value: str) -> Bound:
    try:
        if _TIME.fullmatch(value):
            return Bound(kind, max(0, (datetime.fromisoformat(value) - EPOCH) // US))
    except ValueError:
        pass
    raise Malformed("the time is invalid: write it as 2026-01-31T08:00:00Z")


def _parse_age(kind: str, value: str) -> Age:
    match = _AGE.fullmatch(value)
    if match is None:
        raise Malformed("the age is invalid: write a whole number with its unit, which is s, m, h, d, w, mo or y")
    age = Age(kind, int(match[1]), match[2])
    if age.span[0] > _MAX_AGE_US:
        raise Malformed("the age is more than a hundred years: write a shorter one")
    return age


def _parse_duration(kind: str, value: str) -> Age:
    match = _DURATION.fullmatch(value)
    if match is None:
        raise Malformed("the duration is invalid: write a whole number with its unit, which is s, m or h")
    duration = Age(kind, int(match[1]), match[2])
    if duration.span[0] > _MAX_AGE_US:
        raise Malformed("the duration is more than a hundred years: write a shorter one")
    return duration


def _parse_case(kind: str, _value: str) -> CaseStated:
    return CaseStated(kind)


def _parse_zones(kind: str, value: str) -> Stated:
    values = _distinct(value)
    if not all(map(_ZONE.fullmatch, values)):
        raise Malformed("the name of a zone is invalid: write up to 64 of a-z, 0-9, `_` and `-`")
    return Stated(kind, values)


def _parse_purposes(kind: str, value: str) -> Stated:
    return Stated(kind, _known(kind, value, frozenset(Purpose)))


def _parse_consent(kind: str, value: str) -> Stated:
    values = _known(kind, value, frozenset(Consent))
    if len(values) > 1:
        raise Malformed("consent has two values: write either given or refused")
    return Stated(kind, values)


def _known(kind: str, value: str, known: frozenset[str]) -> tuple[str, ...]:
    values = _distinct(value)
    if not known.issuperset(values):
        raise Malformed(f"unknown value after `{kind}`: write one of {', '.join(sorted(known))}")
    return values


def _distinct(value: str) -> tuple[str, ...]:
    values = value.split(",")
    if len(set(values)) != len(values):
        raise Malformed("a value of the condition is given twice: remove one")
    return tuple(sorted(values))


class Kind(NamedTuple):
    """The syntax of one kind of condition: the parser of the text after the sign, and examples for tests."""

    parse: Callable[[str, str], Condition]
    examples: tuple[str, ...]


#: Every kind of condition, in the order in which a rule's conditions are written. A rule has at most one of each.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "from=": Kind(_parse_bound, ("2026-09-21T14:13:20Z", "2026-09-21T14:13:21Z")),
        "until=": Kind(_parse_bound, ("2026-09-21T14:13:21Z", "2026-09-22T00:00:00Z")),
        "purpose=": Kind(_parse_purposes, ("quality", "legal,quality,training")),
        "age<": Kind(_parse_age, ("1m", "90d")),
        "age>=": Kind(_parse_age, ("30s", "2w")),
        "created>=": Kind(_parse_bound, ("2026-09-21T14:13:20Z", "2026-09-21T14:13:21Z")),
        "created<": Kind(_parse_bound, ("2026-09-21T14:13:21Z", "2026-09-22T00:00:00Z")),
        "duration<": Kind(_parse_duration, ("10s", "2h")),
        "duration>=": Kind(_parse_duration, ("5s", "1m")),
        "consent=": Kind(_parse_consent, ("given", "refused")),
        "case": Kind(_parse_case, ("",)),
        "zone=": Kind(_parse_zones, ("office", "home,office")),
        "zone!=": Kind(_parse_zones, ("office", "lab")),
    }
)

#: The parser does not cache the conditions of a rule if they have more characters than this.
_CACHED_LENGTH = 128

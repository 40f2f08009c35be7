"""Conditions of rules: what must be the case beside person, verb and item.

    from=T, until=T          from T on, before T: half-open, T as 2026-01-31T08:00:00Z
    purpose=A,B              the stated purpose is one of these
    age<90d, age>=30m        the item's age; units s, m, h, d, w
    consent=given            the parties agreed (or `refused`)
    case                     a case reference is stated
    zone=A,B, zone!=A,B      the person's network zone is, or is not, one of these

**What is not known** (no creation time, or one in the future; no consent, purpose or zone stated) is neither true nor
false. An allow rule needs all its conditions true; a deny rule is kept from matching only by a condition that is false.
So leaving an attribute out never permits more: `deny … if purpose=training` also denies a request that states no
purpose, and `deny … if consent=refused` denies as long as consent is unknown. `case` asks whether something is stated,
so it is never unknown. A creation time up to five seconds ahead of this service's clock is clock skew: the item is new.

**What cannot be evaluated** (a time that is no whole number) counts as a deny for a deny rule, whatever its other
conditions say, and as no match for an allow rule.

**Adding a condition.** A class states its input (`looks_at`), the marks at which its verdict changes, and the verdict
for a value; `KINDS` says how it is written. Everything else is composed from that: what findings are remembered under,
and when an answer expires. A condition is given the value of its input and nothing else of the request.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from linewarden.authz.inputs import AGE, CASE, CONSENT, EPOCH, NOW, PURPOSE, STATED, US, ZONE, Input
from linewarden.authz.lexer import Malformed
from linewarden.authz.model import Consent, Context, Effect, Purpose, Resource

_SECONDS: Mapping[str, int] = MappingProxyType({"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800})
_MAX_AGE_US = 36525 * 86400 * 1_000_000

_SIGNS = re.compile(r"([a-z]+)(=|!=|<|>=)(.*)", re.DOTALL)
_AGE = re.compile(r"([1-9][0-9]{0,9})([smhdw])")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?Z")
_ZONE = re.compile(r"[a-z0-9_-]{1,64}")


class Condition(ABC):
    """One condition. `kind` may stand only once in a rule."""

    __slots__ = ()

    #: Name and sign, such as `age<`.
    kind: str

    @property
    @abstractmethod
    def text(self) -> str:
        """As it is written in a policy file."""

    @property
    @abstractmethod
    def looks_at(self) -> Input:
        """The one input that the verdict depends on."""

    @property
    @abstractmethod
    def marks(self) -> tuple[Any, ...]:
        """The values of the input at which the verdict can change, see `inputs`."""

    @abstractmethod
    def says(self, value: Any) -> bool:
        """Whether it is the case for a known value of the input."""


Conditions = tuple[Condition, ...]


class Fault:
    """A value that could not be read, or a verdict that could not be made."""


FAULT: Final = Fault()

#: What a condition says; None if its input is not known.
Verdict = bool | Fault | None


def holds(when: Conditions, effect: str, resource: Resource, context: Context) -> bool:
    """Whether the conditions let a rule of this effect match. Never raises: see this module's docstring."""
    return lets_match([verdict(one, _observed(one.looks_at, resource, context)) for one in when], effect)


def lets_match(verdicts: Sequence[Verdict], effect: str) -> bool:
    """Whether a rule of this effect matches when its conditions say so."""
    if FAULT in verdicts:
        return effect != Effect.ALLOW
    if effect == Effect.ALLOW:
        return all(verdicts)
    return False not in verdicts


def _observed(one: Input, resource: Resource, context: Context) -> Any:
    """The value of an input: None if it is not known, FAULT if it cannot be read."""
    try:
        return one.read(resource, context)
    except Exception:  # noqa: BLE001 - whatever goes wrong in a condition must not give anybody more
        return FAULT


def verdict(condition: Condition, value: Any) -> Verdict:
    """What a condition says of a value of its input."""
    if value is None or value is FAULT:
        known: Verdict = value
        return known
    try:
        return condition.says(value)
    except Exception:  # noqa: BLE001 - see `_observed`
        return FAULT


@dataclass(frozen=True, slots=True)
class Bound(Condition):
    """One end of a validity window: the window holds its start and not its end."""

    kind: str
    at_us: int

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        at = EPOCH + self.at_us * US
        return f"{self.kind}{at:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def looks_at(self) -> Input:
        """The instant of the request."""
        return NOW

    @property
    def marks(self) -> tuple[int, ...]:
        """The bound itself."""
        return (self.at_us,)

    def says(self, value: int) -> bool:
        """Whether the request falls on the right side."""
        return (value >= self.at_us) is (self.kind == "from=")


@dataclass(frozen=True, slots=True)
class Age(Condition):
    """A bound on the item's age."""

    kind: str
    count: int
    unit: str

    @property
    def us(self) -> int:
        """The bound in microseconds."""
        return self.count * _SECONDS[self.unit] * 1_000_000

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        return f"{self.kind}{self.count}{self.unit}"

    @property
    def looks_at(self) -> Input:
        """The age of the item."""
        return AGE

    @property
    def marks(self) -> tuple[int, ...]:
        """The bound itself."""
        return (self.us,)

    def says(self, value: int) -> bool:
        """Whether the item is on the right side."""
        return (value < self.us) is (self.kind == "age<")


@dataclass(frozen=True, slots=True)
class Stated(Condition):
    """Purpose, consent or zone: what the request states is among the values, or with `!=` is not."""

    kind: str
    values: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        return self.kind + ",".join(self.values)

    @property
    def looks_at(self) -> Input:
        """What is stated of it."""
        return _INPUTS[self.kind]

    @property
    def marks(self) -> tuple[str, ...]:
        """The values."""
        return self.values

    def says(self, value: str) -> bool:
        """Whether what is stated is among the values."""
        return (value in self.values) is not self.kind.endswith("!=")


@dataclass(frozen=True, slots=True)
class CaseStated(Condition):
    """A case reference is stated."""

    kind: str = "case"

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        return self.kind

    @property
    def looks_at(self) -> Input:
        """Presence of a case reference."""
        return CASE

    @property
    def marks(self) -> tuple[str, ...]:
        """The word that says so."""
        return (STATED,)

    def says(self, value: str) -> bool:
        """Whether one is stated."""
        return value == STATED


_INPUTS: Mapping[str, Input] = MappingProxyType(
    {"purpose=": PURPOSE, "consent=": CONSENT, "zone=": ZONE, "zone!=": ZONE}
)


def parse_conditions(texts: tuple[str, ...]) -> Conditions:
    """The conditions of one rule, in the order of KINDS.

    Raises:
        Malformed: one of them is invalid, stands twice, or can never hold together with another.
    """
    # Long texts are rare, and a cache of them would hold megabytes for the policies of long ago.
    return _parsed(texts) if sum(map(len, texts)) <= _CACHED_LENGTH else _parsed.__wrapped__(texts)


@lru_cache(4096)
def _parsed(texts: tuple[str, ...]) -> Conditions:
    by_kind = {one.kind: one for one in map(_parse, texts)}
    if len(by_kind) != len(texts):
        raise Malformed("a condition of the same kind stands twice")
    match by_kind:
        case {"from=": Bound() as start, "until=": Bound() as end} if start.at_us >= end.at_us:
            raise Malformed("`from` is not before `until`")
        case {"age<": Age() as below, "age>=": Age() as least} if least.us >= below.us:
            raise Malformed("no item is that old and that young")
    return tuple(by_kind[kind] for kind in KINDS if kind in by_kind)


def _parse(text: str) -> Condition:
    match = _SIGNS.fullmatch(text)
    kind, value = (match[1] + match[2], match[3]) if match else (text, "")
    if kind not in KINDS:
        *others, last = KINDS
        raise Malformed(f"not a condition: {', '.join(others)} or {last}")
    return KINDS[kind].parse(kind, value)


def _parse_bound(kind: str, value: str) -> Bound:
    try:
        if _TIME.fullmatch(value):
            return Bound(kind, max(0, (datetime.fromisoformat(value) - EPOCH) // US))
    except ValueError:
        pass
    raise Malformed("a time is written as 2026-01-31T08:00:00Z")


def _parse_age(kind: str, value: str) -> Age:
    match = _AGE.fullmatch(value)
    if match is None:
        raise Malformed("an age is a whole number with its unit: s, m, h, d or w")
    age = Age(kind, int(match[1]), match[2])
    if age.us > _MAX_AGE_US:
        raise Malformed("an age of more than a hundred years")
    return age


def _parse_case(kind: str, _value: str) -> CaseStated:
    return CaseStated(kind)


def _parse_zones(kind: str, value: str) -> Stated:
    values = _distinct(value)
    if not all(map(_ZONE.fullmatch, values)):
        raise Malformed("a zone is written with a-z, 0-9, `_` and `-`")
    return Stated(kind, values)


def _parse_purposes(kind: str, value: str) -> Stated:
    return Stated(kind, _known(kind, value, frozenset(Purpose)))


def _parse_consent(kind: str, value: str) -> Stated:
    values = _known(kind, value, frozenset(Consent))
    if len(values) > 1:
        raise Malformed("consent is either given or refused")
    return Stated(kind, values)


def _known(kind: str, value: str, known: frozenset[str]) -> tuple[str, ...]:
    values = _distinct(value)
    if not known.issuperset(values):
        raise Malformed(f"after `{kind}` stands one of: {', '.join(sorted(known))}")
    return values


def _distinct(value: str) -> tuple[str, ...]:
    values = value.split(",")
    if len(set(values)) != len(values):
        raise Malformed("a value stands twice")
    return tuple(sorted(values))


class Kind(NamedTuple):
    """How conditions of one kind are written: the parser of what follows the sign, and texts to test them with."""

    parse: Callable[[str, str], Condition]
    examples: tuple[str, ...]


#: Every kind of condition, in the order in which a rule's conditions are written. Each may stand once.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "from=": Kind(_parse_bound, ("2026-09-21T14:13:20Z", "2026-09-21T14:13:21Z")),
        "until=": Kind(_parse_bound, ("2026-09-21T14:13:21Z", "2026-09-22T00:00:00Z")),
        "purpose=": Kind(_parse_purposes, ("quality", "legal,quality,training")),
        "age<": Kind(_parse_age, ("1m", "90d")),
        "age>=": Kind(_parse_age, ("30s", "2w")),
        "consent=": Kind(_parse_consent, ("given", "refused")),
        "case": Kind(_parse_case, ("",)),
        "zone=": Kind(_parse_zones, ("office", "home,office")),
        "zone!=": Kind(_parse_zones, ("office", "lab")),
    }
)

#: Conditions of one rule with more characters than this are not kept by the parser.
_CACHED_LENGTH = 128

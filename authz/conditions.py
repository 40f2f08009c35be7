"""Conditions of rules: what must be the case beside person, verb and item.

    from=T, until=T          from T on, before T: half-open, T as 2026-01-31T08:00:00Z
    purpose=A,B              the stated purpose is one of these
    age<90d, age>=30m        the item's age; units s, m, h, d, w
    consent=given            the parties agreed (or `refused`)
    case                     a case reference is stated
    zone=A,B, zone!=A,B      the person's network zone is, or is not, one of these

**What is not known** (no creation time, no consent, purpose or zone stated) is neither true nor false. An allow rule
needs all its conditions true; a deny rule is kept from matching only by a condition that is false. So leaving an
attribute out never gives anybody more: `deny … if purpose=training` also denies whoever states no purpose, and
`deny … if consent=refused` denies as long as nobody knows of consent. `case` asks whether something is stated, so it
is never unknown.

**What cannot be evaluated** (a time that is no whole number) counts as a deny for a deny rule, whatever its other
conditions say, and as no match for an allow rule.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

from linewarden.authz.model import Consent, Context, Effect, Purpose, Resource
from linewarden.authz.words import Refused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
#: The last instant that can be written.
LAST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _US
_SECONDS: Mapping[str, int] = MappingProxyType({"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800})
_MAX_AGE_US = 36525 * 86400 * 1_000_000
_VALUES: Mapping[str, frozenset[str]] = MappingProxyType(
    {"purpose=": frozenset(Purpose), "consent=": frozenset(Consent)}
)

#: Every condition's kind, in the order in which a rule's conditions are written. Each may stand once.
_KINDS = ("from=", "until=", "purpose=", "age<", "age>=", "consent=", "case", "zone=", "zone!=")
_SIGNS = re.compile(r"([a-z]+)(=|!=|<|>=)(.*)", re.DOTALL)
_AGE = re.compile(r"([1-9][0-9]{0,9})([smhdw])")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?Z")
_ZONE = re.compile(r"[a-z0-9_-]{1,64}")


class Condition(Protocol):
    """One condition. `kind` may stand only once in a rule; `text` is how the condition is written."""

    @property
    def kind(self) -> str:
        """Name and sign, such as `age<`."""

    @property
    def text(self) -> str:
        """As it is written in a policy file."""

    def check(self, resource: Resource, context: Context) -> bool | None:
        """Whether it is the case; None if that is not known.

        Raises:
            TypeError: an attribute is not of the kind that can be compared.
        """

    def flips(self, resource: Resource, context: Context) -> int | None:
        """The next instant, in microseconds, at which time alone changes the verdict; None if there is none."""


Conditions = tuple[Condition, ...]


def holds(when: Conditions, effect: str, resource: Resource, context: Context) -> bool:
    """Whether the conditions let a rule of this effect match. Never raises: see this module's docstring."""
    try:
        verdicts = [condition.check(resource, context) for condition in when]
    except Exception:  # noqa: BLE001 - whatever goes wrong in a condition must not give anybody more
        return effect != Effect.ALLOW
    if effect == Effect.ALLOW:
        return all(verdicts)
    return False not in verdicts


def verdict(condition: Condition, resource: Resource, context: Context) -> tuple[bool | None, bool]:
    """What one condition says, None if that is not known, and whether it could not be evaluated."""
    try:
        return condition.check(resource, context), False
    except Exception:  # noqa: BLE001 - reported as the condition's error
        return None, True


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a validity window: the window holds its start and not its end."""

    kind: str
    at_us: int

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        at = _EPOCH + self.at_us * _US
        return f"{self.kind}{at:%Y-%m-%dT%H:%M:%SZ}"

    def check(self, resource: Resource, context: Context) -> bool:  # noqa: ARG002 - the item does not matter
        """Whether the request falls on the right side."""
        return (_whole(context.now_us) >= self.at_us) is (self.kind == "from=")

    def flips(self, resource: Resource, context: Context) -> int:  # noqa: ARG002 - nor does it here
        """The bound itself."""
        _whole(context.now_us)
        return self.at_us


@dataclass(frozen=True, slots=True)
class Age:
    """A bound on the item's age. An item from the future is younger than any bound."""

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

    def check(self, resource: Resource, context: Context) -> bool | None:
        """Whether the item is on the right side; not known without its creation time."""
        if resource.created_us is None:
            return None
        age = _whole(context.now_us) - _whole(resource.created_us)
        return (age < self.us) is (self.kind == "age<")

    def flips(self, resource: Resource, context: Context) -> int | None:
        """When the item comes to that age."""
        _whole(context.now_us)
        return None if resource.created_us is None else _whole(resource.created_us) + self.us


@dataclass(frozen=True, slots=True)
class Stated:
    """Purpose, consent or zone: what the request states is among the values, or with `!=` is not."""

    kind: str
    values: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        return self.kind + ",".join(self.values)

    def check(self, resource: Resource, context: Context) -> bool | None:  # noqa: ARG002 - the item does not matter
        """Whether what is stated is among the values; not known if nothing is stated."""
        stated = getattr(context, self.kind.rstrip("!="))
        if not stated:
            return None
        if not isinstance(stated, str):
            raise TypeError("what is stated is a text")
        return (stated in self.values) is not self.kind.endswith("!=")

    def flips(self, resource: Resource, context: Context) -> None:
        """Never."""


@dataclass(frozen=True, slots=True)
class CaseStated:
    """A case reference is stated."""

    kind: str = "case"

    @property
    def text(self) -> str:
        """As it is written in a policy file."""
        return self.kind

    def check(self, resource: Resource, context: Context) -> bool:  # noqa: ARG002 - the item does not matter
        """Whether one is stated."""
        return bool(context.case)

    def flips(self, resource: Resource, context: Context) -> None:
        """Never."""


@lru_cache(4096)
def parse_conditions(texts: tuple[str, ...]) -> Conditions:
    """The conditions of one rule, in the order of this module's table.

    Raises:
        Refused: one of them is none, stands twice, or can never hold together with another.
    """
    by_kind = {one.kind: one for one in map(_parse, texts)}
    if len(by_kind) != len(texts):
        raise Refused("a condition of the same kind stands twice")
    match by_kind:
        case {"from=": Bound() as start, "until=": Bound() as end} if start.at_us >= end.at_us:
            raise Refused("`from` is not before `until`")
        case {"age<": Age() as below, "age>=": Age() as least} if least.us >= below.us:
            raise Refused("no item is that old and that young")
    return tuple(by_kind[kind] for kind in _KINDS if kind in by_kind)


def _parse(text: str) -> Condition:
    if text == "case":
        return CaseStated()
    match = _SIGNS.fullmatch(text)
    kind = match[1] + match[2] if match else ""
    if match is None or kind not in _KINDS:
        raise Refused("not a condition: from=, until=, purpose=, age<, age>=, consent=, case, zone= or zone!=")
    if kind in ("from=", "until="):
        return Bound(kind, _parse_time(match[3]))
    if kind in ("age<", "age>="):
        return _parse_age(kind, match[3])
    return Stated(kind, _parse_values(kind, match[3].split(",")))


def _parse_time(value: str) -> int:
    try:
        if _TIME.fullmatch(value):
            return max(0, (datetime.fromisoformat(value) - _EPOCH) // _US)
    except ValueError:
        pass
    raise Refused("a time is written as 2026-01-31T08:00:00Z")


def _parse_age(kind: str, value: str) -> Age:
    match = _AGE.fullmatch(value)
    if match is None:
        raise Refused("an age is a whole number with its unit: s, m, h, d or w")
    age = Age(kind, int(match[1]), match[2])
    if age.us > _MAX_AGE_US:
        raise Refused("an age of more than a hundred years")
    return age


def _parse_values(kind: str, values: list[str]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise Refused("a value stands twice")
    known = _VALUES.get(kind)
    if known is None:
        if not all(map(_ZONE.fullmatch, values)):
            raise Refused("a zone is written with a-z, 0-9, `_` and `-`")
        return tuple(sorted(values))
    if not known.issuperset(values):
        raise Refused(f"after `{kind}` stands one of: {', '.join(sorted(known))}")
    if kind == "consent=" and len(values) > 1:
        raise Refused("consent is either given or refused")
    return tuple(sorted(values))


def _whole(value: int) -> int:
    # NaN compares false with everything: it would slip past a deny rule unnoticed.
    if type(value) is not int:
        raise TypeError("a time is a whole number of microseconds")
    return value

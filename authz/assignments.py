"""Assignments: which person held which address of the telephone system, from when until when.

    assign ADDRESS PERSON [from=T] [until=T]

The window includes its start and excludes its end. Without a start or an end it is open on that side. Several persons
can hold one address at once, such as a shared mailbox. `addresses` has the forms of an address; a telephone number is
stored in E.164, so that a stored statement never depends on a setting.

An item whose time is not known is resolved to the persons whose assignments have no bounds at all, because any other
person may not have held the address then.
"""

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, Self

from linewarden.audit.pace import paced
from linewarden.authz.addresses import canonical_address
from linewarden.authz.conditions import Bound, parse_conditions
from linewarden.authz.errors import AddressInvalid, PolicyDiverged
from linewarden.authz.lexer import Malformed, spelled, words
from linewarden.authz.persistent_map import PersistentMap

#: Assignments of one address: those of ten years of a hot desk.
MAX_ASSIGNMENTS = 4_096
#: Assignments of one address that overlap. A decision names all persons who held an address.
MAX_HOLDERS = 64

TOO_MANY_ASSIGNMENTS = f"more than {MAX_ASSIGNMENTS} assignments of one address: remove old ones"
TOO_MANY_HOLDERS = f"more than {MAX_HOLDERS} assignments of one address overlap: state when they end, or remove some"

#: Assignments of one address that are examined one by one.
_FEW = 8


@dataclass(frozen=True, slots=True)
class Assignment:
    """The person `person` held the address from `from_us`, and before `until_us`. None: without that bound."""

    address: str
    person: str
    from_us: int | None = None
    until_us: int | None = None

    @property
    def text(self) -> str:
        """The canonical text."""
        text = f"assign {spelled(self.address)} {spelled(self.person)}"
        if self.from_us is not None:
            text += f" {Bound('from=', self.from_us).text}"
        return text if self.until_us is None else f"{text} {Bound('until=', self.until_us).text}"

    @property
    def id(self) -> str:
        """A stable name: 16 hexadecimal digits of SHA-256 of the text. Not for logs: it can be guessed back."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def window(self) -> tuple[float, float]:
        """Start and end, with infinity in place of a bound that is missing."""
        return -inf if self.from_us is None else self.from_us, inf if self.until_us is None else self.until_us

    def covers(self, at_us: int | None) -> bool:
        """Return whether the person held the address at an instant. None is an unknown instant."""
        start, end = self.from_us, self.until_us
        if at_us is None:
            return start is None and end is None
        return (start is None or start <= at_us) and (end is None or at_us < end)


#: An assignment with the id by which it is removed.
NumberedAssignment = tuple[str, Assignment]


def assignment_of(address: str, person: str, window: Sequence[str], region: str = "") -> Assignment:
    """Return the assignment of an address, as a field of a line, to a person within a window.

    Raises:
        Malformed: address or window are invalid.
    """
    named = words(address)
    if len(named) != 1:
        raise Malformed("more than one address: write one assignment for each")
    bounds: dict[str, int] = {}
    for condition in parse_conditions(tuple(window)) if window else ():
        if not isinstance(condition, Bound) or condition.kind not in ("from=", "until="):
            raise Malformed("unexpected words after the person: write from=T and until=T, or nothing")
        bounds[condition.kind] = condition.at_us
    try:
        return Assignment(canonical_address(named[0], region), person, bounds.get("from="), bounds.get("until="))
    except AddressInvalid as wrong:
        raise Malformed(str(wrong)) from wrong


class _Windows(NamedTuple):
    """Many assignments of one address in the order of their starts: an interval tree without pointers.

    The root of a range is its middle. `latest` has, for each of them, the latest end in the range of which it is the
    root. So a look-up visits few assignments besides those that it finds.
    """

    held: tuple[NumberedAssignment, ...]
    latest: tuple[float, ...]

    def at(self, at_us: int | None) -> Iterator[Assignment]:
        """Yield the assignments that cover an instant, in the order of their starts."""
        if at_us is not None:
            yield from self._at(at_us, 0, len(self.held))
            return
        for _, one in self.held:
            if one.from_us is not None:
                return
            if one.until_us is None:
                yield one

    def _at(self, at_us: int, low: int, high: int) -> Iterator[Assignment]:
        middle = (low + high) // 2
        if low == high or self.latest[middle] <= at_us:
            return
        yield from self._at(at_us, low, middle)
        _, one = self.held[middle]
        if one.from_us is None or one.from_us <= at_us:
            if one.until_us is None or at_us < one.until_us:
                yield one
            yield from self._at(at_us, middle + 1, high)


_Held = tuple[NumberedAssignment, ...] | _Windows


class Assignments:
    """The assignments of all addresses. Immutable. `count` is their number."""

    __slots__ = ("_held", "count")

    def __init__(self, held: PersistentMap[str, _Held] | None = None, count: int = 0) -> None:
        self._held: PersistentMap[str, _Held] = PersistentMap() if held is None else held
        self.count = count

    def holders(self, address: str, at_us: int | None) -> tuple[str, ...]:
        """Return the persons who held an address at an instant, microseconds; None if the instant is not known.

        The address is in its canonical form. The order of the persons does not depend on the order of changes.
        """
        held = self._held.get(address, ())
        if isinstance(held, _Windows):
            return tuple(dict.fromkeys(one.person for one in held.at(at_us)))
        if len(held) < 2:
            return (held[0][1].person,) if held and held[0][1].covers(at_us) else ()
        return tuple(dict.fromkeys([one.person for _, one in held if one.covers(at_us)]))

    def of(self, address: str) -> list[Assignment]:
        """Return all assignments of an address."""
        return [one for _, one in _listed(self._held.get(address, ()))]

    def id_of(self, assignment: Assignment) -> str | None:
        """Return the id of an assignment, or None if it is not in force."""
        held = _listed(self._held.get(assignment.address, ()))
        place = bisect_left(held, _order(("", assignment)), key=_order)
        return held[place][0] if place < len(held) and held[place][1] == assignment else None

    def changed(self, added: Iterable[NumberedAssignment], removed: Iterable[NumberedAssignment]) -> Self:
        """Return the assignments after a change. Addresses that it does not name are shared.

        Raises:
            PolicyDiverged: an assignment to remove is not in force.
        """
        new, old = _by_address(added), _by_address(removed)
        changes = {
            address: self._changed(address, new.get(address, ()), old.get(address, ()))
            for address in paced(new.keys() | old.keys())
        }
        if not changes:
            return self
        count = self.count + sum(map(len, new.values())) - sum(map(len, old.values()))
        return type(self)(self._held.changed(changes), count)

    def _changed(
        self, address: str, new: Sequence[NumberedAssignment], old: Sequence[NumberedAssignment]
    ) -> _Held | None:
        held = _listed(self._held.get(address, ()))
        gone = dict(old)
        left = [one for one in held if one[0] not in gone]
        if len(held) - len(left) != len(gone) or any(gone.get(id, one) != one for id, one in held):
            raise PolicyDiverged("an assignment to remove is not in force: compile the policy again")
        return _held_of([*left, *new])


def fault_of(assignments: Collection[Assignment]) -> str:
    """Return the limit that the assignments of one address exceed; empty if they exceed no limit."""
    if len(assignments) > MAX_ASSIGNMENTS:
        return TOO_MANY_ASSIGNMENTS
    if len(assignments) <= MAX_HOLDERS:
        return ""
    starts, ends = ([(one.window[side], 1 - 2 * side) for one in assignments] for side in (0, 1))
    overlap = 0
    # An end sorts before a start at the same instant, because a window excludes its end.
    for _, step in sorted(starts + ends):
        overlap += step
        if overlap > MAX_HOLDERS:
            return TOO_MANY_HOLDERS
    return ""


def _by_address(numbered: Iterable[NumberedAssignment]) -> Mapping[str, list[NumberedAssignment]]:
    grouped: dict[str, list[NumberedAssignment]] = defaultdict(list)
    for one in paced(numbered):
        grouped[one[1].address].append(one)
    return grouped


def _listed(held: _Held) -> tuple[NumberedAssignment, ...]:
    return held.held if isinstance(held, _Windows) else held


def _order(numbered: NumberedAssignment) -> tuple[float, float, str]:
    start, end = numbered[1].window
    return start, end, numbered[1].person


def _held_of(numbered: list[NumberedAssignment]) -> _Held | None:
    if len(numbered) > 1:
        numbered.sort(key=_order)
    held = tuple(numbered)
    return held or None if len(held) <= _FEW else _Windows(held, _latest(held))


def _latest(held: tuple[NumberedAssignment, ...]) -> tuple[float, ...]:
    latest = [-inf] * len(held)

    def fill(low: int, high: int) -> float:
        if low == high:
            return -inf
        middle = (low + high) // 2
        latest[middle] = max(held[middle][1].window[1], fill(low, middle), fill(middle + 1, high))
        return latest[middle]

    fill(0, len(held))
    return tuple(latest)

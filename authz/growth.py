"""The limits of `limits` for a change: the same result as for the whole policy, at the cost of the change alone.

A change that adds to a role adds to every holder of the role, of whom there may be a million. So each state has a
ceiling: numbers of roles and rules that no person or role exceeds. An addition to a role raises the ceiling by what was
added. The holders of the role are examined one by one only if the raised ceiling exceeds a limit. A removal leaves the
ceiling unchanged, so it may be too high and is never too low.

A policy that was stored before a limit existed, and exceeds it, stays in force. It can be made smaller. A change that
adds to a holder beyond the limit is refused.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from linewarden.authz.assignments import Assignment, fault_of
from linewarden.authz.errors import LineError
from linewarden.authz.in_force import InForce
from linewarden.authz.index import most_weight, rules_in, weight_of
from linewarden.authz.limits import (
    MAX_CANDIDATES,
    MAX_ROLES,
    MAX_ROLES_IN_ALL,
    MAX_RULES_ALIKE,
    TOO_MANY_ALIKE,
    TOO_MANY_CANDIDATES,
    TOO_MANY_ROLES,
    TOO_MANY_ROLES_IN_ALL,
)
from linewarden.authz.persistent_map import PersistentMap
from linewarden.authz.roles import MAX_LINKS, ROLE_LOOPS, TOO_MANY_IN_A_ROW, reached
from linewarden.authz.rules import ROLE, Binding, Permission, Rule, Statement

_Lines = Sequence[tuple[int, Permission]]


class Ceiling(NamedTuple):
    """Upper bounds for every person and role of a state: roles, including itself, and rules that concern one item."""

    roles: int
    rules: int

    @property
    def within(self) -> bool:
        """True if no holder can exceed a limit."""
        return self.roles <= MAX_ROLES_IN_ALL and self.rules <= MAX_CANDIDATES


def ceiling_of(state: InForce) -> Ceiling:
    """Return the ceiling of a state. Examines every person and role."""
    sums: dict[str, Ceiling] = {}
    most = Ceiling(0, 0)
    for holders in (state.rules, state.roles):
        for holder in holders:
            roles = state.roles.get(holder, ())
            for role in roles:
                if role not in sums:
                    sums[role] = _load(role, state)
            one = Ceiling(
                1 + sum(sums[role].roles for role in roles),
                most_weight(state.rules.get(holder, ())) + sum(sums[role].rules for role in roles),
            )
            if not one.within:
                one = _load(holder, state)
            most = Ceiling(max(most.roles, one.roles), max(most.rules, one.rules))
    return most


def raised(ceiling: Ceiling, before: InForce, after: InForce, added: Iterable[Statement]) -> Ceiling:
    """Return the ceiling after a change that added these statements to `before`."""
    roles, rules = ceiling
    most = Ceiling(0, 0)
    for holder, bound in _touched(added).items():
        load = _load(holder, after)
        most = Ceiling(max(most.roles, load.roles), max(most.rules, load.rules))
        if holder.startswith(ROLE):
            more = [_load(role, after) for role in bound]
            weights = [weight_of(state.rules.get(holder, ())) for state in (before, after)]
            roles += sum(one.roles for one in more)
            rules += sum(one.rules for one in more) + max(0, weights[1] - weights[0])
    return Ceiling(max(roles, most.roles), max(rules, most.rules))


def change_faults(
    ceiling: Ceiling, before: InForce, after: InForce, statements: Sequence[tuple[int, Statement]]
) -> list[LineError]:
    """Return the limits that a change exceeds. `statements` are those that it adds, with their lines."""
    faults = [*_assignment_faults(after, statements)]
    added = [(line, one) for line, one in statements if not isinstance(one, Assignment)]
    return faults or (_permission_faults(ceiling, before, after, added) if added else [])


def _assignment_faults(after: InForce, added: Iterable[tuple[int, Statement]]) -> Iterator[LineError]:
    """Yield the limits that the assignments of an address exceed, at the last line that adds to it."""
    lines = {one.address: line for line, one in added if isinstance(one, Assignment)}
    for address, line in lines.items():
        if fault := fault_of(after.assignments.of(address)):
            yield LineError(line, fault)


def _permission_faults(ceiling: Ceiling, before: InForce, after: InForce, added: _Lines) -> list[LineError]:
    faults = [*_link_faults(after, added), *_single_faults(after, added)]
    if faults:
        return faults
    touched = _touched(one for _, one in added)
    faults = [*_load_faults(after, dict.fromkeys(touched), added)]
    if faults or raised(ceiling, before, after, (one for _, one in added)).within:
        return faults
    return list(_load_faults(after, _holders(after, touched), added))


def _touched(added: Iterable[Statement]) -> dict[str, list[str]]:
    """Return the holders that the statements name, each with the roles that the statements give it."""
    touched: dict[str, list[str]] = {}
    for one in added:
        if isinstance(one, Binding):
            touched.setdefault(one.member, []).append(one.role)
        elif isinstance(one, Rule):
            touched.setdefault(one.who, [])
    return touched


def _single_faults(after: InForce, added: _Lines) -> Iterator[LineError]:
    """Yield the limits that one person or role exceeds by itself, at the line that exceeds them."""
    bound: dict[str, list[int]] = defaultdict(list)
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for line, one in added:
        if isinstance(one, Binding):
            bound[one.member].append(line)
        else:
            for scope in one.scopes:
                alike[one.who, scope].append(line)
    for member, lines in bound.items():
        over = len(after.roles.get(member, ())) - MAX_ROLES
        if over > 0:
            yield LineError(lines[-min(over, len(lines))], TOO_MANY_ROLES)
    for (who, scope), lines in alike.items():
        over = sum(1 for _ in rules_in(after.rules.get(who, ()), scope)) - MAX_RULES_ALIKE
        if over > 0:
            yield LineError(lines[-min(over, len(lines))], TOO_MANY_ALIKE)


def _link_faults(after: InForce, added: _Lines) -> Iterator[LineError]:
    """Yield roles that inherit themselves, and chains of inheritance that are too long."""
    for line, one in added:
        if not isinstance(one, Binding) or not one.member.startswith(ROLE):
            continue
        if one.member in reached(one.role, after.roles, MAX_ROLES_IN_ALL + 1):
            yield LineError(line, ROLE_LOOPS)
        elif _longest(one.role, after.roles) + 1 + _longest(one.member, after.members) > MAX_LINKS - 1:
            yield LineError(line, TOO_MANY_IN_A_ROW)


def _longest(role: str, links: PersistentMap[str, tuple[str, ...]]) -> int:
    """Return the length of the longest chain of links from a role, counted up to one more than is allowed."""
    ends, length = {role}, 0
    while length < MAX_LINKS and (ends := {further for end in ends for further in links.get(end, ())}):
        length += 1
    return length


def _load_faults(after: InForce, holders: Iterable[str], added: _Lines) -> Iterator[LineError]:
    """Yield the limit that a holder exceeds together with its roles, at the last line that adds to it."""
    known: dict[tuple[str, ...], Ceiling] = {}
    for holder in holders:
        load = _upper_load(holder, after, known)
        if load.within:
            continue
        load = _load(holder, after)
        if not load.within:
            has = {holder, *reached(holder, after.roles, MAX_ROLES_IN_ALL + 1)}
            about = [line for line, one in added if (one.member if isinstance(one, Binding) else one.who) in has]
            many = load.roles > MAX_ROLES_IN_ALL
            yield LineError(
                about[-1] if about else added[-1][0], TOO_MANY_ROLES_IN_ALL if many else TOO_MANY_CANDIDATES
            )
            return


def _upper_load(holder: str, state: InForce, known: dict[tuple[str, ...], Ceiling]) -> Ceiling:
    """Return at least what `_load` returns. The roles of persons with the same roles are counted once."""
    roles = state.roles.get(holder, ())
    if roles not in known:
        loads = [_load(role, state) for role in roles]
        known[roles] = Ceiling(sum(one.roles for one in loads), sum(one.rules for one in loads))
    return Ceiling(1 + known[roles].roles, most_weight(state.rules.get(holder, ())) + known[roles].rules)


def _load(holder: str, state: InForce) -> Ceiling:
    """Return the number of roles of a holder, including itself, and of all their rules that can concern one item."""
    has = reached(holder, state.roles, MAX_ROLES_IN_ALL + 1)
    rules = [state.rules.get(role, ()) for role in has]
    bound = sum(map(most_weight, rules))
    return Ceiling(len(has), bound if bound <= MAX_CANDIDATES else sum(map(weight_of, rules)))


def _holders(state: InForce, touched: Iterable[str]) -> Iterator[str]:
    """Yield all that have one of these roles, directly or not, and the roles themselves."""
    roles = {one for one in touched if one.startswith(ROLE)}
    further = list(roles)
    for role in further:  # grows while it is read
        new = [one for one in state.members.get(role, ()) if one not in roles]
        roles.update(new)
        further += new
    yield from roles
    yield from (holder for holder, has in state.roles.items() if not roles.isdisjoint(has) and holder not in roles)

"""Warnings about a policy: valid statements without an effect, or with another effect than their words suggest.

A name without `role:` is the name of a person, except for `everyone`: `deny all …` denies a person who is called all.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from linewarden.authz.assignments import Assignment
from linewarden.authz.conditions import Stated
from linewarden.authz.model import Effect, ResourceType, Verb
from linewarden.authz.pseudonyms import is_person
from linewarden.authz.roles import role_paths
from linewarden.authz.rules import EVERYONE, FOREIGN, ROLE, Binding, Permission, Rule, Statement
from linewarden.authz.scopes import ANY, ScopeKind

#: Names that are hardly meant as the name of one person.
_EVERYBODY = frozenset(
    ("*", "all", "any", "anybody", "anyone", "everybody", "everyone", "everything", "nobody", "none", "public", "world")
)
_GROUP = f"{ScopeKind.GROUP}:"
#: Prefixes that other systems write before the name of a person, role or group.
_MARKS = ("group", "groups", "member", "members", "person", "role", "roles", "team", "user", "users")


@dataclass(frozen=True, slots=True)
class LineWarning:
    """A warning about one line of a policy file. `line` counts from 1."""

    line: int
    message: str


_Pairs = set[tuple[ResourceType, Verb]]


def warnings_of(statements: Sequence[tuple[int, Statement]]) -> tuple[LineWarning, ...]:
    """Return the warnings about the statements of a whole policy, given with their lines."""
    permissions = [(line, one) for line, one in statements if not isinstance(one, Assignment)]
    bindings = [(line, one) for line, one in statements if isinstance(one, Binding)]
    rules = [(line, one) for line, one in statements if isinstance(one, Rule)]
    roles = _Roles(one for _, one in bindings)
    found = [
        *_misnamed(permissions, roles),
        *_idle(bindings, rules, roles),
        *_unheld(rules, roles),
        *_empty(rules, roles),
        *_shadowed(rules, roles),
        *_pointless(rules, roles),
        *_contradictory(rules),
        *_unended(statements),
    ]
    return tuple(sorted(found, key=lambda warning: warning.line))


class _Roles:
    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._links: dict[str, list[str]] = defaultdict(list)
        for one in bindings:
            self._links[one.member].append(one.role)
        self.names = {role.removeprefix(ROLE).casefold() for roles in self._links.values() for role in roles}
        self.of = lru_cache(65536)(self._of)

    def held(self) -> set[str]:
        """Return the roles that at least one person has."""
        persons = filter(is_person, self._links)
        return {role for person in persons for own in self._links[person] for role in self.of(own)}

    def given(self) -> set[str]:
        """Return the roles that at least one person, queue or role has."""
        return {role for own in self._links.values() for role in own}

    def _of(self, holder: str) -> tuple[str, ...]:
        return (holder, *role_paths(self._links.get(holder, ()), self._links))


def _misnamed(statements: Iterable[tuple[int, Permission]], roles: _Roles) -> Iterator[LineWarning]:
    # Once for each name, at its first line.
    statements = list(statements)
    ruled = {one.who for _, one in statements if isinstance(one, Rule) and one.who.startswith(ROLE)}
    names = roles.names | {role.removeprefix(ROLE).casefold() for role in ruled}
    warned: set[str] = set()
    for line, one in statements:
        who = one.member if isinstance(one, Binding) else one.who
        # A person who has a role is meant as a person: `bind auditor role:auditor` needs no warning.
        known = () if roles.of(who)[1:] else names
        if who not in warned and is_person(who) and (message := _misnaming(who, known)):
            warned.add(who)
            yield LineWarning(line, message)


def _unended(statements: Iterable[tuple[int, Statement]]) -> Iterator[LineWarning]:
    """Warn of an assignment without an end, if another person got the address later: mostly a forgotten `until`."""
    latest: dict[str, tuple[int, str]] = {}
    assigned = [(line, one) for line, one in statements if isinstance(one, Assignment)]
    for _, one in assigned:
        if one.from_us is not None:
            latest[one.address] = max(latest.get(one.address, (0, "")), (one.from_us, one.person))
    for line, one in assigned:
        start, person = latest.get(one.address, (0, one.person))
        if one.until_us is None and person != one.person and (one.from_us is None or one.from_us < start):
            yield LineWarning(line, "another person got this address later, and both hold it since: write until=T")


def _misnaming(who: str, roles: Collection[str]) -> str:
    """Return the warning about the name of a person; empty if the name needs none."""
    name = (who.split("/", 3)[-1] if who.startswith(FOREIGN) else who).casefold()
    if name in _EVERYBODY:
        return "this is the name of one person: write everyone in a rule that denies, or bind persons to a role"
    if name in roles:
        return "this is the name of a person: write role: before it if the role is meant"
    if name.partition(":")[0] in _MARKS and ":" in name:
        return "this is the whole name of a person: write role: in small letters before the name if a role is meant"
    return ""


def _pointless(rules: Iterable[tuple[int, Rule]], roles: _Roles) -> Iterator[LineWarning]:
    """Warn, once for each person, of denials for a person without rights: mostly a mistyped name."""
    rules = list(rules)
    allowed = {rule.who for _, rule in rules if rule.effect is Effect.ALLOW}
    for line, rule in rules:
        if rule.effect is Effect.DENY and is_person(rule.who) and allowed.isdisjoint(roles.of(rule.who)):
            allowed.add(rule.who)
            yield LineWarning(
                line, "this person has no role and no rule that allows anything, so the rule denies nothing"
            )


def _contradictory(rules: Iterable[tuple[int, Rule]]) -> Iterator[LineWarning]:
    """Warn of rules that require a zone and exclude it. The parser refuses all other contradictions."""
    for line, rule in rules:
        zones = {one.kind: set(one.values) for one in rule.conditions if isinstance(one, Stated)}
        if "zone=" in zones and zones["zone="] <= zones.get("zone!=", set()):
            never = "these conditions never hold together, so the rule allows nothing"
            denies = "these conditions exclude each other, so the rule denies only requests that state no zone"
            yield LineWarning(line, never if rule.effect is Effect.ALLOW else denies)


def _idle(
    bindings: Iterable[tuple[int, Binding]], rules: Iterable[tuple[int, Rule]], roles: _Roles
) -> Iterator[LineWarning]:
    ruled = {rule.who for _, rule in rules} | {f"{ROLE}{group}" for _, rule in rules for group in _groups(rule)}
    for line, binding in bindings:
        if ruled.isdisjoint(roles.of(binding.role)):
            yield LineWarning(line, "no rule names this role or a role that it inherits, so the binding gives nothing")


def _groups(rule: Rule) -> list[str]:
    """Return the groups that a rule names in its scopes."""
    return [scope.removeprefix(_GROUP) for scope in rule.scopes if scope.startswith(_GROUP)]


def _empty(rules: Iterable[tuple[int, Rule]], roles: _Roles) -> Iterator[LineWarning]:
    # Once for each group, at its first rule.
    known = {role.removeprefix(ROLE) for role in roles.given()}
    for line, rule in rules:
        if new := set(_groups(rule)) - known:
            known |= new
            yield LineWarning(line, "no person or queue is bound to the role of this group, so it has no items")


def _unheld(rules: Iterable[tuple[int, Rule]], roles: _Roles) -> Iterator[LineWarning]:
    # Once for each role, at its first rule.
    known = roles.held()
    for line, rule in rules:
        if rule.who.startswith(ROLE) and rule.who not in known:
            known.add(rule.who)
            yield LineWarning(line, "no person has this role, so the rule has no effect")


def _shadowed(rules: Sequence[tuple[int, Rule]], roles: _Roles) -> Iterator[LineWarning]:
    denied: dict[tuple[str, str], _Pairs] = defaultdict(set)
    for _, rule in rules:
        if rule.effect is Effect.DENY and not rule.conditions:
            for scope in rule.scopes:
                denied[rule.who, scope] |= rule.reach.pairs
    for line, rule in rules:
        if rule.effect is Effect.ALLOW and all(_refused(rule, scope, denied, roles) for scope in rule.scopes):
            yield LineWarning(line, "unconditional rules for the same or an inherited role always deny this")


def _refused(rule: Rule, scope: str, denied: Mapping[tuple[str, str], _Pairs], roles: _Roles) -> bool:
    covered: _Pairs = set()
    for holder in (*roles.of(rule.who), EVERYONE):
        covered |= denied.get((holder, ANY), set()) | denied.get((holder, scope), set())
    return rule.reach.pairs <= covered

"""Warnings about a policy: statements that are well formed and have no effect, or another one than their words suggest.

A name without `role:` is a person of that name, whatever it says: `deny everyone …` denies a person called everyone.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from linewarden.authz.conditions import Stated
from linewarden.authz.model import Effect, ResourceType, Verb
from linewarden.authz.roles import paths_from
from linewarden.authz.rules import FOREIGN, ROLE, Binding, Rule, Statement
from linewarden.authz.scopes import ANY

#: Names that are hardly meant as that of one person.
_EVERYBODY = frozenset(
    ("*", "all", "any", "anybody", "anyone", "everybody", "everyone", "everything", "nobody", "none", "public", "world")
)
#: What other systems write before the name of a person, role or group.
_MARKS = ("group", "groups", "member", "members", "person", "role", "roles", "team", "user", "users")


@dataclass(frozen=True, slots=True)
class LineWarning:
    """What is hardly meant in one line of a policy file; `line` counts from 1."""

    line: int
    message: str


_Pairs = set[tuple[ResourceType, Verb]]


def warnings_of(statements: Sequence[tuple[int, Statement]]) -> tuple[LineWarning, ...]:
    """The warnings about the statements of a whole policy, given with their lines."""
    bindings = [(line, one) for line, one in statements if isinstance(one, Binding)]
    rules = [(line, one) for line, one in statements if isinstance(one, Rule)]
    roles = _Roles(one for _, one in bindings)
    found = [
        *_misnamed(statements, roles),
        *_idle(bindings, rules, roles),
        *_unheld(rules, roles),
        *_shadowed(rules, roles),
        *_pointless(rules, roles),
        *_contradictory(rules),
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
        """The roles that somebody has."""
        persons = (member for member in self._links if not member.startswith(ROLE))
        return {role for person in persons for own in self._links[person] for role in self.of(own)}

    def _of(self, holder: str) -> tuple[str, ...]:
        return tuple(paths_from(holder, self._links))


def _misnamed(statements: Iterable[tuple[int, Statement]], roles: _Roles) -> Iterator[LineWarning]:
    # Once for each name, at its first line.
    statements = list(statements)
    ruled = {one.who for _, one in statements if isinstance(one, Rule) and one.who.startswith(ROLE)}
    names = roles.names | {role.removeprefix(ROLE).casefold() for role in ruled}
    told: set[str] = set()
    for line, one in statements:
        who = one.member if isinstance(one, Binding) else one.who
        # A person who has a role is one, whatever the name: `bind auditor role:auditor` is not odd.
        known = () if roles.of(who)[1:] else names
        if who not in told and not who.startswith(ROLE) and (message := _misnaming(who, known)):
            told.add(who)
            yield LineWarning(line, message)


def _misnaming(who: str, roles: Collection[str]) -> str:
    """What is odd about the name of a person; empty if nothing is."""
    name = (who.split("/", 3)[-1] if who.startswith(FOREIGN) else who).casefold()
    if name in _EVERYBODY:
        return "this is one person of that name: there is no word for everybody, only a role that all have"
    if name in roles:
        return "this is a person; a role of that name is written with role: before it"
    if name.partition(":")[0] in _MARKS and ":" in name:
        return "this is a person of that whole name; a role is written with role: in small letters before it"
    return ""


def _pointless(rules: Iterable[tuple[int, Rule]], roles: _Roles) -> Iterator[LineWarning]:
    """Denies for a person to whom the policy gives nothing, mostly a name that was mistyped. Once for each person."""
    rules = list(rules)
    allowed = {rule.who for _, rule in rules if rule.effect is Effect.ALLOW}
    for line, rule in rules:
        if rule.effect is Effect.DENY and not rule.who.startswith(ROLE) and allowed.isdisjoint(roles.of(rule.who)):
            allowed.add(rule.who)
            yield LineWarning(line, "this person has no role and no rule that allows anything, so nothing is denied")


def _contradictory(rules: Iterable[tuple[int, Rule]]) -> Iterator[LineWarning]:
    """Rules that ask for a zone and against it. What cannot hold for other reasons is refused when it is read."""
    for line, rule in rules:
        zones = {one.kind: set(one.values) for one in rule.conditions if isinstance(one, Stated)}
        if "zone=" in zones and zones["zone="] <= zones.get("zone!=", set()):
            never = "these conditions never hold together"
            denies = "this denies only requests that state no zone: its conditions exclude each other"
            yield LineWarning(line, never if rule.effect is Effect.ALLOW else denies)


def _idle(
    bindings: Iterable[tuple[int, Binding]], rules: Iterable[tuple[int, Rule]], roles: _Roles
) -> Iterator[LineWarning]:
    ruled = {rule.who for _, rule in rules}
    for line, binding in bindings:
        if ruled.isdisjoint(roles.of(binding.role)):
            yield LineWarning(line, "no rule names this role or one it inherits")


def _unheld(rules: Iterable[tuple[int, Rule]], roles: _Roles) -> Iterator[LineWarning]:
    # Once for each role, at its first rule.
    known = roles.held()
    for line, rule in rules:
        if rule.who.startswith(ROLE) and rule.who not in known:
            known.add(rule.who)
            yield LineWarning(line, "nobody has this role")


def _shadowed(rules: Sequence[tuple[int, Rule]], roles: _Roles) -> Iterator[LineWarning]:
    denied: dict[tuple[str, str], _Pairs] = defaultdict(set)
    for _, rule in rules:
        if rule.effect is Effect.DENY and not rule.conditions:
            for scope in rule.scopes:
                denied[rule.who, scope] |= rule.reach.pairs
    for line, rule in rules:
        if rule.effect is Effect.ALLOW and all(_refused(rule, scope, denied, roles) for scope in rule.scopes):
            yield LineWarning(line, "always denied by unconditional rules for the same or an inherited role")


def _refused(rule: Rule, scope: str, denied: Mapping[tuple[str, str], _Pairs], roles: _Roles) -> bool:
    covered: _Pairs = set()
    for holder in roles.of(rule.who):
        covered |= denied.get((holder, ANY), set()) | denied.get((holder, scope), set())
    return rule.reach.pairs <= covered

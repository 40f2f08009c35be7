"""Warnings about a policy: statements that are well formed and have no effect, which is hardly what was meant."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from linewarden.authz.model import Effect, ResourceType, Verb
from linewarden.authz.roles import paths_from
from linewarden.authz.rules import ROLE, Binding, Rule, Statement
from linewarden.authz.scopes import ANY


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
    found = [*_idle(bindings, rules, roles), *_unheld(rules, roles), *_shadowed(rules, roles)]
    return tuple(sorted(found, key=lambda warning: warning.line))


class _Roles:
    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._links: dict[str, list[str]] = defaultdict(list)
        for one in bindings:
            self._links[one.member].append(one.role)
        self.of = lru_cache(65536)(self._of)

    def held(self) -> set[str]:
        """The roles that somebody has."""
        persons = (member for member in self._links if not member.startswith(ROLE))
        return {role for person in persons for own in self._links[person] for role in self.of(own)}

    def _of(self, holder: str) -> tuple[str, ...]:
        return tuple(paths_from(holder, self._links))


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

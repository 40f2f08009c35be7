"""The rules of a policy by whom they are for.

Goal: a decision looks at the few rules that can matter, however many there are, and a million of them fit into memory.
The rules of one holder (a person or role) are a short tuple, or, when they are many, a dictionary by scope. Refused:
an index by type and verb as well. Rules name many pairings of these; an entry for each would cost several times the
memory, while few rules share holder and scope, and those are told apart at once.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from linewarden.authz.errors import PolicyDiverged
from linewarden.authz.rules import Rule

#: A rule with the id that decisions refer to it by.
Numbered = tuple[str, Rule]

#: The rules of one holder.
Shelf = tuple[Numbered, ...] | dict[str, tuple[Numbered, ...]]

#: Up to so many rules are looked through one by one.
_SHORT = 8


class Candidate(NamedTuple):
    """A rule that matches if its conditions hold, the scope that led to it, and the roles that did."""

    scope: str
    path: tuple[str, ...]
    id: str
    rule: Rule


def changed_shelf(shelf: Shelf, added: Sequence[Numbered], removed: Mapping[str, Rule]) -> Shelf:
    """A holder's rules after a change; the old ones stay as they are.

    Raises:
        PolicyDiverged: a removed rule is not among them.
    """
    if isinstance(shelf, dict):
        return _changed_scopes(shelf, added, removed)
    rules = (*_without(shelf, removed), *added)
    return rules if len(rules) <= _SHORT else _changed_scopes({}, rules, {})


def _changed_scopes(
    scopes: dict[str, tuple[Numbered, ...]], added: Sequence[Numbered], removed: Mapping[str, Rule]
) -> Shelf:
    scopes = scopes.copy()
    gone: dict[str, dict[str, Rule]] = defaultdict(dict)
    new: dict[str, list[Numbered]] = defaultdict(list)
    for rule_id, rule in removed.items():
        for scope in rule.scopes:
            gone[scope][rule_id] = rule
    for one in added:
        for scope in one[1].scopes:
            new[scope].append(one)
    for scope in gone.keys() | new.keys():
        rules = (*_without(scopes.get(scope, ()), gone.get(scope, {})), *new.get(scope, ()))
        if rules:
            scopes[scope] = rules
        else:
            scopes.pop(scope, None)
    return scopes


def _without(rules: tuple[Numbered, ...], removed: Mapping[str, Rule]) -> tuple[Numbered, ...]:
    if not removed:
        return rules
    kept = tuple([one for one in rules if one[0] not in removed])
    if len(rules) - len(kept) != len(removed):
        raise PolicyDiverged("a rule to remove is not there")
    return kept

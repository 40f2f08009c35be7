"""The index of a policy: rules by holder, and by scope where a holder has many.

Goal: a decision examines only the few rules that can matter, however many there are, and a million rules fit into
memory. The rules of one holder (a person or role) are a short tuple, or a dictionary by scope if they are many. A
change copies only what it touches: of a dictionary of a million scopes a thousandth, see `persistent_map`.

Refused: an index by type and verb as well. A rule names many pairings of these, and an entry for each pairing would
cost several times the memory. Few rules share both holder and scope, and testing these one by one is fast.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from linewarden.authz.errors import PolicyDiverged
from linewarden.authz.persistent_map import PersistentMap
from linewarden.authz.rules import Rule

#: A rule with the id by which decisions refer to it.
NumberedRule = tuple[str, Rule]

#: Rules by scope. A small map is a plain dictionary, because a look-up takes a third of the time.
Scopes = dict[str, tuple[NumberedRule, ...]] | PersistentMap[str, tuple[NumberedRule, ...]]

#: Most rules of a tuple, and most scopes of a plain dictionary.
_SHORT = 8
_SMALL = 256

#: Most labels of one item, as the contract states.
MAX_LABELS = 16

_LABEL = "label"
#: Kinds of scopes of which an item can be in all at once.
_UNBOUNDED = frozenset(("party", "group"))


class Candidate(NamedTuple):
    """A rule that matches if its conditions hold, with the scope and the roles that lead to it."""

    scope: str
    roles: tuple[str, ...]
    id: str
    rule: Rule


#: The number of scopes, by kind of scope and by number of rules in the scope.
Sizes = Counter[tuple[str, int]]


class RulesByScope:
    """The rules of a holder that has many, by scope. `count` is the number of pairs of rule and scope."""

    __slots__ = ("_sizes", "count", "scopes")

    def __init__(self, scopes: Scopes, count: int, sizes: Sizes | None = None) -> None:
        self.scopes = scopes
        self.count = count
        # Kept for many scopes, so that a change need not examine all of them.
        self._sizes = _sizes_of(scopes) if sizes is None and isinstance(scopes, PersistentMap) else sizes

    @classmethod
    def of(cls, rules: Iterable[NumberedRule]) -> "RulesByScope":
        """Group the rules of one holder by scope."""
        scopes: dict[str, list[NumberedRule]] = {}
        for one in rules:
            for scope in one[1].scopes:
                scopes.setdefault(scope, []).append(one)
        return cls(_kept({scope: tuple(held) for scope, held in scopes.items()}), sum(map(len, scopes.values())))

    def __len__(self) -> int:
        return self.count

    def weight(self) -> int:
        """Return the weight; see `weight_of`."""
        return weight_of_sizes(_sizes_of(self.scopes) if self._sizes is None else self._sizes)

    def rules(self) -> Iterator[NumberedRule]:
        """Yield all rules, each once, in no order."""
        for scope, rules in self.scopes.items():
            # A rule is listed under each of its scopes, which are sorted.
            yield from (one for one in rules if one[1].scopes[0] == scope)

    def changed(self, added: Iterable[NumberedRule], removed: Mapping[str, Rule]) -> "RulesByScope":
        """Return the rules after a change.

        Raises:
            PolicyDiverged: a rule to remove is not among them.
        """
        gone: dict[str, set[str]] = defaultdict(set)
        new: dict[str, list[NumberedRule]] = defaultdict(list)
        for rule_id, rule in removed.items():
            for scope in rule.scopes:
                gone[scope].add(rule_id)
        for one in added:
            for scope in one[1].scopes:
                new[scope].append(one)
        sizes = self._sizes if self._sizes is None else self._sizes.copy()
        count, changes = self.count, dict[str, tuple[NumberedRule, ...] | None]()
        for scope in gone.keys() | new.keys():
            before = self.scopes.get(scope, ())
            after = (*_without(before, gone.get(scope, ())), *new.get(scope, ()))
            count += len(after) - len(before)
            if sizes is not None:
                _resize(sizes, kind_of(scope), len(before), len(after))
            changes[scope] = after or None
        return RulesByScope(_with(self.scopes, changes), count, sizes)


#: The rules of one holder.
HolderRules = tuple[NumberedRule, ...] | RulesByScope


def updated_rules(held: HolderRules, added: Sequence[NumberedRule], removed: Mapping[str, Rule]) -> HolderRules:
    """Return a holder's rules after a change. The old rules are not changed.

    Raises:
        PolicyDiverged: a rule to remove is not among them.
    """
    if isinstance(held, RulesByScope):
        return held.changed(added, removed)
    rules = (*_without(held, removed), *added)
    return rules if len(rules) <= _SHORT else RulesByScope.of(rules)


def rules_of(held: HolderRules) -> Iterable[NumberedRule]:
    """Return all rules of a holder, each once."""
    return held.rules() if isinstance(held, RulesByScope) else held


def rules_in(held: HolderRules, scope: str) -> Iterable[NumberedRule]:
    """Return the rules of a holder for one scope."""
    if isinstance(held, RulesByScope):
        return held.scopes.get(scope, ())
    return [one for one in held if scope in one[1].scopes]


def weight_of(held: HolderRules) -> int:
    """Return the highest number of rules of one holder that can concern one item.

    An item has one id, one owner and one queue, so only the scope with the most rules counts for each of these kinds.
    An item has up to MAX_LABELS labels. So the most rules of one label count that many times, or all rules of labels
    if they are fewer. An item can be in every group, and a person in every role of a participant, so all such rules
    count.
    """
    if isinstance(held, RulesByScope):
        return held.weight()
    if len(held) == 1 and len(held[0][1].scopes) == 1:
        return 1
    return RulesByScope.of(held).weight()


def most_weight(held: HolderRules) -> int:
    """Return an upper bound of the weight that is fast to compute."""
    return held.count if isinstance(held, RulesByScope) else sum(len(rule.scopes) for _, rule in held)


def weight_of_sizes(sizes: Sizes) -> int:
    """Return the weight, as `weight_of` defines it, of rules with these sizes."""
    most: dict[str, int] = defaultdict(int)
    labelled = 0
    for (kind, size), scopes in sizes.items():
        if scopes:
            most[kind] = most[kind] + size * scopes if kind in _UNBOUNDED else max(most[kind], size)
            labelled += size * scopes * (kind == _LABEL)
    most[_LABEL] = min(MAX_LABELS * most[_LABEL], labelled)
    return sum(most.values())


def _sizes_of(scopes: Scopes) -> Sizes:
    return Counter((kind_of(scope), len(rules)) for scope, rules in scopes.items())


def kind_of(scope: str) -> str:
    """Return the kind of a scope: the text before its colon, such as `any`, `own` or `queue`."""
    return scope.partition(":")[0]


def _resize(sizes: Sizes, kind: str, before: int, after: int) -> None:
    for size, step in ((before, -1), (after, 1)):
        if size:
            sizes[kind, size] += step


def _with(scopes: Scopes, changes: dict[str, tuple[NumberedRule, ...] | None]) -> Scopes:
    if isinstance(scopes, PersistentMap):
        return scopes.changed(changes)
    return _kept({scope: rules for scope, rules in {**scopes, **changes}.items() if rules is not None})


def _kept(scopes: dict[str, tuple[NumberedRule, ...]]) -> Scopes:
    return scopes if len(scopes) <= _SMALL else PersistentMap[str, tuple[NumberedRule, ...]]().changed(scopes)


def _without(rules: tuple[NumberedRule, ...], removed: Collection[str]) -> tuple[NumberedRule, ...]:
    if not removed:
        return rules
    kept = tuple([one for one in rules if one[0] not in removed])
    if len(rules) - len(kept) != len(removed):
        raise PolicyDiverged("a rule to remove is not in force: compile the policy again")
    return kept

"""The rules of a policy by whom they are for.

Goal: a decision looks at the few rules that can matter, however many there are, and a million of them fit into memory.
The rules of one holder (a person or role) are a short tuple, or, when they are many, a dictionary by scope. A change
copies what it touches: of a dictionary of a million scopes a thousandth, see `spread`. Refused: an index by type and
verb as well. Rules name many pairings of these; an entry for each would cost several times the
memory, while few rules share holder and scope, and those are told apart at once.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from linewarden.authz.errors import PolicyDiverged
from linewarden.authz.rules import Rule
from linewarden.authz.spread import Spread

#: A rule with the id that decisions refer to it by.
Numbered = tuple[str, Rule]

#: Rules by scope. A small one is a plain dictionary, which is looked at in a third of the time.
Scopes = dict[str, tuple[Numbered, ...]] | Spread[str, tuple[Numbered, ...]]

#: Up to so many rules are looked through one by one, and up to so many scopes are a plain dictionary.
_SHORT = 8
_SMALL = 256

#: Labels that one item can have, as in the contract.
MAX_LABELS = 16

_LABEL = "label"


class Candidate(NamedTuple):
    """A rule that matches if its conditions hold, the scope that led to it, and the roles that did."""

    scope: str
    path: tuple[str, ...]
    id: str
    rule: Rule


#: How many scopes of a kind have so many rules.
Sizes = Counter[tuple[str, int]]


class LongShelf:
    """The rules of a holder that has many, by scope. `count` is the number of pairs of rule and scope."""

    __slots__ = ("_sizes", "count", "scopes")

    def __init__(self, scopes: Scopes, count: int, sizes: Sizes | None = None) -> None:
        self.scopes = scopes
        self.count = count
        # Kept where scopes are many, so that a change need not look at all of them.
        self._sizes = _sizes_of(scopes) if sizes is None and isinstance(scopes, Spread) else sizes

    @classmethod
    def of(cls, rules: Iterable[Numbered]) -> "LongShelf":
        """The shelf of these rules."""
        scopes: dict[str, list[Numbered]] = {}
        for one in rules:
            for scope in one[1].scopes:
                scopes.setdefault(scope, []).append(one)
        return cls(_kept({scope: tuple(here) for scope, here in scopes.items()}), sum(map(len, scopes.values())))

    def __len__(self) -> int:
        return self.count

    def weight(self) -> int:
        """As `weight_of` says."""
        return weight_of_sizes(_sizes_of(self.scopes) if self._sizes is None else self._sizes)

    def rules(self) -> Iterator[Numbered]:
        """All rules, each once, in no order."""
        for scope, rules in self.scopes.items():
            # A rule stands under each of its scopes, which are sorted.
            yield from (one for one in rules if one[1].scopes[0] == scope)

    def changed(self, added: Iterable[Numbered], removed: Mapping[str, Rule]) -> "LongShelf":
        """The shelf after a change.

        Raises:
            PolicyDiverged: a removed rule is not there.
        """
        gone: dict[str, set[str]] = defaultdict(set)
        new: dict[str, list[Numbered]] = defaultdict(list)
        for rule_id, rule in removed.items():
            for scope in rule.scopes:
                gone[scope].add(rule_id)
        for one in added:
            for scope in one[1].scopes:
                new[scope].append(one)
        sizes = self._sizes if self._sizes is None else self._sizes.copy()
        count, changes = self.count, dict[str, tuple[Numbered, ...] | None]()
        for scope in gone.keys() | new.keys():
            before = self.scopes.get(scope, ())
            after = (*_without(before, gone.get(scope, ())), *new.get(scope, ()))
            count += len(after) - len(before)
            if sizes is not None:
                _resize(sizes, kind_of(scope), len(before), len(after))
            changes[scope] = after or None
        return LongShelf(_with(self.scopes, changes), count, sizes)


#: The rules of one holder.
Shelf = tuple[Numbered, ...] | LongShelf


def changed_shelf(shelf: Shelf, added: Sequence[Numbered], removed: Mapping[str, Rule]) -> Shelf:
    """A holder's rules after a change; the old ones stay as they are.

    Raises:
        PolicyDiverged: a removed rule is not among them.
    """
    if isinstance(shelf, LongShelf):
        return shelf.changed(added, removed)
    rules = (*_without(shelf, removed), *added)
    return rules if len(rules) <= _SHORT else LongShelf.of(rules)


def rules_of(shelf: Shelf) -> Iterable[Numbered]:
    """All rules of a holder, each once."""
    return shelf.rules() if isinstance(shelf, LongShelf) else shelf


def rules_in(shelf: Shelf, scope: str) -> Iterable[Numbered]:
    """The rules of a holder for one scope."""
    if isinstance(shelf, LongShelf):
        return shelf.scopes.get(scope, ())
    return [one for one in shelf if scope in one[1].scopes]


def weight_of(shelf: Shelf) -> int:
    """How many rules of one holder can concern one item at most.

    An item has one id, one owner and one queue, so of the scopes of these kinds the one with the most rules counts. It
    has up to sixteen labels: so many times the most rules of one label count, or all there are.
    """
    if isinstance(shelf, LongShelf):
        return shelf.weight()
    if len(shelf) == 1 and len(shelf[0][1].scopes) == 1:
        return 1
    return LongShelf.of(shelf).weight()


def most_weight(shelf: Shelf) -> int:
    """A number that is at least the weight, and quickly found."""
    return shelf.count if isinstance(shelf, LongShelf) else sum(len(rule.scopes) for _, rule in shelf)


def weight_of_sizes(sizes: Sizes) -> int:
    """As `weight_of` says, of how many scopes of each kind have how many rules."""
    most: dict[str, int] = defaultdict(int)
    labelled = 0
    for (kind, size), scopes in sizes.items():
        if scopes:
            most[kind] = max(most[kind], size)
            labelled += size * scopes * (kind == _LABEL)
    most[_LABEL] = min(MAX_LABELS * most[_LABEL], labelled)
    return sum(most.values())


def _sizes_of(scopes: Scopes) -> Sizes:
    return Counter((kind_of(scope), len(rules)) for scope, rules in scopes.items())


def kind_of(scope: str) -> str:
    """What the scope looks at: `any`, `own`, `id`, `owner`, `queue` or `label`."""
    return scope.partition(":")[0]


def _resize(sizes: Sizes, kind: str, before: int, after: int) -> None:
    for size, step in ((before, -1), (after, 1)):
        if size:
            sizes[kind, size] += step


def _with(scopes: Scopes, changes: dict[str, tuple[Numbered, ...] | None]) -> Scopes:
    if isinstance(scopes, Spread):
        return scopes.changed(changes)
    return _kept({scope: rules for scope, rules in {**scopes, **changes}.items() if rules is not None})


def _kept(scopes: dict[str, tuple[Numbered, ...]]) -> Scopes:
    return scopes if len(scopes) <= _SMALL else Spread[str, tuple[Numbered, ...]]().changed(scopes)


def _without(rules: tuple[Numbered, ...], removed: Collection[str]) -> tuple[Numbered, ...]:
    if not removed:
        return rules
    kept = tuple([one for one in rules if one[0] not in removed])
    if len(rules) - len(kept) != len(removed):
        raise PolicyDiverged("a rule to remove is not there")
    return kept

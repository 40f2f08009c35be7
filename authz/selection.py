"""What one person finds in a policy for one verb and type of item."""

from collections.abc import Iterable, Mapping, Sequence

from linewarden.authz.index import Candidate, LongShelf, Numbered, Scopes, Shelf
from linewarden.authz.model import ResourceType, Verb
from linewarden.authz.recall import Recall
from linewarden.authz.recent import Recent
from linewarden.authz.spread import Spread

#: Combinations of scopes whose rules are remembered; at most twice as many.
REMEMBERED = 256

_Pair = tuple[ResourceType, Verb]


class Selection:
    """What a person's rules, and those of its roles, say about one verb and type."""

    __slots__ = ("_long", "_pair", "_recalls", "_short")

    def __init__(
        self, shelves: Spread[str, Shelf] | dict[str, Shelf], paths: Mapping[str, tuple[str, ...]], pair: _Pair
    ) -> None:
        self._pair = pair
        self._short: dict[str, list[Candidate]] = {}
        self._long: list[tuple[tuple[str, ...], Scopes]] = []
        self._recalls: Recent[tuple[str, ...], Recall] = Recent(REMEMBERED)
        for holder, path in paths.items():
            shelf = shelves.get(holder, ())
            if isinstance(shelf, LongShelf):
                self._long.append((path, shelf.scopes))
            elif shelf:
                self._look_through(shelf, path)

    def recall(self, scopes: Sequence[str]) -> Recall | None:
        """The rules for an item that lies in these scopes, with what they said before; None if there are none."""
        short = self._short
        if self._long:
            hits = tuple([scope for scope in scopes if scope in short or self._is_long(scope)])
        else:
            hits = tuple([scope for scope in scopes if scope in short])
        if not hits:
            return None
        recall = self._recalls.get(hits)
        if recall is None:
            recall = Recall(self.at(hits))
            self._recalls.put(hits, recall)
        return recall if recall.candidates else None

    def _is_long(self, scope: str) -> bool:
        return any(scope in shelf for _, shelf in self._long)

    def at(self, scopes: Sequence[str]) -> list[Candidate]:
        """The rules for an item that lies in these scopes, each once."""
        found: list[Candidate] = []
        for scope in scopes:
            here = self._short.get(scope)
            if here is not None:
                found += here
        for path, shelf in self._long:
            for scope in scopes:
                for rule_id, rule in shelf.get(scope, ()):
                    if self._pair in rule.reach.pairs:
                        found.append(Candidate(scope, path, rule_id, rule))
        if len(found) > 1 and any(len(one.rule.scopes) > 1 for one in found):
            return list({one.id: one for one in found}.values())
        return found

    def _look_through(self, shelf: Iterable[Numbered], path: tuple[str, ...]) -> None:
        for rule_id, rule in shelf:
            if self._pair in rule.reach.pairs:
                for scope in rule.scopes:
                    self._short.setdefault(scope, []).append(Candidate(scope, path, rule_id, rule))

"""What one person finds in a policy for one verb and type of item."""

from collections.abc import Iterable, Mapping, Sequence

from linewarden.authz.index import Candidate, LongShelf, Numbered, Scopes, Shelf
from linewarden.authz.model import ResourceType, Verb
from linewarden.authz.spread import Spread

_SELECTION_BYTES = 500
_CANDIDATE_BYTES = 300
_SHELF_BYTES = 72

_Pair = tuple[ResourceType, Verb]


class Selection:
    """What a person's rules, and those of its roles, say about one verb and type. `cost` is in bytes."""

    __slots__ = ("_long", "_pair", "_short", "cost", "paths")

    def __init__(
        self, shelves: Spread[str, Shelf] | dict[str, Shelf], paths: Mapping[str, tuple[str, ...]], pair: _Pair
    ) -> None:
        self.paths = paths
        self._pair = pair
        self._short: dict[str, list[Candidate]] = {}
        self._long: list[tuple[tuple[str, ...], Scopes]] = []
        count = 0
        for holder, path in paths.items():
            shelf = shelves.get(holder, ())
            if isinstance(shelf, LongShelf):
                self._long.append((path, shelf.scopes))
            elif shelf:
                count += self._look_through(shelf, path)
        self.cost = _SELECTION_BYTES + _CANDIDATE_BYTES * count + _SHELF_BYTES * len(self._long)

    def has(self, _subject: str, role: str, _domain: str) -> bool:
        """Casbin's `g`, about this person."""
        return role in self.paths

    def hits(self, scopes: Sequence[str]) -> tuple[str, ...]:
        """The scopes, of those that an item lies in, for which there are rules."""
        short, long, found = self._short, self._long, []
        for scope in scopes:
            if scope in short:
                found.append(scope)
            else:
                for _, shelf in long:
                    if scope in shelf:
                        found.append(scope)
                        break
        return tuple(found)

    def count(self, scopes: Sequence[str]) -> int:
        """How many rules are looked through for these scopes."""
        found = 0
        for scope in scopes:
            found += len(self._short.get(scope, ()))
            for _, shelf in self._long:
                found += len(shelf.get(scope, ()))
        return found

    def at(self, scopes: Sequence[str]) -> list[Candidate]:
        """The rules for an item that lies in these scopes, each once, in the order of their ids."""
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
        if len(found) > 1:
            if any(len(one.rule.scopes) > 1 for one in found):
                found = list({one.id: one for one in found}.values())
            found.sort(key=_id)
        return found

    def _look_through(self, shelf: Iterable[Numbered], path: tuple[str, ...]) -> int:
        count = 0
        for rule_id, rule in shelf:
            if self._pair in rule.reach.pairs:
                for scope in rule.scopes:
                    self._short.setdefault(scope, []).append(Candidate(scope, path, rule_id, rule))
                    count += 1
        return count


def _id(candidate: Candidate) -> str:
    return candidate.id

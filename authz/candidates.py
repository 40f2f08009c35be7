"""The rules of a policy that can matter when persons of the same roles use one verb on one type of item."""

from collections.abc import Iterable, Mapping, Sequence

from linewarden.authz.index import Candidate, HolderRules, NumberedRule, RulesByScope, Scopes
from linewarden.authz.model import ResourceType, Verb
from linewarden.authz.persistent_map import PersistentMap

#: Estimated bytes of this object, of each candidate in it, and of each role that has many rules.
_RULES_BYTES = 500
_CANDIDATE_BYTES = 300
_HOLDER_BYTES = 72

#: The type of an item and the verb.
Pair = tuple[ResourceType, Verb]


class CandidateRules:
    """The rules of all holders that a person stands for, for one verb and type. `cost` is in bytes.

    `paths` has each holder with the roles that lead to it: all roles of the person, and the person itself, without
    roles, if it has rules of its own. `name_length` is that of the person's name.
    """

    __slots__ = ("_long", "_pair", "_short", "cost", "name_length", "paths")

    def __init__(
        self,
        rules: PersistentMap[str, HolderRules] | dict[str, HolderRules],
        paths: Mapping[str, tuple[str, ...]],
        pair: Pair,
        name_length: int,
    ) -> None:
        self.paths = paths
        self.name_length = name_length
        self._pair = pair
        self._short: dict[str, list[Candidate]] = {}
        self._long: list[tuple[tuple[str, ...], Scopes]] = []
        count = 0
        for holder, path in paths.items():
            held = rules.get(holder, ())
            if isinstance(held, RulesByScope):
                self._long.append((path, held.scopes))
            elif held:
                count += self._add(held, path)
        self.cost = _RULES_BYTES + _CANDIDATE_BYTES * count + _HOLDER_BYTES * len(self._long)

    def has(self, _subject: str, role: str, _domain: str) -> bool:
        """Return whether the person has the role. This is Casbin's `g`."""
        return role in self.paths

    def hits(self, scopes: Sequence[str]) -> tuple[str, ...]:
        """Return those of an item's scopes for which there are rules."""
        short, long, found = self._short, self._long, []
        for scope in scopes:
            if scope in short:
                found.append(scope)
            else:
                for _, held in long:
                    if scope in held:
                        found.append(scope)
                        break
        return tuple(found)

    def count(self, scopes: Sequence[str]) -> int:
        """Return the number of rules that `at` examines for these scopes."""
        count = 0
        for scope in scopes:
            count += len(self._short.get(scope, ()))
            for _, held in self._long:
                count += len(held.get(scope, ()))
        return count

    def at(self, scopes: Sequence[str]) -> list[Candidate]:
        """Return the rules for an item in these scopes, each once, in the order of their ids."""
        candidates: list[Candidate] = []
        for scope in scopes:
            in_scope = self._short.get(scope)
            if in_scope is not None:
                candidates += in_scope
        for path, held in self._long:
            for scope in scopes:
                for rule_id, rule in held.get(scope, ()):
                    if self._pair in rule.reach.pairs:
                        candidates.append(Candidate(scope, path, rule_id, rule))
        if len(candidates) > 1:
            if any(len(candidate.rule.scopes) > 1 for candidate in candidates):
                candidates = list({candidate.id: candidate for candidate in candidates}.values())
            candidates.sort(key=_id)
        return candidates

    def _add(self, held: Iterable[NumberedRule], path: tuple[str, ...]) -> int:
        count = 0
        for rule_id, rule in held:
            if self._pair in rule.reach.pairs:
                for scope in rule.scopes:
                    self._short.setdefault(scope, []).append(Candidate(scope, path, rule_id, rule))
                    count += 1
        return count


def _id(candidate: Candidate) -> str:
    return candidate.id

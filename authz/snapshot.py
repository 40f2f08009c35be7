"""A policy compiled for one revision: immutable, read by many threads without a lock, swapped by reference.

A decision looks up the rules that can matter (`index`), lets Casbin's matcher judge each of them and Casbin's effector
the whole (`judge`), and says why (`findings`). What a snapshot remembers of persons is bounded, and it remembers none
it does not know.
"""

from collections.abc import Iterable
from typing import Self

from linewarden.authz.findings import Findings
from linewarden.authz.in_force import InForce
from linewarden.authz.judge import DOMAIN, judge
from linewarden.authz.model import Context, Decision, Effect, Finding, Reason, Resource, ResourceType, Verb
from linewarden.authz.recall import Recall
from linewarden.authz.recent import Recent
from linewarden.authz.roles import paths_from
from linewarden.authz.rules import FOREIGN, ROLE, Statement
from linewarden.authz.scopes import Item, item_of
from linewarden.authz.selection import Selection

#: Persons, and persons with verb and type, that a snapshot remembers; at most twice as many.
REMEMBERED = 8192

_NO_RULE = Decision(Finding(Effect.DENY, Reason.NO_MATCHING_RULE))
_STRANGER = Decision(Finding(Effect.DENY, Reason.SUBJECT_OF_OTHER_TENANT))


class _Person:
    """A person with all its roles and the way to each."""

    __slots__ = ("paths",)

    def __init__(self, paths: dict[str, tuple[str, ...]]) -> None:
        self.paths = paths

    def has(self, _subject: str, role: str, _domain: str) -> bool:
        """Casbin's `g`, about this person."""
        return role in self.paths


_NOBODY = _Person({})
_NOTHING = Selection({}, {}, (ResourceType.RECORDING, Verb.PLAY))


class Snapshot:
    """The rules and role bindings in force at `revision`. `hash` is that of the revision."""

    __slots__ = ("_judge", "_persons", "_roles", "_selections", "_shelves", "hash", "in_force", "revision")

    def __init__(self, revision: int, hash: bytes, in_force: InForce) -> None:
        self.revision = revision
        self.hash = hash
        self.in_force = in_force
        self._shelves = in_force.shelves
        self._roles = in_force.roles
        self._judge = judge()
        self._persons: Recent[str, _Person] = Recent(REMEMBERED)
        self._selections: Recent[tuple[str, ResourceType, Verb], tuple[_Person, Selection]] = Recent(REMEMBERED)

    @classmethod
    def compile(cls, revision: int, hash: bytes, statements: Iterable[tuple[str, Statement]]) -> Self:
        """The snapshot of the statements, each with the id that decisions refer to it by."""
        return cls(0, b"", InForce()).changed(revision, hash, statements, ())

    def changed(
        self,
        revision: int,
        hash: bytes,
        added: Iterable[tuple[str, Statement]],
        removed: Iterable[tuple[str, Statement]],
    ) -> Self:
        """The snapshot after a change. Costs what changed.

        Raises:
            PolicyDiverged: a statement to remove is not there.
        """
        return type(self)(revision, hash, self.in_force.changed(added, removed))

    def decide(self, subject: str, verb: Verb, resource: Resource, context: Context) -> Decision:
        """The answer to one access, with every rule that matched and every condition that kept one from matching.

        Raises:
            ValueError: a label of the resource has `=` in its key.
        """
        item = item_of(resource, subject)
        person, selection = self._selected(subject, verb, item.type)
        recall = selection.recall(item.scopes)
        if recall is None:
            return _STRANGER if subject.startswith(FOREIGN) and not person.paths else _NO_RULE
        circumstances = recall.circumstances(resource, context)
        finding = recall.finding(circumstances) if circumstances is not None else None
        if finding is None:
            finding = self._find(recall, person, (subject, DOMAIN, item, verb, context))
            if circumstances is not None:
                recall.remember(circumstances, finding)
        return Decision(finding, _expires(recall, resource, context))

    def _find(self, recall: Recall, person: _Person, request: tuple[str, str, Item, Verb, Context]) -> Finding:
        """Let Casbin judge the rules that can matter."""
        _, _, item, verb, context = request
        findings = Findings(item.resource, context)
        matches = self._judge.matches
        for candidate in recall.candidates:
            rule = candidate.rule
            row = (rule.who, DOMAIN, item.type, candidate.scope, verb, rule.conditions, rule.effect)
            findings.add(candidate, matches=matches(person.has, *request, *row))
        return findings.finding(self._judge)

    def _selected(self, subject: str, verb: Verb, kind: ResourceType) -> tuple[_Person, Selection]:
        found = self._selections.get((subject, kind, verb))
        if found is None:
            person = self._person(subject)
            if person is _NOBODY:
                return _NOBODY, _NOTHING
            found = person, Selection(self._shelves, person.paths, (kind, verb))
            self._selections.put((subject, kind, verb), found)
        return found

    def _person(self, subject: str) -> _Person:
        person = self._persons.get(subject)
        if person is None:
            # Persons ask; whoever comes under the name of a role is nobody.
            if subject.startswith(ROLE) or (subject not in self._roles and subject not in self._shelves):
                return _NOBODY
            person = _Person(paths_from(subject, self._roles))
            self._persons.put(subject, person)
        return person


def _expires(recall: Recall, resource: Resource, context: Context) -> int | None:
    # A time that is no whole number has no end of its own, and must not hide the end of a validity window.
    if type(context.now_us) is not int:
        return None
    if resource.created_us is not None and type(resource.created_us) is not int:
        resource = resource._replace(created_us=None)
    return recall.expires(resource, context)

"""A policy compiled for one revision: immutable, read by many threads without a lock, swapped by reference.

A decision looks up the rules that can matter (`index`), lets Casbin's matcher select them and Casbin's effector judge
the whole (`judge`), and says why (`findings`). What the snapshots of a process remember is bounded in bytes over all of
them (`Budget`), and of persons that a policy does not know they remember nothing.
"""

from collections.abc import Generator, Iterable, Mapping
from typing import Self

from linewarden.audit.cache import Budget, Cache
from linewarden.authz.casbin_model import DOMAIN, compiled_model
from linewarden.authz.findings import Findings
from linewarden.authz.in_force import InForce
from linewarden.authz.index import Candidate
from linewarden.authz.memo import FindingMemo, Sight
from linewarden.authz.model import Context, Decision, Effect, Finding, Reason, Resource, ResourceType, Verb
from linewarden.authz.roles import paths_from
from linewarden.authz.rules import FOREIGN, ROLE, Statement
from linewarden.authz.scopes import Item, item_of
from linewarden.authz.selection import Selection

#: What the snapshots of a process remember of persons, rules and findings, bytes.
REMEMBERED_BYTES = 32 * 1024 * 1024

#: Rules that are judged at a stretch: more are judged in turns, so that others are answered in between.
TURN = 1024

#: A person with no more roles meets so few rules at once that they are not counted before they are gathered.
_FEW_ROLES = 16

_PATH_BYTES = 250

_NO_RULE = Decision(Finding(Effect.DENY, Reason.NO_MATCHING_RULE))
_STRANGER = Decision(Finding(Effect.DENY, Reason.SUBJECT_OF_OTHER_TENANT))

#: A person with all its roles and the way to each.
Paths = Mapping[str, tuple[str, ...]]

#: The steps of a long decision; the decision is what it returns.
Long = Generator[None, None, Decision]

_Request = tuple[str, str, Item, Verb, Context]


class Snapshot:
    """The rules and role bindings in force at `revision`. `hash` is that of the revision."""

    __slots__ = (
        "_budget",
        "_memos",
        "_model",
        "_persons",
        "_roles",
        "_selections",
        "_shelves",
        "hash",
        "in_force",
        "revision",
    )

    def __init__(self, revision: int, hash: bytes, in_force: InForce, budget: Budget) -> None:
        self.revision = revision
        self.hash = hash
        self.in_force = in_force
        self._shelves = in_force.shelves
        self._roles = in_force.roles
        self._model = compiled_model()
        self._budget = budget
        self._persons: Cache[str, Paths] = Cache(budget)
        self._selections: Cache[tuple[str, ResourceType, Verb], Selection] = Cache(budget)
        self._memos: Cache[tuple[Selection, tuple[str, ...]], FindingMemo] = Cache(budget)

    @classmethod
    def compile(
        cls, revision: int, hash: bytes, statements: Iterable[tuple[str, Statement]], budget: Budget | None = None
    ) -> Self:
        """The snapshot of the statements, each with the id that decisions refer to it by.

        It shares `budget` with the snapshots that it changes into; without one they have their own.
        """
        return cls(0, b"", InForce(), budget or Budget(REMEMBERED_BYTES)).changed(revision, hash, statements, ())

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
        return type(self)(revision, hash, self.in_force.changed(added, removed), self._budget)

    def decide(self, subject: str, verb: Verb, resource: Resource, context: Context) -> Decision:
        """The answer to one access, with the rules that matched and the conditions that kept others from matching.

        Raises:
            ValueError: a label of the resource has `=` in its key.
        """
        answer = self.ask(subject, verb, resource, context)
        return answer if isinstance(answer, Decision) else finished(answer)

    def ask(self, subject: str, verb: Verb, resource: Resource, context: Context) -> "Decision | Long":
        """The answer to one access, or the work that leads to it in short turns, if it is long.

        Raises:
            ValueError: a label of the resource has `=` in its key.
        """
        item = item_of(resource, subject)
        selection = self._selected(subject, verb, item.type)
        hits = selection.hits(item.scopes) if selection is not None else ()
        if not hits or selection is None:
            stranger = subject.startswith(FOREIGN) and self._person(subject) is None
            return _STRANGER if stranger else _NO_RULE
        memo = self._memos.get((selection, hits))
        if memo is None:
            request = (subject, DOMAIN, item, verb, context)
            if len(selection.paths) > _FEW_ROLES and selection.count(hits) > TURN:
                return self._work(selection, hits, request)
            memo = self._memo(selection, hits, request)
        circumstances, until_us, comparable = sight = memo.look(resource, context)
        finding = memo.finding(circumstances) if comparable else None
        if finding is None:
            if len(memo.candidates) > TURN:
                return self._judge_in_turns(selection, hits, memo, sight)
            findings = Findings(memo.seen(circumstances))
            findings.add(memo.candidates)
            finding = findings.finding(self._model)
            if comparable:
                memo.remember(circumstances, finding)
                self._memos.put((selection, hits), memo, memo.cost)
        return Decision(finding, until_us)

    def _work(self, selection: Selection, hits: tuple[str, ...], request: _Request) -> "Long":
        """Gather the rules, then judge them."""
        memo = self._memo(selection, hits, request)
        yield
        _, _, item, _, context = request
        return (yield from self._judge_in_turns(selection, hits, memo, memo.look(item.resource, context)))

    def _judge_in_turns(self, selection: Selection, hits: tuple[str, ...], memo: FindingMemo, sight: Sight) -> "Long":
        circumstances, until_us, comparable = sight
        findings = Findings(memo.seen(circumstances))
        for start in range(0, len(memo.candidates), TURN):
            findings.add(memo.candidates[start : start + TURN])
            yield
        finding = findings.finding(self._model)
        if comparable:
            memo.remember(circumstances, finding)
            self._memos.put((selection, hits), memo, memo.cost)
        return Decision(finding, until_us)

    def _memo(self, selection: Selection, hits: tuple[str, ...], request: _Request) -> FindingMemo:
        """The rules that can matter, as far as Casbin lets them match if their conditions hold."""
        found = selection.at(hits)
        if len(found) == 1:
            return FindingMemo(found if self._selects(selection, request, found[0]) else ())
        asked: dict[tuple[str, str], bool] = {}
        for one in found:
            if (one.rule.who, one.scope) not in asked:
                asked[one.rule.who, one.scope] = self._selects(selection, request, one)
        return FindingMemo([one for one in found if asked[one.rule.who, one.scope]])

    def _selects(self, selection: Selection, request: _Request, one: Candidate) -> bool:
        _, _, item, verb, _ = request
        rule = one.rule
        row = (rule.who, DOMAIN, item.type, one.scope, verb, (), rule.effect)
        return self._model.selects(selection.has, *request, *row)

    def _selected(self, subject: str, verb: Verb, kind: ResourceType) -> Selection | None:
        found = self._selections.get((subject, kind, verb))
        if found is None:
            paths = self._person(subject)
            if paths is None:
                return None
            found = Selection(self._shelves, paths, (kind, verb))
            self._selections.put((subject, kind, verb), found, found.cost + len(subject))
        return found

    def _person(self, subject: str) -> Paths | None:
        """All roles of a person with the way to each; None if the policy does not know the person."""
        paths = self._persons.get(subject)
        if paths is None:
            # Persons ask: a subject with the name of a role has no rights.
            if subject.startswith(ROLE) or (subject not in self._roles and subject not in self._shelves):
                return None
            paths = paths_from(subject, self._roles)
            self._persons.put(subject, paths, _PATH_BYTES * len(paths) + len(subject))
        return paths


def finished(work: Long) -> Decision:
    """The decision that the work leads to, without a pause."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        decision: Decision = end.value
        return decision

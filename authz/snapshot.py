"""A policy compiled for one revision: immutable, read by many threads without a lock, replaced by reference.

A decision looks up the rules that can matter (`index`), selects them with Casbin's matcher, combines them with Casbin's
effector (`casbin_model`), and explains the result (`explanations`). All snapshots of a process share one bound of bytes
for their caches (`Budget`). Nothing is cached about persons that the policy does not name.
"""

from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Self

from linewarden.audit.cache import Budget, Cache
from linewarden.authz.candidates import CandidateRules, Pair
from linewarden.authz.casbin_model import DOMAIN, compiled_model
from linewarden.authz.explanations import ExplanationBuilder
from linewarden.authz.in_force import InForce
from linewarden.authz.index import Candidate
from linewarden.authz.memo import ExplanationMemo, Observation
from linewarden.authz.model import (
    Context,
    Decision,
    Effect,
    Explanation,
    Obligation,
    Part,
    Reason,
    Resource,
    ResourceType,
    Verb,
)
from linewarden.authz.renderings import MemoizedRendering
from linewarden.authz.roles import role_paths
from linewarden.authz.rules import EVERYONE, FOREIGN, ROLE, Statement
from linewarden.authz.scopes import QUEUE, Item, scopes_of, took_part

#: Most bytes of all caches of the snapshots of a process: persons, rules and explanations.
REMEMBERED_BYTES = 32 * 1024 * 1024

#: Rules that are evaluated without a pause. More are evaluated in turns, so that other requests are answered between.
TURN = 1024

#: The rules of a person with up to so many roles are so few that they need not be counted first.
_FEW_ROLES = 16

_PATH_BYTES = 250

_NO_RULE = Decision(Explanation(Effect.DENY, Reason.NO_MATCHING_RULE))
_STRANGER = Decision(Explanation(Effect.DENY, Reason.SUBJECT_OF_OTHER_TENANT))

#: A person with rules of its own, or the empty name; the direct roles; type and verb; the length of the person's name.
#: The length counts because an explanation is bounded in characters, and the answer names the person with each rule.
_RulesKey = tuple[str, tuple[str, ...], Pair, int]

#: The steps of a long decision. The generator returns the decision.
Long = Generator[None, None, Decision]

_Request = tuple[str, str, Item, Verb, Context]


class Snapshot:
    """The rules and role bindings in force at `revision`, which has the hash `hash`."""

    __slots__ = (
        "_budget",
        "_memos",
        "_model",
        "_of_person",
        "_of_roles",
        "_roles",
        "_rules",
        "hash",
        "in_force",
        "revision",
    )

    def __init__(self, revision: int, hash: bytes, in_force: InForce, budget: Budget) -> None:
        self.revision = revision
        self.hash = hash
        self.in_force = in_force
        self._rules = in_force.rules
        self._roles = in_force.roles
        self._model = compiled_model()
        self._budget = budget
        self._of_person: Cache[tuple[str, ResourceType, Verb], CandidateRules] = Cache(budget)
        self._of_roles: Cache[_RulesKey, CandidateRules] = Cache(budget)
        self._memos: Cache[tuple[CandidateRules, tuple[str, ...]], ExplanationMemo] = Cache(budget)

    @classmethod
    def compile(
        cls, revision: int, hash: bytes, statements: Iterable[tuple[str, Statement]], budget: Budget | None = None
    ) -> Self:
        """Compile statements, each with the id by which decisions refer to it.

        The snapshot and all snapshots made from it by `changed` share `budget`. By default they have a budget of their
        own.
        """
        return cls(0, b"", InForce(), budget or Budget(REMEMBERED_BYTES)).changed(revision, hash, statements, ())

    def changed(
        self,
        revision: int,
        hash: bytes,
        added: Iterable[tuple[str, Statement]],
        removed: Iterable[tuple[str, Statement]],
    ) -> Self:
        """Return the snapshot after a change. The cost depends on the change, not on the size of the policy.

        Raises:
            PolicyDiverged: a statement to remove is not in force.
        """
        return type(self)(revision, hash, self.in_force.changed(added, removed), self._budget)

    def decide(self, subject: str, verb: Verb, resource: Resource, context: Context) -> Decision:
        """Decide one access and explain the decision.

        Raises:
            ValueError: a label of the resource has `=` in its key.
        """
        answer = self.ask(subject, verb, resource, context)
        return answer if isinstance(answer, Decision) else finished(answer)

    def ask(self, subject: str, verb: Verb, resource: Resource, context: Context) -> "Decision | Long":
        """Decide one access. If that takes long, return the work as a generator of short steps.

        Raises:
            ValueError: a label of the resource has `=` in its key.
        """
        scopes = scopes_of(resource, subject, self.groups if self.in_force.group_rules else None)
        rules = self._candidate_rules(subject, verb, resource.type)
        if rules is None:
            return _STRANGER if subject.startswith(FOREIGN) else _NO_RULE
        hits = rules.hits(scopes)
        if not hits:
            return _NO_RULE
        memo = self._memos.get((rules, hits))
        if memo is None:
            request = (subject, DOMAIN, Item(resource.type, scopes, resource), verb, context)
            if len(rules.paths) > _FEW_ROLES and rules.count(hits) > TURN:
                return self._work(rules, hits, request)
            memo = self._memo(rules, hits, request)
        circumstances, until_us, comparable = observation = memo.look(resource, context)
        explanation = memo.explanation(circumstances) if comparable else None
        if explanation is None:
            if len(memo.candidates) > TURN:
                return self._explain_in_turns(rules, hits, memo, observation, subject, resource)
            builder = ExplanationBuilder(memo.seen(circumstances), rules.name_length)
            builder.add(memo.candidates)
            explanation = builder.build(self._model)
            if comparable:
                memo.remember(circumstances, explanation)
                self._memos.put((rules, hits), memo, memo.cost)
        return _decision(explanation, until_us, subject, resource)

    def groups(self, member: str) -> list[str]:
        """Return the groups of a person or queue: its roles, without `role:`."""
        roles = self._roles.get(member, ())
        return [role.removeprefix(ROLE) for role in role_paths(roles, self._roles)] if roles else []

    def _work(self, rules: CandidateRules, hits: tuple[str, ...], request: _Request) -> "Long":
        """Gather the rules, then evaluate them."""
        memo = self._memo(rules, hits, request)
        yield
        subject, _, item, _, context = request
        observation = memo.look(item.resource, context)
        return (yield from self._explain_in_turns(rules, hits, memo, observation, subject, item.resource))

    def _explain_in_turns(
        self,
        rules: CandidateRules,
        hits: tuple[str, ...],
        memo: ExplanationMemo,
        observation: Observation,
        subject: str,
        resource: Resource,
    ) -> "Long":
        circumstances, until_us, comparable = observation
        builder = ExplanationBuilder(memo.seen(circumstances), rules.name_length)
        for start in range(0, len(memo.candidates), TURN):
            builder.add(memo.candidates[start : start + TURN])
            yield
        explanation = builder.build(self._model)
        if comparable:
            memo.remember(circumstances, explanation)
            self._memos.put((rules, hits), memo, memo.cost)
        return _decision(explanation, until_us, subject, resource)

    def _memo(self, rules: CandidateRules, hits: tuple[str, ...], request: _Request) -> ExplanationMemo:
        """Return the memo of the rules that match according to Casbin if their conditions hold."""
        candidates = rules.at(hits)
        if len(candidates) == 1:
            return ExplanationMemo(candidates if self._selects(rules, request, candidates[0]) else ())
        selected: dict[tuple[str, str], bool] = {}
        for candidate in candidates:
            key = candidate.rule.who, candidate.scope
            if key not in selected:
                selected[key] = self._selects(rules, request, candidate)
        return ExplanationMemo([one for one in candidates if selected[one.rule.who, one.scope]])

    def _selects(self, rules: CandidateRules, request: _Request, candidate: Candidate) -> bool:
        _, _, item, verb, _ = request
        rule = candidate.rule
        row = (rule.who, DOMAIN, item.type, candidate.scope, verb, (), rule.effect)
        return self._model.selects(rules.has, *request, *row)

    def _candidate_rules(self, subject: str, verb: Verb, kind: ResourceType) -> CandidateRules | None:
        """Return the rules that can matter to a person; None if the policy does not name the person."""
        key = subject, kind, verb
        rules = self._of_person.get(key)
        if rules is None:
            roles, own = self._roles.get(subject, ()), subject in self._rules
            # Only persons have rights: a subject with the name of a role or queue has none.
            if not (roles or own) or subject.startswith((ROLE, QUEUE)) or subject == EVERYONE:
                return None
            rules = self._rules_of(subject if own else "", roles, (kind, verb), len(subject))
            self._of_person.put(key, rules, len(subject))
        return rules

    def _rules_of(self, own: str, roles: tuple[str, ...], pair: Pair, name_length: int) -> CandidateRules:
        """Return the rules for persons with these direct roles, or for the person `own`, who has rules of its own."""
        key = own, roles, pair, name_length
        rules = self._of_roles.get(key)
        if rules is None:
            paths = role_paths(roles, self._roles)
            if own:
                paths[own] = ()
            if EVERYONE in self._rules:
                paths[EVERYONE] = (EVERYONE,)
            rules = CandidateRules(self._rules, paths, pair, name_length)
            self._of_roles.put(key, rules, rules.cost + _PATH_BYTES * len(paths))
        return rules


def _decision(explanation: Explanation, until_us: int | None, subject: str, resource: Resource) -> Decision:
    """Return the decision about one access, limited to the stretches in which the person took part if it must be.

    A person who took part in the whole item, and an owner who is no participant, have no such duty.
    """
    if Obligation.PART not in explanation.obligations:
        return Decision(explanation, until_us, subject)
    participants = resource.participants
    own = took_part(participants, subject) or [one for one in participants if subject in one.persons]
    parts = tuple([Part(one.from_us, one.until_us) for one in own])
    if not parts or Part(None, None) in parts:
        return Decision(_of_the_whole(explanation), until_us, subject)
    return Decision(explanation, until_us, subject, parts)


def _without_part(explanation: Explanation) -> Explanation:
    duties = tuple([one for one in explanation.obligations if one is not Obligation.PART])
    return replace(explanation, obligations=duties, renderings={})


_of_the_whole = MemoizedRendering(_without_part)


def finished(work: Long) -> Decision:
    """Run a long decision to its end without a pause."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        decision: Decision = end.value
        return decision

"""What was found about one access, gathered rule by rule into an explained decision."""

from linewarden.authz.conditions import verdict
from linewarden.authz.index import Candidate
from linewarden.authz.judge import Judge
from linewarden.authz.model import (
    Context,
    Effect,
    FailedCondition,
    Finding,
    Match,
    Obligation,
    Reason,
    Resource,
)


class Findings:
    """The rules judged so far."""

    __slots__ = (
        "_allowed",
        "_context",
        "_denied",
        "_duties",
        "_failed",
        "_hindered",
        "_matched",
        "_resource",
        "_sound",
    )

    def __init__(self, resource: Resource, context: Context) -> None:
        self._resource = resource
        self._context = context
        self._matched: list[Match] = []
        self._failed: list[FailedCondition] = []
        self._duties: tuple[Obligation, ...] = ()
        self._allowed = self._denied = False
        #: Whether a deny rule matched without an error, and whether an allow rule did not match.
        self._sound = self._hindered = False

    def add(self, candidate: Candidate, *, matches: bool) -> None:
        """One more rule, and whether it matches."""
        rule = candidate.rule
        error = bool(rule.conditions) and self._look_into(candidate, matches=matches)
        if not matches:
            self._hindered |= rule.effect is Effect.ALLOW
            return
        self._matched.append(Match(candidate.id, rule.effect, candidate.path))
        if rule.effect is Effect.ALLOW:
            self._allowed = True
            self._duties += rule.obligations
        else:
            self._denied = True
            self._sound |= not error

    def finding(self, judge: Judge) -> Finding:
        """The finding, with rules in the order of their ids, so that it does not depend on how they were found."""
        effect = judge.effect(allowed=self._allowed, denied=self._denied)
        matched, failed = self._matched, self._failed
        if len(matched) > 1:
            matched.sort(key=lambda one: one.rule_id)
        if len(failed) > 1:
            failed.sort(key=lambda one: one.rule_id)
        duties = tuple(sorted(set(self._duties))) if effect is Effect.ALLOW and self._duties else ()
        return Finding(effect, self._reason(effect), tuple(matched), tuple(failed), duties)

    def _look_into(self, candidate: Candidate, *, matches: bool) -> bool:
        """Note what the conditions of a rule say; whether one of them could not be evaluated."""
        rule, broken = candidate.rule, False
        for condition in rule.conditions:
            found, error = verdict(condition, self._resource, self._context)
            broken |= error
            # What is not known keeps an allow rule from matching, but not a deny rule.
            kept = not matches and (found is False or (found is None and rule.effect is Effect.ALLOW))
            if kept or error:
                self._failed.append(FailedCondition(candidate.id, condition.text, error))
        return broken

    def _reason(self, effect: Effect) -> Reason:
        if effect is Effect.ALLOW:
            return Reason.ALLOWED_BY_RULE
        if self._denied:
            return Reason.DENIED_BY_RULE if self._sound else Reason.CONDITION_ERROR
        if any(one.error for one in self._failed):
            return Reason.CONDITION_ERROR
        return Reason.CONDITION_FAILED if self._hindered else Reason.NO_MATCHING_RULE

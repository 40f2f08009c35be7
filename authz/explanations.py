"""Building the explanation of one access, rule by rule.

An explanation is bounded: it lists rules and conditions up to EXPLAINED characters each, and counts the others. So the
answer about one item, its record and its cached form stay small, however many rules a policy has for the item.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from linewarden.authz.casbin_model import Model
from linewarden.authz.conditions import FAULT, Condition, Verdict, lets_match, verdict
from linewarden.authz.index import Candidate
from linewarden.authz.inputs import Input
from linewarden.authz.model import Effect, Explanation, FailedCondition, Match, Obligation, Reason

#: Characters of rules that matched, and of conditions that failed, in one explanation. 500 explanations fit into an
#: answer of 4 MiB, the limit of gRPC clients by default. Each one fits into an entry of the log.
EXPLAINED = 1536

#: Characters that a rule or condition takes beside its text.
_PART = 16


class ExplanationBuilder:
    """The rules evaluated so far, for one set of input values. Rules are added in the order of their ids.

    `name_length` is that of the person's name, which each rule that matched carries in the answer.
    """

    _duties: tuple[Obligation, ...] = ()
    _failed_left = _allowing_left = _denying_left = EXPLAINED
    _more_matched = _more_failed = 0
    #: True once a deny rule matched without an error; an allow rule did not match; a condition was in error.
    _sound = _hindered = _erred = False

    def __init__(self, seen: Mapping[Input, Any], name_length: int) -> None:
        self._seen = seen
        self._part = _PART + name_length
        self._allowing: list[Match] = []
        self._denying: list[Match] = []
        self._failed: list[FailedCondition] = []

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Evaluate the conditions of rules that match in every other respect."""
        seen = self._seen
        for candidate in candidates:
            rule, erred = candidate.rule, False
            allows = rule.effect is Effect.ALLOW
            if rule.conditions:
                verdicts = [verdict(one, seen[one.input]) for one in rule.conditions]
                if verdicts.count(True) < len(verdicts):
                    matches, erred = lets_match(verdicts, rule.effect), FAULT in verdicts
                    self._explain(candidate, verdicts, matches=matches)
                    if not matches:
                        self._hindered |= allows
                        continue
            if allows:
                self._allow(candidate)
            else:
                self._deny(candidate)
                self._sound |= not erred

    def build(self, model: Model) -> Explanation:
        """Return the explanation. Rules that deny come first among those that matched."""
        matched, failed = self._matched(), tuple(self._failed)
        effect = model.effect(allowed=bool(self._allowing), denied=bool(self._denying))
        return Explanation(
            effect,
            self._reason(effect),
            matched,
            failed,
            self._duties if effect is Effect.ALLOW else (),
            self._more_matched,
            self._more_failed,
        )

    # The first part of a list is always listed, however long it is. After a part that does not fit, parts are counted.

    def _allow(self, candidate: Candidate) -> None:
        if self._allowing_left > 0:
            self._allowing_left -= self._size(candidate)
        if self._allowing_left >= 0 or not self._allowing:
            self._allowing.append(Match(candidate.id, Effect.ALLOW, candidate.roles))
        else:
            self._more_matched += 1
        duties = candidate.rule.obligations
        if len(duties) == 1 and not self._duties:
            self._duties = duties
        elif duties and duties != self._duties:
            self._duties = tuple(sorted({*self._duties, *duties}))

    def _deny(self, candidate: Candidate) -> None:
        if self._denying_left > 0:
            self._denying_left -= self._size(candidate)
        if self._denying_left >= 0 or not self._denying:
            self._denying.append(Match(candidate.id, Effect.DENY, candidate.roles))
        else:
            self._more_matched += 1

    def _matched(self) -> tuple[Match, ...]:
        denying, allowing = self._denying, self._allowing
        if not denying or not allowing:
            return tuple(denying or allowing)
        left = self._denying_left
        kept = [*denying]
        for match in allowing:
            left -= self._part + len(match.rule_id) + sum(map(len, match.roles))
            if left < 0:
                break
            kept.append(match)
        self._more_matched += len(denying) + len(allowing) - len(kept)
        return tuple(kept)

    def _size(self, candidate: Candidate) -> int:
        return self._part + len(candidate.id) + sum(map(len, candidate.roles))

    def _explain(self, candidate: Candidate, verdicts: list[Verdict], *, matches: bool) -> None:
        """List the conditions that kept a rule from matching or could not be evaluated."""
        allows = candidate.rule.effect is Effect.ALLOW
        for condition, result in zip(candidate.rule.conditions, verdicts, strict=True):
            error = result is FAULT
            self._erred |= error
            # An unknown input keeps an allow rule from matching, but not a deny rule.
            if not error and (matches or result is True or (result is None and not allows)):
                continue
            self._list_failed(candidate.id, condition, error=error)

    def _list_failed(self, rule_id: str, condition: Condition, *, error: bool) -> None:
        if self._failed_left <= 0:
            self._more_failed += 1
            return
        text = condition.text
        self._failed_left -= _PART + len(rule_id) + len(text)
        if self._failed_left >= 0 or not self._failed:
            self._failed.append(FailedCondition(rule_id, text, error))
        else:
            self._more_failed += 1

    def _reason(self, effect: Effect) -> Reason:
        if effect is Effect.ALLOW:
            return Reason.ALLOWED_BY_RULE
        if self._denying:
            return Reason.DENIED_BY_RULE if self._sound else Reason.CONDITION_ERROR
        if self._erred:
            return Reason.CONDITION_ERROR
        return Reason.CONDITION_FAILED if self._hindered else Reason.NO_MATCHING_RULE

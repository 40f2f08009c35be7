"""The memory of findings: what a set of rules said before in the same circumstances.

Circumstances are the representatives of all inputs that the rules' conditions look at (see `inputs`). A finding is made
from them alone, so that a remembered finding is the one that would be made again, whatever the conditions are.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from linewarden.authz.conditions import FAULT, Condition, Conditions
from linewarden.authz.index import Candidate
from linewarden.authz.inputs import Input, Marks, merged
from linewarden.authz.model import Context, Finding, Resource

#: Circumstances remembered for one set of rules; a full memory begins anew.
REMEMBERED = 16

_MEMO_BYTES = 400
_CANDIDATE_BYTES = 120
_MARK_BYTES = 40
_CIRCUMSTANCES_BYTES = 200

#: The representatives of the inputs, in their order.
Circumstances = tuple[Any, ...]


#: Circumstances; the next instant at which time alone changes them, or None; whether they can be compared with others.
Sight = tuple[Circumstances, int | None, bool]


class Inputs(NamedTuple):
    """What conditions look at: inputs, each with all marks that are stated for it."""

    keys: tuple[Input, ...]
    marked: tuple[tuple[Input, Marks], ...]
    composes: bool
    cost: int


def _inputs(conditions: Iterable[Condition]) -> Inputs:
    marked = merged((one.looks_at, one.marks) for one in conditions)
    keys = tuple([one for one, _ in marked])
    cost = _MARK_BYTES * sum(len(marks) for _, marks in marked)
    return Inputs(keys, marked, all(one.composes for one in keys), cost)


_NO_INPUTS = _inputs(())


@lru_cache(1024)
def _looked_at(conditions: Conditions) -> Inputs:
    """The inputs of one rule: most rules have the conditions of many others."""
    return _inputs(conditions)


class FindingMemo:
    """The rules that can matter for one access, and what they said. `cost` is in bytes."""

    __slots__ = ("_findings", "_inputs", "candidates", "cost")

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates = candidates
        conditions = [one.rule.conditions for one in candidates if one.rule.conditions]
        if not conditions:
            self._inputs = _NO_INPUTS
        elif len(conditions) == 1:
            self._inputs = _looked_at(conditions[0])
        else:
            self._inputs = _inputs(chain.from_iterable(conditions))
        self._findings: dict[Circumstances, Finding] = {}
        self.cost = _MEMO_BYTES + _CANDIDATE_BYTES * len(candidates) + self._inputs.cost

    def look(self, resource: Resource, context: Context) -> Sight:
        """Look at a request with the eyes of all conditions."""
        circumstances, until_us = [], None
        try:
            for one, marks in self._inputs.marked:
                value, turn = one.look(resource, context, marks)
                circumstances.append(value)
                if turn is not None and (until_us is None or turn < until_us):
                    until_us = turn
        except Exception:  # noqa: BLE001 - an input that cannot be read is a fault of each condition that needs it
            return self._look_past_faults(resource, context)
        return tuple(circumstances), until_us, self._inputs.composes

    def _look_past_faults(self, resource: Resource, context: Context) -> Sight:
        circumstances: list[Any] = []
        until_us: int | None = None
        for one, marks in self._inputs.marked:
            try:
                value, turn = one.look(resource, context, marks)
            except Exception:  # noqa: BLE001 - see `look`
                value, turn = FAULT, None
            circumstances.append(value)
            if turn is not None and (until_us is None or turn < until_us):
                until_us = turn
        return tuple(circumstances), until_us, False

    def seen(self, circumstances: Circumstances) -> dict[Input, Any]:
        """The representative of each input."""
        return dict(zip(self._inputs.keys, circumstances, strict=True))

    def finding(self, circumstances: Circumstances) -> Finding | None:
        """What the rules said, if it is remembered."""
        return self._findings.get(circumstances)

    def remember(self, circumstances: Circumstances, finding: Finding) -> None:
        """Remember what they said in circumstances that can be compared."""
        if len(self._findings) >= REMEMBERED:
            self.cost -= sum(one.cost + _CIRCUMSTANCES_BYTES for one in self._findings.values())
            self._findings = {}
        self._findings[circumstances] = finding
        self.cost += finding.cost + _CIRCUMSTANCES_BYTES

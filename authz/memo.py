"""The memo of explanations: earlier results of a set of rules in the same circumstances.

Circumstances are the representatives of all inputs on which the rules' conditions depend (see `inputs`). An explanation
is computed from them alone. So a remembered explanation equals the one that would be computed again.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from linewarden.authz.conditions import FAULT, Condition, Conditions
from linewarden.authz.index import Candidate
from linewarden.authz.inputs import Input, Marks, merged
from linewarden.authz.model import Context, Explanation, Resource

#: Circumstances remembered for one set of rules. A full memo is emptied.
REMEMBERED = 16

_MEMO_BYTES = 400
_CANDIDATE_BYTES = 120
_MARK_BYTES = 40
_CIRCUMSTANCES_BYTES = 200

#: The representatives of the inputs, in their order.
Circumstances = tuple[Any, ...]


#: Circumstances; the next instant at which time alone changes them, or None; and whether they may be a key of the memo.
Observation = tuple[Circumstances, int | None, bool]


class Inputs(NamedTuple):
    """The inputs on which conditions depend, each with all marks that the conditions state for it."""

    keys: tuple[Input, ...]
    marked: tuple[tuple[Input, Marks], ...]
    composes: bool
    cost: int


def _inputs(conditions: Iterable[Condition]) -> Inputs:
    marked = merged((one.input, one.marks) for one in conditions)
    keys = tuple([one for one, _ in marked])
    cost = _MARK_BYTES * sum(len(marks) for _, marks in marked)
    return Inputs(keys, marked, all(one.composes for one in keys), cost)


_NO_INPUTS = _inputs(())


@lru_cache(1024)
def _looked_at(conditions: Conditions) -> Inputs:
    """Return the inputs of one rule. Cached, because most rules share their conditions with many others."""
    return _inputs(conditions)


class ExplanationMemo:
    """The rules that can matter for one kind of access, and their explanations. `cost` is in bytes."""

    __slots__ = ("_explanations", "_inputs", "candidates", "cost")

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates = candidates
        conditions = [one.rule.conditions for one in candidates if one.rule.conditions]
        if not conditions:
            self._inputs = _NO_INPUTS
        elif len(conditions) == 1:
            self._inputs = _looked_at(conditions[0])
        else:
            self._inputs = _inputs(chain.from_iterable(conditions))
        self._explanations: dict[Circumstances, Explanation] = {}
        self.cost = _MEMO_BYTES + _CANDIDATE_BYTES * len(candidates) + self._inputs.cost

    def look(self, resource: Resource, context: Context) -> Observation:
        """Read from a request all values on which the conditions depend."""
        circumstances, until_us = [], None
        try:
            for one, marks in self._inputs.marked:
                value, change_us = one.look(resource, context, marks)
                circumstances.append(value)
                if change_us is not None and (until_us is None or change_us < until_us):
                    until_us = change_us
        except Exception:  # noqa: BLE001 - an input that cannot be read is a fault of each condition that needs it
            return self._look_past_faults(resource, context)
        return tuple(circumstances), until_us, self._inputs.composes

    def _look_past_faults(self, resource: Resource, context: Context) -> Observation:
        circumstances: list[Any] = []
        until_us: int | None = None
        for one, marks in self._inputs.marked:
            try:
                value, change_us = one.look(resource, context, marks)
            except Exception:  # noqa: BLE001 - see `look`
                value, change_us = FAULT, None
            circumstances.append(value)
            if change_us is not None and (until_us is None or change_us < until_us):
                until_us = change_us
        return tuple(circumstances), until_us, False

    def seen(self, circumstances: Circumstances) -> dict[Input, Any]:
        """Return the representative of each input."""
        return dict(zip(self._inputs.keys, circumstances, strict=True)) if circumstances else {}

    def explanation(self, circumstances: Circumstances) -> Explanation | None:
        """Return the remembered explanation for these circumstances, if there is one."""
        return self._explanations.get(circumstances)

    def remember(self, circumstances: Circumstances, explanation: Explanation) -> None:
        """Remember an explanation. The circumstances must be a valid key; see `Observation`."""
        if len(self._explanations) >= REMEMBERED:
            self.cost -= sum(one.cost + _CIRCUMSTANCES_BYTES for one in self._explanations.values())
            self._explanations = {}
        self._explanations[circumstances] = explanation
        self.cost += explanation.cost + _CIRCUMSTANCES_BYTES

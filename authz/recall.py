"""What a set of rules said before under circumstances that no condition can tell apart.

Conditions look at few things: what is stated of purpose, case, zone and consent, and on which side of a few instants
and ages the request lies. Where all of these are as they were, so is the finding, whatever the item. What is remembered
is bounded; what is not made of plain values is not remembered.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from linewarden.authz.conditions import LAST_US, Age, Bound, Conditions, Stated
from linewarden.authz.index import Candidate
from linewarden.authz.model import Context, Finding, Resource

#: Circumstances remembered for one set of rules; a full memory begins anew.
REMEMBERED = 16

#: Findings with more rules and conditions than this are not remembered: they would be most of the memory.
_MAX_PARTS = 32

_UNKNOWN_AGE = -1

#: Circumstances: what is stated, and how many ages and instants the request has passed.
Circumstances = tuple[object, ...]


#: Ages and instants in their order, and zones, that conditions look at.
_Marks = tuple[tuple[int, ...], tuple[int, ...], frozenset[str]]

_NOTHING: _Marks = ((), (), frozenset())


@lru_cache(4096)
def _looked_at(conditions: Conditions) -> _Marks:
    ages = tuple(sorted({one.us for one in conditions if isinstance(one, Age)}))
    instants = tuple(sorted({one.at_us for one in conditions if isinstance(one, Bound)}))
    stated = [one for one in conditions if isinstance(one, Stated) and one.kind.startswith("zone")]
    return ages, instants, frozenset(zone for one in stated for zone in one.values)


class Recall:
    """The rules that can matter for one access, and what they said."""

    __slots__ = ("_ages", "_findings", "_instants", "_zones", "candidates")

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates = candidates
        conditions = [one.rule.conditions for one in candidates if one.rule.conditions]
        # Most rules have no conditions, or those of many others: what these look at is worked out once.
        if not conditions:
            self._ages, self._instants, self._zones = _NOTHING
        elif len(conditions) == 1:
            self._ages, self._instants, self._zones = _looked_at(conditions[0])
        else:
            self._ages, self._instants, self._zones = _looked_at(tuple(chain.from_iterable(conditions)))
        self._findings: dict[Circumstances, Finding] = {}

    def circumstances(self, resource: Resource, context: Context) -> Circumstances | None:
        """What tells this request from others, as far as any condition can; None if it is not to be remembered."""
        now, created, zone = context.now_us, resource.created_us, context.zone
        if type(now) is not int or type(zone) is not str or (created is not None and type(created) is not int):
            return None
        age = 0
        if self._ages:
            age = _UNKNOWN_AGE if created is None else bisect_right(self._ages, now - created)
        passed = bisect_right(self._instants, now) if self._instants else 0
        # Callers make up zones: those that no condition names are all alike, and take no memory each.
        known_zone = zone if zone in self._zones else not zone
        return (context.purpose, not context.case, known_zone, context.consent, age, passed)

    def finding(self, circumstances: Circumstances) -> Finding | None:
        """What the rules said, if it is remembered."""
        return self._findings.get(circumstances)

    def remember(self, circumstances: Circumstances, finding: Finding) -> None:
        """Remember what they said."""
        if len(finding.matched) + len(finding.failed) > _MAX_PARTS:
            return
        if len(self._findings) >= REMEMBERED:
            self._findings = {}
        self._findings[circumstances] = finding

    def expires(self, resource: Resource, context: Context) -> int | None:
        """The next instant, in microseconds, at which time alone changes a condition, or None."""
        now, created = context.now_us, resource.created_us
        expires: int | None = None
        for instant in self._instants:
            if instant > now:
                expires = instant
                break
        if created is not None:
            for age in self._ages:
                end = created + age
                if end > now:
                    return end if (expires is None or end < expires) and end <= LAST_US else expires
        return expires

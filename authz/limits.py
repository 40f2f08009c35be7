"""Limits on what one policy may cost every decision: rules and roles that one person can meet at once.

An index finds the rules that can matter, however many there are; it cannot help where thousands matter at once, or
where one person has thousands of roles. Such a policy would take its time from all tenants of the server, so it is
refused when it is written. `limit_faults` looks at a whole file; `growth` asks the same of what a change touches.

What one decision costs is bounded by a sum: for the person and each role it has, directly or not, the rules that can
concern one item at most (`index.weight_of`). The sum may exceed what any item meets, because two roles may speak of
different items; it never falls short. MAX_CANDIDATES rules take about ten milliseconds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from linewarden.audit.pace import paced
from linewarden.authz.errors import LineError
from linewarden.authz.index import Sizes, kind_of, weight_of_sizes
from linewarden.authz.roles import reached
from linewarden.authz.rules import Binding, Statement

#: Rules for one holder and one scope.
MAX_RULES_ALIKE = 256

#: Roles given to one person or role directly, and roles it then has in all.
MAX_ROLES = 64
MAX_ROLES_IN_ALL = 256

#: Rules of one person, with all its roles, that can concern one item.
MAX_CANDIDATES = 1_024

TOO_MANY_ALIKE = f"more than {MAX_RULES_ALIKE} rules for one person or role and scope: join or remove some"
TOO_MANY_ROLES = f"more than {MAX_ROLES} roles for one person or role: bind them to a role of their own"
TOO_MANY_ROLES_IN_ALL = f"more than {MAX_ROLES_IN_ALL} roles in all for one person or role: take some away"
TOO_MANY_CANDIDATES = f"more than {MAX_CANDIDATES} rules for one person, all its roles and one item: use fewer"


def limit_faults(statements: Iterable[tuple[int, Statement]]) -> list[LineError]:
    """The limits that a whole policy exceeds, each at the last line about the person or role that exceeds it."""
    whole = _Whole()
    found = list(whole.read(statements))
    return found + list(whole.faults())


class _Whole:
    """What is counted while a policy file is read."""

    def __init__(self) -> None:
        self._alike: Counter[tuple[str, str]] = Counter()
        self._pairs: Counter[str] = Counter()
        self._links: dict[str, list[str]] = defaultdict(list)
        self._lines: dict[str, int] = {}
        self._sizes: dict[str, Sizes] | None = None

    def read(self, statements: Iterable[tuple[int, Statement]]) -> Iterator[LineError]:
        """Count, and name what is too much by itself."""
        for line, one in paced(statements):
            if isinstance(one, Binding):
                self._lines[one.member] = line
                links = self._links[one.member]
                links.append(one.role)
                if len(links) == MAX_ROLES + 1:
                    yield LineError(line, TOO_MANY_ROLES)
                continue
            self._lines[one.who] = line
            self._pairs[one.who] += len(one.scopes)
            for scope in one.scopes:
                self._alike[one.who, scope] += 1
                if self._alike[one.who, scope] == MAX_RULES_ALIKE + 1:
                    yield LineError(line, TOO_MANY_ALIKE)

    def faults(self) -> Iterator[LineError]:
        """What is too much together; of a role and those that have it, only the role is named."""
        sums: dict[str, tuple[int, int]] = {}
        for holder, line in paced(self._lines.items()):
            roles = self._links.get(holder, ())
            if len(roles) > MAX_ROLES:
                continue
            for role in roles:
                if role not in sums:
                    sums[role] = self._most(role)
            # What its roles have, added up, is never less than what it has itself; where that is little, it will do.
            if (
                sum(sums[role][0] for role in roles) < MAX_ROLES_IN_ALL
                and self._pairs[holder] + sum(sums[role][1] for role in roles) <= MAX_CANDIDATES
            ):
                continue
            fault = self._fault(holder)
            if fault and not any(self._fault(role) == fault for role in roles):
                yield LineError(line, fault)

    def _most(self, holder: str) -> tuple[int, int]:
        """The roles of a holder, itself among them, and a number of rules that is not exceeded."""
        has = reached(holder, self._links, MAX_ROLES_IN_ALL + 1)
        return len(has), sum(self._pairs[role] for role in has)

    def _fault(self, holder: str) -> str:
        has = reached(holder, self._links, MAX_ROLES_IN_ALL + 1)
        if len(has) > MAX_ROLES_IN_ALL:
            return TOO_MANY_ROLES_IN_ALL
        if sum(self._pairs[role] for role in has) <= MAX_CANDIDATES:
            return ""
        return TOO_MANY_CANDIDATES if sum(map(self._weight, has)) > MAX_CANDIDATES else ""

    def _weight(self, holder: str) -> int:
        if self._sizes is None:
            self._sizes = defaultdict(Counter)
            for (who, scope), rules in paced(self._alike.items()):
                self._sizes[who][kind_of(scope), rules] += 1
        return weight_of_sizes(self._sizes[holder])

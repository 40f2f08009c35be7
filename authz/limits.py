"""Limits on the cost of a decision: the rules and roles that can matter to one person at once.

The index finds the rules that can matter, however many rules there are. It cannot help if thousands matter at once, or
if one person has thousands of roles. Such a policy would take processor time from all tenants of the server, so it is
refused when it is written. `limit_faults` checks a whole file; `growth` checks a change.

The cost of a decision is bounded by a sum over the person and all roles that it has, directly or not: the number of
rules that can concern one item (`index.weight_of`). The sum may be too high, because two roles may name different
items. It is never too low. MAX_CANDIDATES rules take about ten milliseconds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from linewarden.audit.pace import paced
from linewarden.authz.assignments import Assignment, fault_of
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
TOO_MANY_ROLES = f"more than {MAX_ROLES} roles for one person or role: bind them to a role that has them"
TOO_MANY_ROLES_IN_ALL = f"more than {MAX_ROLES_IN_ALL} roles in all for one person or role: remove some"
TOO_MANY_CANDIDATES = f"more than {MAX_CANDIDATES} rules for one person, all its roles and one item: remove some"


def limit_faults(statements: Iterable[tuple[int, Statement]]) -> list[LineError]:
    """Return the limits that a whole policy exceeds, each at the last line that names the holder that exceeds it."""
    counts = _Counts()
    faults = list(counts.read(statements))
    return faults + list(counts.faults())


class _Counts:
    """The counts of a policy file."""

    def __init__(self) -> None:
        self._alike: Counter[tuple[str, str]] = Counter()
        self._pairs: Counter[str] = Counter()
        self._links: dict[str, list[str]] = defaultdict(list)
        self._lines: dict[str, int] = {}
        self._assigned: dict[str, list[Assignment]] = defaultdict(list)
        self._assigned_lines: dict[str, int] = {}
        self._sizes: dict[str, Sizes] | None = None

    def read(self, statements: Iterable[tuple[int, Statement]]) -> Iterator[LineError]:
        """Count the statements. Yield the limits that a single person, role or scope exceeds."""
        for line, one in paced(statements):
            if isinstance(one, Binding):
                self._lines[one.member] = line
                links = self._links[one.member]
                links.append(one.role)
                if len(links) == MAX_ROLES + 1:
                    yield LineError(line, TOO_MANY_ROLES)
                continue
            if isinstance(one, Assignment):
                self._assigned[one.address].append(one)
                self._assigned_lines[one.address] = line
                continue
            self._lines[one.who] = line
            self._pairs[one.who] += len(one.scopes)
            for scope in one.scopes:
                self._alike[one.who, scope] += 1
                if self._alike[one.who, scope] == MAX_RULES_ALIKE + 1:
                    yield LineError(line, TOO_MANY_ALIKE)

    def faults(self) -> Iterator[LineError]:
        """Yield the limits of a holder with all its roles, and of the assignments of an address, that are exceeded.

        A role is named instead of its holders.
        """
        for address, assigned in paced(self._assigned.items()):
            if fault := fault_of(assigned):
                yield LineError(self._assigned_lines[address], fault)
        sums: dict[str, tuple[int, int]] = {}
        for holder, line in paced(self._lines.items()):
            roles = self._links.get(holder, ())
            if len(roles) > MAX_ROLES:
                continue
            for role in roles:
                if role not in sums:
                    sums[role] = self._upper_load(role)
            # The sum over the roles is never below the holder's own load, so a small sum needs no exact count.
            if (
                sum(sums[role][0] for role in roles) < MAX_ROLES_IN_ALL
                and self._pairs[holder] + sum(sums[role][1] for role in roles) <= MAX_CANDIDATES
            ):
                continue
            fault = self._fault(holder)
            if fault and not any(self._fault(role) == fault for role in roles):
                yield LineError(line, fault)

    def _upper_load(self, holder: str) -> tuple[int, int]:
        """Return the number of roles of a holder, including itself, and an upper bound of the number of rules."""
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

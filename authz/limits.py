"""What one policy may ask of every decision: how many rules and roles one person can meet at once.

An index finds the rules that can matter, however many there are; it cannot help where thousands matter at once, or
where one person has thousands of roles. Such a policy would take its time from all tenants of the server, so it is
refused when it is written.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from linewarden.authz.errors import LineError
from linewarden.authz.roles import paths_from
from linewarden.authz.rules import Binding, Statement

#: Rules for one holder and one scope.
MAX_RULES_ALIKE = 256

#: Roles given to one person or role directly, and roles it then has in all.
MAX_ROLES = 64
MAX_ROLES_IN_ALL = 256


def limit_faults(statements: Iterable[tuple[int, Statement]]) -> list[LineError]:
    """What is too much, at the first line that makes it so."""
    found: list[LineError] = []
    alike: Counter[tuple[str, str]] = Counter()
    links: dict[str, list[str]] = defaultdict(list)
    lines: dict[str, int] = {}
    for line, one in statements:
        if isinstance(one, Binding):
            links[one.member].append(one.role)
            lines[one.member] = line
            if len(links[one.member]) == MAX_ROLES + 1:
                found.append(LineError(line, f"more than {MAX_ROLES} roles for one person or role"))
            continue
        for scope in one.scopes:
            alike[one.who, scope] += 1
            if alike[one.who, scope] == MAX_RULES_ALIKE + 1:
                found.append(LineError(line, f"more than {MAX_RULES_ALIKE} rules for one person or role and scope"))
    return found + list(_reach_faults(links, lines))


def _reach_faults(links: dict[str, list[str]], lines: dict[str, int]) -> Iterator[LineError]:
    reaches: dict[str, int] = {}
    for member, roles in links.items():
        if len(roles) > MAX_ROLES:
            continue
        for role in roles:
            if role not in reaches:
                reaches[role] = len(paths_from(role, links))
        # The roles of its roles added up are never fewer than what it has in all; where they are few, none are counted.
        reach = sum(reaches[role] for role in roles)
        if reach > MAX_ROLES_IN_ALL and len(paths_from(member, links)) > MAX_ROLES_IN_ALL:
            yield LineError(lines[member], f"more than {MAX_ROLES_IN_ALL} roles in all for one person or role")

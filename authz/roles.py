"""The graph of roles and of the persons who have them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

from linewarden.authz.errors import LineError
from linewarden.authz.rules import ROLE, Binding

#: Most bindings from a person to a role. Casbin's role manager follows no more.
MAX_LINKS = 9

ROLE_LOOPS = "the role inherits itself, directly or through other roles: remove one of these bindings"
TOO_MANY_IN_A_ROW = f"more than {MAX_LINKS - 1} roles inherit one another in a row: bind some of them directly"

_Link = tuple[int, str, str]


class Links(Protocol):
    """The roles that persons and roles have directly."""

    def get(self, member: str, default: tuple[str, ...], /) -> Sequence[str]:
        """Return the roles of one member, or the default."""


def role_paths(direct: Sequence[str], links: Links) -> dict[str, tuple[str, ...]]:
    """Return all roles of a person with these direct roles, nearest first, each with the shortest path of roles to it.

    The path ends with the role itself, and does not name the person.
    """
    paths: dict[str, tuple[str, ...]] = {role: (role,) for role in direct}
    reached = list(direct)
    for _ in range(MAX_LINKS - 1):
        further: list[str] = []
        for member in reached:
            for role in links.get(member, ()):
                if role not in paths:
                    paths[role] = (*paths[member], role)
                    further.append(role)
        if not further:
            break
        reached = further
    return paths


def reached(holder: str, links: Links, most: int) -> list[str]:
    """Return the holder and every role that it has, nearest first; the first `most` if there are more."""
    seen = {holder}
    holders = [holder]
    for member in holders:  # grows while it is read
        for role in links.get(member, ()):
            if role not in seen:
                seen.add(role)
                holders.append(role)
        if len(holders) >= most:
            return holders[:most]
    return holders


def role_faults(bindings: Iterable[tuple[int, Binding]]) -> list[LineError]:
    """Return the errors in bindings: roles that inherit themselves, or through too many roles."""
    links = [(line, one.member, one.role) for line, one in bindings if one.member.startswith(ROLE)]
    depth, open_links = _depths(links)
    looped = _inner(open_links)
    faults = [LineError(line, ROLE_LOOPS) for line, _, _ in looped]
    # Only the first link beyond the limit is named, not the links that follow. A person is one link from its roles.
    faults += [LineError(line, TOO_MANY_IN_A_ROW) for line, _, role in links if depth.get(role) == MAX_LINKS - 1]
    return faults


def _depths(links: Sequence[_Link]) -> tuple[dict[str, int], list[_Link]]:
    """Return the length of the longest chain from each role, and the links in or before a loop, which has no length."""
    members = defaultdict(list)
    for _, member, role in links:
        members[role].append(member)
    waiting = Counter(member for _, member, _ in links)
    ready = [role for role in members if role not in waiting]
    depth = dict.fromkeys(ready, 0)
    for role in ready:  # grows while it is read
        for member in members[role]:
            depth[member] = max(depth.get(member, 0), depth[role] + 1)
            waiting[member] -= 1
            if not waiting[member]:
                ready.append(member)
    return depth, [link for link in links if waiting[link[1]] and waiting[link[2]]]


def _inner(links: list[_Link]) -> list[_Link]:
    """Return the links that remain after repeatedly removing all links from members without an incoming link."""
    incoming = Counter(role for _, _, role in links)
    outgoing = defaultdict(list)
    for _, member, role in links:
        outgoing[member].append(role)
    loose = [member for member in outgoing if not incoming[member]]
    for member in loose:  # grows while it is read
        for role in outgoing[member]:
            incoming[role] -= 1
            if not incoming[role]:
                loose.append(role)
    return [link for link in links if incoming[link[1]] and incoming[link[2]]]

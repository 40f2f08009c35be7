"""The graph of roles: what a person's roles inherit."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

from linewarden.authz.errors import LineError
from linewarden.authz.rules import ROLE, Binding

#: From a person to the farthest role lead at most this many bindings: as far as Casbin's role manager looks.
MAX_LINKS = 9

ROLE_LOOPS = "the role inherits itself, directly or by other roles"
TOO_MANY_IN_A_ROW = f"more than {MAX_LINKS - 1} roles inherit one another in a row"

_Link = tuple[int, str, str]


class Links(Protocol):
    """The roles that persons and roles have directly."""

    def get(self, member: str, default: tuple[str, ...], /) -> Sequence[str]:
        """The roles of one member, or the default."""


def paths_from(holder: str, links: Links) -> dict[str, tuple[str, ...]]:
    """The holder and every role it has, nearest first, each with the shortest way to it."""
    paths: dict[str, tuple[str, ...]] = {holder: (holder,)}
    reached = [holder]
    for _ in range(MAX_LINKS):
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
    """The holder and every role it has, nearest first. Of more than `most` the first ones: there are too many."""
    seen = {holder}
    found = [holder]
    for member in found:  # grows while it is read
        for role in links.get(member, ()):
            if role not in seen:
                seen.add(role)
                found.append(role)
        if len(found) >= most:
            return found[:most]
    return found


def role_faults(bindings: Iterable[tuple[int, Binding]]) -> list[LineError]:
    """What is wrong with bindings, given with their lines: a role that inherits itself, or inherits too deeply."""
    links = [(line, one.member, one.role) for line, one in bindings if one.member.startswith(ROLE)]
    depth, open_links = _depths(links)
    looped = _inner(open_links)
    faults = [LineError(line, ROLE_LOOPS) for line, _, _ in looped]
    # Only the first link beyond the limit is named, not all that follow from it. A person is one link from its roles.
    faults += [LineError(line, TOO_MANY_IN_A_ROW) for line, _, role in links if depth.get(role) == MAX_LINKS - 1]
    return faults


def _depths(links: Sequence[_Link]) -> tuple[dict[str, int], list[_Link]]:
    """How many links lead on from each role; and the links in or before a loop, where there is no such number."""
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
    """The links that are left when members nobody leads to are taken away, again and again."""
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

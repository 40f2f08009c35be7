"""The statements in force in the order of their ids, so that they can be shown page by page.

An id is the revision that added a statement and its ordinal there; `place_of` is the pair of numbers. The order is kept
in parts of a few hundred statements. A change copies the parts that it touches, and the list of parts.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from linewarden.authz.errors import PolicyDiverged
from linewarden.authz.rules import Statement

#: A statement with the id that decisions refer to it by.
Entry = tuple[str, Statement]

#: Revision and ordinal.
Place = tuple[int, int]

_PART = 512


def place_of(id: str) -> Place:
    """The numbers in an id."""
    revision, _, ordinal = id.partition(".")
    return int(revision), int(ordinal or 0)


class Roster:
    """Statements in the order of their ids. Immutable."""

    __slots__ = ("_parts", "count")

    def __init__(self, parts: Sequence[tuple[Entry, ...]] = ()) -> None:
        self._parts = tuple(parts)
        self.count = sum(map(len, parts))

    def __iter__(self) -> Iterator[Entry]:
        for part in self._parts:
            yield from part

    def beyond(self, place: Place, limit: int) -> list[Entry]:
        """The next entries after a place, at most so many."""
        found: list[Entry] = []
        for part in self._parts[max(0, bisect_right(self._parts, place, key=_first) - 1) :]:
            if len(found) >= limit:
                break
            found += part if found else [one for one in part if place_of(one[0]) > place]
        return found[:limit]

    def changed(self, added: Iterable[Entry], removed: Iterable[str]) -> Self:
        """The roster after a change.

        Raises:
            PolicyDiverged: an entry to remove is not there.
        """
        parts = list(self._parts)
        self._remove(parts, removed)
        new = sorted(added, key=lambda one: place_of(one[0]))
        if new and parts and place_of(new[0][0]) < place_of(parts[-1][-1][0]):
            # Not as the service numbers statements: made anew.
            new = sorted([*(one for part in parts for one in part), *new], key=lambda one: place_of(one[0]))
            parts = []
        if new and parts and len(parts[-1]) < _PART:
            new = [*parts.pop(), *new]
        parts += [tuple(new[start : start + _PART]) for start in range(0, len(new), _PART)]
        return type(self)(parts)

    def _remove(self, parts: list[tuple[Entry, ...]], removed: Iterable[str]) -> None:
        gone: dict[int, set[str]] = defaultdict(set)
        for id in removed:
            gone[bisect_right(self._parts, place_of(id), key=_first) - 1].add(id)
        for number in sorted(gone, reverse=True):
            kept = tuple([one for one in parts[number] if one[0] not in gone[number]]) if number >= 0 else ()
            if number < 0 or len(parts[number]) - len(kept) != len(gone[number]):
                raise PolicyDiverged("a statement to remove is not there")
            _put(parts, number, kept)


def _first(part: tuple[Entry, ...]) -> Place:
    return place_of(part[0][0])


def _put(parts: list[tuple[Entry, ...]], number: int, part: tuple[Entry, ...]) -> None:
    """Replace a part; what is left of a small one joins the part before it, so that parts do not become many."""
    if number and len(part) + len(parts[number - 1]) <= _PART // 2:
        parts[number - 1 : number + 1] = [joined] if (joined := parts[number - 1] + part) else []
    elif part:
        parts[number] = part
    else:
        del parts[number]

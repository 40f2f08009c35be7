"""The statements in force in the order of their ids, so that they can be listed page by page.

The id of a statement is the revision that added it and its ordinal there. The list is stored in parts of a few hundred
statements. A change copies the parts that it touches, and the list of parts.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

from linewarden.audit.pace import paced
from linewarden.authz.errors import PolicyDiverged
from linewarden.authz.rules import Statement

#: A statement with the id by which decisions refer to it.
NumberedStatement = tuple[str, Statement]

#: Revision and ordinal.
IdParts = tuple[int, int]

_PART = 512


def parse_id(id: str) -> IdParts:
    """Return the revision and the ordinal in an id."""
    revision, _, ordinal = id.partition(".")
    return int(revision), int(ordinal or 0)


class StatementList:
    """Statements in the order of their ids. Immutable."""

    __slots__ = ("_parts", "count")

    def __init__(self, parts: Sequence[tuple[NumberedStatement, ...]] = ()) -> None:
        self._parts = tuple(parts)
        self.count = sum(map(len, parts))

    def __iter__(self) -> Iterator[NumberedStatement]:
        for part in self._parts:
            yield from part

    def beyond(
        self, place: IdParts, limit: int, wanted: Callable[[Statement], bool] = lambda _one: True
    ) -> list[NumberedStatement]:
        """Return up to `limit` of the wanted statements after the id with these numbers."""
        page: list[NumberedStatement] = []
        first = max(0, bisect_right(self._parts, place, key=_first) - 1)
        for number, part in enumerate(paced(self._parts[first:])):
            if len(page) >= limit:
                break
            after = part if number else [one for one in part if parse_id(one[0]) > place]
            page += [one for one in after if wanted(one[1])]
        return page[:limit]

    def changed(self, added: Iterable[NumberedStatement], removed: Iterable[str]) -> Self:
        """Return the statements after a change.

        Raises:
            PolicyDiverged: an entry to remove is not there.
        """
        parts = list(self._parts)
        self._remove(parts, removed)
        new = sorted(added, key=lambda one: parse_id(one[0]))
        if new and parts and parse_id(new[0][0]) < parse_id(parts[-1][-1][0]):
            # The service never numbers statements so: sort the whole list.
            new = sorted([*(one for part in parts for one in part), *new], key=lambda one: parse_id(one[0]))
            parts = []
        if new and parts and len(parts[-1]) < _PART:
            new = [*parts.pop(), *new]
        parts += [tuple(new[start : start + _PART]) for start in range(0, len(new), _PART)]
        return type(self)(parts)

    def _remove(self, parts: list[tuple[NumberedStatement, ...]], removed: Iterable[str]) -> None:
        gone: dict[int, set[str]] = defaultdict(set)
        for id in removed:
            gone[bisect_right(self._parts, parse_id(id), key=_first) - 1].add(id)
        for number in sorted(gone, reverse=True):
            kept = tuple([one for one in parts[number] if one[0] not in gone[number]]) if number >= 0 else ()
            if number < 0 or len(parts[number]) - len(kept) != len(gone[number]):
                raise PolicyDiverged("a statement to remove is not in force: compile the policy again")
            _put(parts, number, kept)


def _first(part: tuple[NumberedStatement, ...]) -> IdParts:
    return parse_id(part[0][0])


def _put(parts: list[tuple[NumberedStatement, ...]], number: int, part: tuple[NumberedStatement, ...]) -> None:
    """Replace a part. A small part is joined with the one before it, so that there are never many small parts."""
    if number and len(part) + len(parts[number - 1]) <= _PART // 2:
        parts[number - 1 : number + 1] = [joined] if (joined := parts[number - 1] + part) else []
    elif part:
        parts[number] = part
    else:
        del parts[number]

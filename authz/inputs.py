"""Inputs of conditions: the values of a request that a verdict may depend on.

An input reads one value; None means that the value is not known. Conditions state marks: the values of their input at
which a verdict can change. `look` maps a value to one that lies on the same side of every mark. Rules are judged
by these representatives, and findings are remembered under them, so that a finding depends on nothing else.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from linewarden.authz.model import Context, Resource

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)
#: The last instant that can be written.
LAST_US = (datetime.max.replace(tzinfo=UTC) - EPOCH) // US

#: Clock skew between the system that made an item and this service that is not taken for a mistake, microseconds.
MAX_SKEW_US = 5_000_000

#: Represents every word that is no mark. It is not a word of the policy language.
OTHER = "\0"

#: Represents every number below all marks.
BELOW = -(1 << 80)

#: Values at which verdicts can change, as the input compares them.
Marks = Collection[Any]

#: A representative, None if the value is not known; and the instant at which time alone changes it, None if never.
Look = tuple[Any, int | None]


class Input(ABC):
    """One value of a request that conditions look at. Inputs are compared by identity."""

    #: False if no representative can stand for the value: findings that depend on it are not remembered.
    composes = True

    @abstractmethod
    def read(self, resource: Resource, context: Context) -> Any:
        """Read the value; None if it is not known.

        Raises:
            TypeError: an attribute is not of the kind that can be compared.
        """

    @abstractmethod
    def merge(self, marks: Iterable[Any]) -> Marks:
        """Prepare the marks of several conditions for `look`."""

    @abstractmethod
    def look(self, resource: Resource, context: Context, marks: Any) -> Look:
        """Read the value and find its representative: the same for all values between which no mark lies.

        The second value is the next instant, in microseconds, at which time alone changes the representative.

        Raises:
            TypeError: see `read`.
        """


class Elapsed(Input):
    """Microseconds that have passed since some instant. Marks are such numbers; a value at a mark lies above it."""

    #: A value below this is not known.
    least: int | None = None

    @abstractmethod
    def since(self, resource: Resource, context: Context) -> int | None:
        """Return the instant from which time is counted; None if it is not known.

        Raises:
            TypeError: see `read`.
        """

    def read(self, resource: Resource, context: Context) -> int | None:
        """Read how much time has passed."""
        start = self.since(resource, context)
        if start is None:
            return None
        value = _whole(context.now_us) - start
        return None if self.least is not None and value < self.least else value

    def merge(self, marks: Iterable[int]) -> tuple[int, ...]:
        """Sort the marks."""
        return tuple(sorted(set(marks)))

    def look(self, resource: Resource, context: Context, marks: tuple[int, ...]) -> Look:
        """Represent the value by the greatest mark that is not above it, or by a number below all marks."""
        start = self.since(resource, context)
        if start is None:
            return None, None
        now = context.now_us
        value = (now if type(now) is int else _whole(now)) - start
        if self.least is not None and value < self.least:
            return None, _written(start + self.least)
        passed = bisect_right(marks, value)
        until = _written(start + marks[passed]) if passed < len(marks) else None
        return (marks[passed - 1] if passed else BELOW), until


class Named(Input):
    """A word. Marks are words too; all words that are not marks are alike."""

    def merge(self, marks: Iterable[str]) -> frozenset[str]:
        """Collect the marks."""
        return frozenset(marks)

    def look(self, resource: Resource, context: Context, marks: frozenset[str]) -> Look:
        """Represent a word by itself if it is a mark, else by `OTHER`."""
        value = self.read(resource, context)
        return (value if value is None or value in marks else OTHER), None


class _Now(Elapsed):
    """The instant of the request: microseconds since 1970."""

    def since(self, resource: Resource, context: Context) -> int:  # noqa: ARG002 - neither matters
        return 0


class _Age(Elapsed):
    """The age of the item.

    It is not known without the time of creation, nor for an item that comes from the future. An item whose time of
    creation is at most MAX_SKEW_US ahead counts as new: the clocks of two machines differ.
    """

    least = -MAX_SKEW_US

    def since(self, resource: Resource, context: Context) -> int | None:  # noqa: ARG002 - the item alone matters
        created = resource.created_us
        return None if created is None else _whole(created)


class _Stated(Named):
    """A word that the caller states; not known if nothing is stated."""

    def __init__(self, field: str) -> None:
        self._field = field

    def read(self, resource: Resource, context: Context) -> str | None:  # noqa: ARG002 - the item does not matter
        stated = getattr(context, self._field)
        if not stated:
            return None
        if not isinstance(stated, str):
            raise TypeError("what is stated is a text")
        return stated


class _Case(Named):
    """Presence of a case reference. It is never unknown: STATED, or the empty word."""

    def read(self, resource: Resource, context: Context) -> str:  # noqa: ARG002 - the item does not matter
        return STATED if context.case else ""


class _Everything(Input):
    """The whole request, for a condition whose verdicts change at no marks that it could state.

    Findings that depend on it are not remembered, and their answers expire at once.
    """

    composes = False

    def read(self, resource: Resource, context: Context) -> tuple[Resource, Context]:
        return resource, context

    def merge(self, marks: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(marks)

    def look(self, resource: Resource, context: Context, marks: Any) -> Look:  # noqa: ARG002 - it has none
        return (resource, context), _whole(context.now_us) + 1


STATED = "stated"
NOW = _Now()
AGE = _Age()
PURPOSE = _Stated("purpose")
CONSENT = _Stated("consent")
ZONE = _Stated("zone")
CASE = _Case()
EVERYTHING = _Everything()


def merged(marks: Iterable[tuple[Input, Marks]]) -> tuple[tuple[Input, Marks], ...]:
    """The inputs, each once, with all marks stated for it."""
    found: dict[Input, list[Marks]] = {}
    for one, stated in marks:
        found.setdefault(one, []).append(stated)
    return tuple([(one, one.merge(chain.from_iterable(stated))) for one, stated in found.items()])


def _written(instant: int) -> int | None:
    return instant if instant <= LAST_US else None


def _whole(value: int) -> int:
    # NaN compares false with everything: it would slip past a deny rule unnoticed.
    if type(value) is not int:
        raise TypeError("a time is a whole number of microseconds")
    return value

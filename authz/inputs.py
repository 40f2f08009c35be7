"""Inputs of conditions: the values of a request on which a verdict may depend.

An input reads one value; None means that the value is unknown. Conditions state marks: the values of their input at
which a verdict can change. `look` maps a value to a representative on the same side of every mark. Rules are evaluated
with these representatives, and explanations are cached under them. So an explanation depends on nothing else.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Collection, Iterable
from datetime import MAXYEAR, UTC, datetime, timedelta
from itertools import chain
from typing import Any

from linewarden.authz.model import Context, Resource

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)
#: The last instant that a datetime can state.
LAST_US = (datetime.max.replace(tzinfo=UTC) - EPOCH) // US

#: Clock skew between the system that made an item and this service that counts as normal, microseconds.
MAX_SKEW_US = 5_000_000

#: Represents every word that is not a mark. It is not a word of the policy language.
OTHER = "\0"

#: Represents every number below all marks.
BELOW = -(1 << 80)

#: Values at which verdicts can change, as the input compares them.
Marks = Collection[Any]

#: A representative, None if the value is unknown; and the instant at which time alone changes it, None if never.
Look = tuple[Any, int | None]


class Input(ABC):
    """One value of a request on which conditions depend. Inputs are compared by identity."""

    #: False if no representative can stand for the value. Explanations that depend on it are not cached.
    composes = True

    @abstractmethod
    def read(self, resource: Resource, context: Context) -> Any:
        """Read the value; None if it is unknown.

        Raises:
            TypeError: an attribute has a type that cannot be compared.
        """

    @abstractmethod
    def merge(self, marks: Iterable[Any]) -> Marks:
        """Prepare the marks of several conditions for `look`."""

    @abstractmethod
    def look(self, resource: Resource, context: Context, marks: Any) -> Look:
        """Read the value and return its representative, which is equal for all values with no mark between them.

        The second result is the next instant, in microseconds, at which time alone changes the representative.

        Raises:
            TypeError: see `read`.
        """


class Ordered(Input):
    """A number. Marks are numbers too, and a value equal to a mark lies above it."""

    def merge(self, marks: Iterable[int]) -> tuple[int, ...]:
        """Sort the marks."""
        return tuple(sorted(set(marks)))


class Elapsed(Ordered):
    """The microseconds since some instant."""

    #: A value below this is unknown.
    least: int | None = None

    @abstractmethod
    def since(self, resource: Resource, context: Context) -> int | None:
        """Return the instant from which time is counted; None if it is unknown.

        Raises:
            TypeError: see `read`.
        """

    def read(self, resource: Resource, context: Context) -> int | None:
        """Read the time that has passed."""
        start = self.since(resource, context)
        if start is None:
            return None
        value = _whole(context.now_us) - start
        return None if self.least is not None and value < self.least else value

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
        until = start + marks[passed] if passed < len(marks) else None
        return (marks[passed - 1] if passed else BELOW), (None if until is None or until > LAST_US else until)


class Named(Input):
    """A word. Marks are words too, and all words that are not marks have the same representative."""

    def merge(self, marks: Iterable[str]) -> frozenset[str]:
        """Collect the marks."""
        return frozenset(marks)

    def look(self, resource: Resource, context: Context, marks: frozenset[str]) -> Look:
        """Represent a word by itself if it is a mark, otherwise by `OTHER`."""
        value = self.read(resource, context)
        return (value if value is None or value in marks else OTHER), None


class _Now(Elapsed):
    """The instant of the request: microseconds since 1970."""

    def since(self, resource: Resource, context: Context) -> int:  # noqa: ARG002 - neither matters
        return 0


class _Age(Elapsed):
    """The age of the item.

    It is unknown without a time of creation, and for a time of creation in the future. An item whose time of creation
    is at most MAX_SKEW_US ahead counts as new, because the clocks of two machines differ.
    """

    least = -MAX_SKEW_US

    def since(self, resource: Resource, context: Context) -> int | None:  # noqa: ARG002 - the item alone matters
        created = resource.created_us
        return created if created is None or type(created) is int else _whole(created)


class _Months(Ordered):
    """The whole calendar months since the item was created, in UTC; unknown when its age is.

    A month ends on the day of the same number, or on the last day of a shorter month.
    """

    def read(self, resource: Resource, context: Context) -> int | None:
        created = CREATED.read(resource, context)
        if created is None:
            return None
        months = _month(context.now_us) - _month(created)
        return max(0, months if months_after(created, months) <= context.now_us else months - 1)

    def look(self, resource: Resource, context: Context, marks: tuple[int, ...]) -> Look:
        months, created = self.read(resource, context), resource.created_us
        if months is None or created is None:
            return AGE.look(resource, context, ())
        passed = bisect_right(marks, months)
        until = months_after(created, marks[passed]) if passed < len(marks) else LAST_US + 1
        return below(marks, months), _written(until)


class _Created(Ordered):
    """The instant at which the item was created, microseconds since 1970; unknown when its age is."""

    def read(self, resource: Resource, context: Context) -> int | None:
        return None if AGE.read(resource, context) is None else AGE.since(resource, context)

    def look(self, resource: Resource, context: Context, marks: tuple[int, ...]) -> Look:
        created = self.read(resource, context)
        return AGE.look(resource, context, ()) if created is None else (below(marks, created), None)


class _Duration(Ordered):
    """The duration of the item in microseconds; unknown if it is not stated."""

    def read(self, resource: Resource, context: Context) -> int | None:  # noqa: ARG002 - the item alone matters
        duration = resource.duration_us
        return duration if duration is None else _whole(duration)

    def look(self, resource: Resource, context: Context, marks: tuple[int, ...]) -> Look:
        duration = self.read(resource, context)
        return (None if duration is None else below(marks, duration)), None


class _Stated(Named):
    """A word that the caller states; unknown if the caller states none."""

    def __init__(self, field: str) -> None:
        self._field = field

    def read(self, resource: Resource, context: Context) -> str | None:  # noqa: ARG002 - the item does not matter
        stated = getattr(context, self._field)
        if not stated:
            return None
        if not isinstance(stated, str):
            raise TypeError(f"{self._field} must be a text")
        return stated


class _Case(Named):
    """The presence of a case reference: STATED, or the empty word. It is never unknown."""

    def read(self, resource: Resource, context: Context) -> str:  # noqa: ARG002 - the item does not matter
        return STATED if context.case else ""


class _Everything(Input):
    """The whole request, for a condition that cannot state the marks at which its verdict changes.

    Explanations that depend on it are not cached, and their answers expire at once.
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
AGE_MONTHS = _Months()
CREATED = _Created()
DURATION = _Duration()
PURPOSE = _Stated("purpose")
CONSENT = _Stated("consent")
ZONE = _Stated("zone")
CASE = _Case()
EVERYTHING = _Everything()


def merged(marks: Iterable[tuple[Input, Marks]]) -> tuple[tuple[Input, Marks], ...]:
    """Return the inputs, each once, with all marks stated for it."""
    by_input: dict[Input, list[Marks]] = {}
    for one, stated in marks:
        by_input.setdefault(one, []).append(stated)
    return tuple([(one, one.merge(chain.from_iterable(stated))) for one, stated in by_input.items()])


def below(marks: tuple[int, ...], value: int) -> int:
    """Return the greatest mark that is not above a value, or a number below all marks."""
    passed = bisect_right(marks, value)
    return marks[passed - 1] if passed else BELOW


def months_after(instant: int, months: int) -> int:
    """Return the instant so many calendar months later, in UTC; LAST_US + 1 if no datetime can state it."""
    start = EPOCH + instant * US
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if year > MAXYEAR:
        return LAST_US + 1
    day = min(start.day, monthrange(year, month + 1)[1])
    return (start.replace(year=year, month=month + 1, day=day) - EPOCH) // US


def _month(instant: int) -> int:
    at = EPOCH + _whole(instant) * US
    return at.year * 12 + at.month


def _written(instant: int) -> int | None:
    return instant if instant <= LAST_US else None


def _whole(value: int) -> int:
    # NaN compares false with every number, so a deny rule would not match it.
    if type(value) is not int:
        raise TypeError("a time must be a whole number of microseconds")
    return value

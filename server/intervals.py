"""Intervals of the calendar, in UTC: the buckets of a count. Times are microseconds since 1970."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from types import MappingProxyType

from linewarden.server.errors import InvalidRequest, Violation
from linewarden.v1 import audit_pb2 as pb

#: The most buckets of a count.
MOST_BUCKETS = 1_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
#: The first Monday after the epoch.
_MONDAY_US = 4 * _DAY_US
_MONTHS = 12

_TOO_MANY = Violation(
    "interval",
    "interval.buckets",
    f"makes more than {MOST_BUCKETS:,} buckets: narrow filter.from and filter.until, or take a longer interval",
)


def interval_name(interval: pb.Interval) -> str:
    """Return the name of an interval as the record of a count states it; empty without buckets."""
    return pb.Interval.Name(interval).removeprefix("INTERVAL_").lower() if interval else ""


def bucket_starts(interval: pb.Interval, first_us: int, last_us: int) -> Sequence[int]:
    """Return the first instants of the intervals from the one of `first_us` to the one of `last_us`.

    There are none without buckets.

    Raises:
        InvalidRequest: they are more than MOST_BUCKETS.
    """
    starts: list[int] = []
    if not interval:
        return starts
    for start in _STARTS[interval](first_us):
        if start > last_us:
            break
        if len(starts) == MOST_BUCKETS:
            raise InvalidRequest((_TOO_MANY,))
        starts.append(start)
    return starts


def _regular(length_us: int, origin_us: int, first_us: int) -> Iterator[int]:
    return count(first_us - (first_us - origin_us) % length_us, length_us)


def _monthly(first_us: int) -> Iterator[int]:
    first = _EPOCH + timedelta(microseconds=first_us)
    for month in count(first.year * _MONTHS + first.month - 1):
        start = datetime(month // _MONTHS, month % _MONTHS + 1, 1, tzinfo=UTC)
        yield (start - _EPOCH) // timedelta(microseconds=1)


_STARTS: Mapping[pb.Interval, Callable[[int], Iterator[int]]] = MappingProxyType(
    {
        pb.INTERVAL_HOUR: partial(_regular, _HOUR_US, 0),
        pb.INTERVAL_DAY: partial(_regular, _DAY_US, 0),
        pb.INTERVAL_WEEK: partial(_regular, _DAY_US * 7, _MONDAY_US),
        pb.INTERVAL_MONTH: _monthly,
    }
)

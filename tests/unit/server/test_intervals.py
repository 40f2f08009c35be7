"""The buckets of counts are intervals of the calendar in UTC."""

from datetime import UTC, datetime, timedelta

import pytest

from linewarden.server.errors import InvalidRequest
from linewarden.server.intervals import MOST_BUCKETS, bucket_starts, interval_name
from linewarden.v1 import audit_pb2 as pb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _us(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def _starts(interval: pb.Interval, first: str, last: str) -> list[str]:
    found = bucket_starts(interval, _us(first), _us(last))
    return [(_EPOCH + timedelta(microseconds=start)).isoformat()[:16] for start in found]


@pytest.mark.parametrize(("interval", "first", "last", "expected"), [
    (pb.INTERVAL_HOUR, "2026-11-28T22:59:59.999999", "2026-11-29T00:00", ["2026-11-28T22:00", "2026-11-28T23:00",
                                                                          "2026-11-29T00:00"]),
    (pb.INTERVAL_DAY, "2024-02-28T23:00", "2024-03-01T00:00", ["2024-02-28T00:00", "2024-02-29T00:00",
                                                               "2024-03-01T00:00"]),
    (pb.INTERVAL_WEEK, "2026-11-29T23:59", "2026-11-30T00:00", ["2026-11-23T00:00", "2026-11-30T00:00"]),
    (pb.INTERVAL_MONTH, "2025-12-31T12:00", "2026-02-01T00:00", ["2025-12-01T00:00", "2026-01-01T00:00",
                                                                 "2026-02-01T00:00"]),
    (pb.INTERVAL_WEEK, "1969-12-31T00:00", "1970-01-01T00:00", ["1969-12-29T00:00"]),
    (pb.INTERVAL_MONTH, "2026-11-01T00:00", "2026-11-30T23:59", ["2026-11-01T00:00"]),
    (pb.INTERVAL_UNSPECIFIED, "2026-11-01T00:00", "2026-11-30T23:59", []),
])  # fmt: skip
def test_buckets_cover_the_time_from_first_to_last(
    interval: pb.Interval, first: str, last: str, expected: list[str]
) -> None:
    """Buckets begin at a full hour, midnight, Monday or the first of a month, and cover both instants."""
    assert _starts(interval, first, last) == expected


@pytest.mark.parametrize("interval", list(filter(None, pb.Interval.values())))
def test_every_interval_has_a_name_and_a_limit(interval: pb.Interval) -> None:
    """Every interval has a name for the record, and its buckets are refused beyond the limit and not before."""
    assert interval_name(interval) in {"hour", "day", "week", "month"}
    first = _us("1990-01-01T00:00")
    found = bucket_starts(interval, first, bucket_starts(interval, first, first)[0])
    assert len(found) == 1
    with pytest.raises(InvalidRequest) as refused:
        bucket_starts(interval, first, _us("2090-01-01T00:00"))
    assert refused.value.violations[0].field == "interval"


def test_the_limit_is_exact() -> None:
    """As many buckets as the limit are made, and one more is refused."""
    hour_us = 3_600_000_000
    assert len(bucket_starts(pb.INTERVAL_HOUR, 0, hour_us * MOST_BUCKETS - 1)) == MOST_BUCKETS
    with pytest.raises(InvalidRequest):
        bucket_starts(pb.INTERVAL_HOUR, 0, hour_us * MOST_BUCKETS)

"""The number of entries that fit a filter, in all, or in each interval with a bar."""

from typing import Any

import click

from linewarden.cli.enum_words import choice_of, number_of
from linewarden.cli.output import write_rows
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1 import core_pb2

INTERVALS = choice_of(pb.Interval)

#: The characters of the longest bar.
_BAR = 40
#: The characters of the start of a bucket that are shown to people: its date, its hour, or its month.
_SHOWN = {"hour": 16, "day": 10, "week": 10, "month": 7}


def count_request(
    header: core_pb2.RequestHeader, filter: pb.EntryFilter, interval: str | None
) -> pb.CountEntriesRequest:
    """The request for a count, in buckets if there is an interval."""
    return pb.CountEntriesRequest(header=header, filter=filter, interval=number_of(pb.Interval, interval))


def write_count(answer: pb.CountEntriesResponse, interval: str | None, output: str) -> None:
    """Write the total, or the buckets. A table has the total as a number alone, and a bar beside each bucket."""
    if interval:
        rows = [{"start": one.start.ToJsonString(), "count": one.count} for one in answer.buckets]
        if output == "table":
            rows = _with_bars(rows, _SHOWN[interval])
        write_rows(rows, ("start", "count", "bar") if output == "table" else ("start", "count"), output)
    elif output == "table":
        click.echo(answer.total)
    else:
        write_rows([{"count": answer.total}], ("count",), output)


def _with_bars(rows: list[dict[str, Any]], shown: int) -> list[dict[str, Any]]:
    """The rows for people. A bucket that is not empty has a bar of one character at least."""
    most = max((row["count"] for row in rows), default=0)
    return [
        {
            "start": row["start"][:shown].replace("T", " "),
            "count": row["count"],
            "bar": "#" * -(-row["count"] * _BAR // most) if most else "",
        }
        for row in rows
    ]

"""`linewarden audit query`: entries of the log, their number, and the history of one capture."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import click

from linewarden.cli.audit.capture_history import history_of
from linewarden.cli.audit.completeness import Completeness
from linewarden.cli.audit.counts import INTERVALS, count_request, write_count
from linewarden.cli.audit.entry_filter import filter_of, filter_options, is_filtered
from linewarden.cli.client import DEADLINE_S, Connection, connecting, header, subject_option, tenant_option
from linewarden.cli.enum_words import word_of
from linewarden.cli.output import output_option, write_rows
from linewarden.v1 import access_pb2, core_pb2
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1.audit_pb2_grpc import AuditServiceStub

_COLUMNS = (
    "index", "time", "kind", "caller", "subject", "verb", "resource_type", "resource_id", "owner", "effect", "reason",
    "details",
)  # fmt: skip
#: A table has few columns, because more would be too narrow to read.
_TABLE = ("index", "time", "subject", "what")


@click.command()
@connecting
@tenant_option
@subject_option
@filter_options
@click.option("--oldest-first", is_flag=True, help="List in the order of the log; otherwise newest first.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Most rows.")
@click.option("--count", "is_count", is_flag=True, help="Print the number of rows instead of the rows.")
@click.option("--histogram", type=INTERVALS, help="Print the number of rows in each interval, in UTC, with bars.")
@click.option(
    "--capture",
    "--session",
    "capture",
    default="",
    help="The whole history of one capture, oldest first: its entries and decisions, its attestation and its notice. "
    "Takes no other filter. Takes longer, because all entries of the tenant's diagnostics are read.",
)
@output_option
@click.pass_context
def query(
    ctx: click.Context, /, connection: Connection, capture: str, is_count: bool, histogram: str | None, **asked: Any
) -> None:
    """Find entries, complete up to the last request that was answered.

    Exit code 5: the answer lacks something. Stderr says what is missing, and what to do.
    """
    forms = [
        name for name, given in (("--count", is_count), ("--histogram", histogram), ("--capture", capture)) if given
    ]
    if len(forms) > 1:
        raise click.UsageError(f"{' and '.join(forms)} exclude each other: leave one of them out")
    if capture and is_filtered(asked):
        raise click.UsageError("--capture takes no other filter: leave one of them out")
    completeness = Completeness(asked)
    with connection.channel() as channel:
        stub = AuditServiceStub(channel)
        if is_count or histogram:
            _count(connection, stub, completeness, histogram, asked)
        else:
            _list(connection, stub, completeness, capture, asked)
    ctx.exit(completeness.report())


def _count(
    connection: Connection, stub: AuditServiceStub, completeness: Completeness, histogram: str | None, asked: Any
) -> None:
    request = count_request(header(asked["tenant"], asked["subject"]), filter_of(asked), histogram)
    answer = stub.CountEntries(request, metadata=connection.metadata, timeout=DEADLINE_S)
    completeness.note(answer.completeness)
    write_count(answer, histogram, asked["output"])


def _list(connection: Connection, stub: AuditServiceStub, completeness: Completeness, capture: str, asked: Any) -> None:
    limit, output = asked["limit"], asked["output"]
    # One row more than is shown tells that there are more, without another read, which would be another entry.
    request = pb.QueryEntriesRequest(
        header=header(asked["tenant"], asked["subject"]),
        filter=filter_of(asked),
        page_size=1_000 if capture else min(limit + 1, 1_000),
        oldest_first=asked["oldest_first"],
    )
    read = partial(_read, connection, stub, completeness)
    found = history_of(capture, request, read) if capture else read(request)
    rows = [_row(row) for row in islice(found, limit)]
    is_more = next(found, None) is not None
    if output == "table":
        write_rows((_for_people(row, capture) for row in rows), _TABLE, output)
    else:
        write_rows(rows, _COLUMNS, output, fields=_row(pb.EntryRow()))
    if is_more:
        click.echo(f"linewarden: there are more than {limit} rows; see --limit", err=True)


def _read(
    connection: Connection, stub: AuditServiceStub, completeness: Completeness, request: pb.QueryEntriesRequest
) -> Iterator[pb.EntryRow]:
    """Yield the rows of all pages; a page is read when its first row is needed."""
    more = True
    while more:
        page = stub.QueryEntries(request, metadata=connection.metadata, timeout=DEADLINE_S)
        completeness.note(page.completeness)
        yield from page.rows
        request.page_token = page.next_page_token
        more = bool(page.next_page_token)


def _row(row: pb.EntryRow) -> dict[str, Any]:
    return {
        "index": row.index,
        "item": row.item,
        "time": row.time.ToJsonString(),
        "kind": row.kind,
        "caller": row.caller,
        "request_id": row.request_id,
        "subject": row.subject or row.subject_sid,
        "subject_sid": row.subject_sid,
        "verb": word_of(core_pb2.Verb, row.verb),
        "resource_type": word_of(core_pb2.ResourceType, row.resource_type),
        "resource_id": row.resource_id or row.resource_ref,
        "resource_ref": row.resource_ref,
        "owner": row.owner or row.owner_sid,
        "owner_sid": row.owner_sid,
        "effect": word_of(access_pb2.Effect, row.effect),
        "reason": row.reason,
        "purpose": word_of(core_pb2.Purpose, row.purpose),
        "policy_revision": row.policy_revision,
        "details": row.details,
    }


def _for_people(row: dict[str, Any], capture: str) -> dict[str, Any]:
    """The row with its time to the second, and one text with event, caller, decision and reason.

    The history of a capture leaves out the id of the capture.
    """
    owner = f"of {row['owner']}" if row["owner"] else ""
    item = "" if capture and row["resource_id"] == capture else row["resource_id"]
    details = " ".join(one for one in row["details"].split(" ") if not capture or one != f"session={capture}")
    done = (row["kind"], row["verb"], row["resource_type"], item, owner, row["effect"], row["reason"])
    parts = (*done, details.replace("=", " "), f"via {row['caller']}" if row["caller"] else "")
    return row | {"time": row["time"][:19].replace("T", " "), "what": " ".join(filter(None, parts))}

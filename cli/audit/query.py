"""`linewarden audit query`: entries of the log, and the history of one capture."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import click

from linewarden.cli.audit.capture_history import history_of
from linewarden.cli.client import DEADLINE_S, Connection, connecting, header, subject_option, tenant_option
from linewarden.cli.enum_words import choice_of, number_of, word_of
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.values import INSTANT, KIND
from linewarden.v1 import access_pb2, core_pb2
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1.audit_pb2_grpc import AuditServiceStub

_COLUMNS = (
    "index", "time", "kind", "caller", "subject", "verb", "resource_type", "resource_id", "owner", "effect", "reason",
    "details",
)  # fmt: skip
#: A table has few columns, because more would be too narrow to read.
_TABLE = ("index", "time", "subject", "what")
#: The options of a query that leave rows out.
_FILTERS = (
    "from_time", "until_time", "kinds", "caller", "actor", "data_subject", "type", "id", "verb", "effect", "purpose",
    "request_id",
)  # fmt: skip


@click.command()
@connecting
@tenant_option
@subject_option
@click.option("--from", "from_time", type=INSTANT, help="First instant, inclusive; UTC without an offset.")
@click.option("--until", "until_time", type=INSTANT, help="Last instant, exclusive.")
@click.option("--kind", "kinds", type=KIND, multiple=True, help="Kind of entry, such as decision; may be repeated.")
@click.option("--caller", default="", help="The service that asked.")
@click.option("--subject", "actor", default="", help="The person on whose behalf it asked.")
@click.option("--data-subject", default="", help="The owner or a party of the item.")
@click.option("--type", "type", type=choice_of(core_pb2.ResourceType), help="The type of the item.")
@click.option("--id", "id", default="", help="The id of the item; needs --type.")
@click.option("--verb", type=choice_of(core_pb2.Verb), help="The verb that was asked for.")
@click.option("--effect", type=choice_of(access_pb2.Effect), help="The effect of the decision.")
@click.option("--purpose", type=choice_of(core_pb2.Purpose), help="The purpose of the access.")
@click.option("--request-id", default="", help="The id that the caller chose.")
@click.option("--oldest-first", is_flag=True, help="List in the order of the log; otherwise newest first.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Most rows.")
@click.option(
    "--capture",
    "--session",
    "capture",
    default="",
    help="The whole history of one capture, oldest first: its entries and decisions, its attestation and its notice. "
    "Takes no other filter. Takes longer, because all entries of the tenant's diagnostics are read.",
)
@output_option
def query(connection: Connection, output: str, limit: int, capture: str, **asked: Any) -> None:
    """Find entries, complete up to the last request that was answered."""
    if capture and any(asked[name] for name in _FILTERS):
        raise click.UsageError("--capture takes no other filter: leave one of them out")
    # One row more than is shown tells that there are more, without another read, which would be another entry.
    request = _query_request(1_000 if capture else min(limit + 1, 1_000), **asked)
    with connection.channel() as channel:
        read = partial(_read, connection, AuditServiceStub(channel))
        found = history_of(capture, request, read) if capture else read(request)
        rows = [_row(row) for row in islice(found, limit)]
        is_more = next(found, None) is not None
    if output == "table":
        write_rows((_for_people(row, capture) for row in rows), _TABLE, output)
    else:
        write_rows(rows, _COLUMNS, output, fields=_row(pb.EntryRow()))
    if not rows and (asked["actor"] or asked["data_subject"]):
        click.echo("linewarden: no rows; the log may not know this person: is the name right?", err=True)
    if is_more:
        click.echo(f"linewarden: there are more than {limit} rows; see --limit", err=True)


def _read(connection: Connection, stub: AuditServiceStub, request: pb.QueryEntriesRequest) -> Iterator[pb.EntryRow]:
    """Yield the rows of all pages; a page is read when its first row is needed."""
    more = True
    while more:
        page = stub.QueryEntries(request, metadata=connection.metadata, timeout=DEADLINE_S)
        yield from page.rows
        request.page_token = page.next_page_token
        more = bool(page.next_page_token)


def _query_request(page_size: int, **asked: Any) -> pb.QueryEntriesRequest:
    filter = pb.EntryFilter(
        kinds=asked["kinds"],
        caller=asked["caller"],
        subject=asked["actor"],
        data_subject=asked["data_subject"],
        resource_type=number_of(core_pb2.ResourceType, asked["type"]),
        resource_id=asked["id"],
        verb=number_of(core_pb2.Verb, asked["verb"]),
        effect=number_of(access_pb2.Effect, asked["effect"]),
        purpose=number_of(core_pb2.Purpose, asked["purpose"]),
        request_id=asked["request_id"],
    )
    for name, time in (("from", asked["from_time"]), ("until", asked["until_time"])):
        if time:
            getattr(filter, name).FromDatetime(time)
    return pb.QueryEntriesRequest(
        header=header(asked["tenant"], asked["subject"]),
        filter=filter,
        page_size=page_size,
        oldest_first=asked["oldest_first"],
    )


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

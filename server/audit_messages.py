"""Messages of queries of the log: filters, rows, counts, and what an answer may lack."""

from collections.abc import Sequence

from linewarden.audit.index.answers import Lacks, Query, Row
from linewarden.server.details import details_of, has_details
from linewarden.server.errors import InvalidRequest, Violation
from linewarden.server.kinds import check_kinds
from linewarden.server.messages import microseconds, timestamp
from linewarden.server.names import (
    EFFECT_NUMBERS,
    EFFECTS,
    PURPOSE_NUMBERS,
    PURPOSES,
    TYPE_NUMBERS,
    TYPES,
    VERB_NUMBERS,
    VERBS,
)
from linewarden.v1 import audit_pb2 as pb


def query_of(stated: pb.EntryFilter, *, oldest_first: bool = False) -> Query:
    """Return the query of a filter.

    Raises:
        InvalidRequest: a kind is unknown, or an item has no type.
    """
    check_kinds(stated.kinds)
    if stated.resource_id and not stated.resource_type:
        raise InvalidRequest((Violation("filter.resource_id", "resource_id.typed", "it needs resource_type"),))
    return Query(
        from_us=_us(stated, "from"),
        until_us=_us(stated, "until"),
        kinds=tuple(stated.kinds),
        caller=stated.caller,
        subject=stated.subject,
        data_subject=stated.data_subject,
        resource_type=TYPES.get(stated.resource_type, ""),
        resource_id=stated.resource_id,
        verb=VERBS.get(stated.verb, ""),
        effect=EFFECTS.get(stated.effect, ""),
        purpose=PURPOSES.get(stated.purpose, ""),
        request_id=stated.request_id,
        oldest_first=oldest_first,
    )


def row_message(row: Row, *, masked: bool) -> pb.EntryRow:
    """Return the message of a row. A masked one has no names and no ids of items."""
    return pb.EntryRow(
        index=row.index,
        item=row.item,
        time=timestamp(row.time_us),
        kind=row.kind,
        request_id=row.request_id,
        caller=row.caller,
        subject_sid=row.subject_sid,
        subject="" if masked else row.subject,
        owner_sid=row.owner_sid,
        owner="" if masked else row.owner,
        resource_type=TYPE_NUMBERS.get(row.resource_type, 0),
        resource_ref=row.resource_ref,
        resource_id="" if masked else row.resource_id,
        verb=VERB_NUMBERS.get(row.verb, 0),
        effect=EFFECT_NUMBERS.get(row.effect, 0),
        reason=row.reason,
        purpose=PURPOSE_NUMBERS.get(row.purpose, 0),
        policy_revision=row.policy_revision,
        details=details_of(row.stated) if has_details(row.kind) else "",
    )


def completeness_message(lacks: Lacks) -> pb.Completeness:
    """Return the message of what an answer may lack."""
    return pb.Completeness(
        unsearched_entries=lacks.unsearched,
        damaged_entries=lacks.damaged,
        missing_persons=lacks.persons,
        unknown_persons=lacks.unknown,
        unchecked_items=lacks.unchecked,
    )


def bucket_messages(buckets: Sequence[tuple[int, int]]) -> list[pb.CountBucket]:
    """Return the messages of buckets, from the first to the last that has a row."""
    filled = [number for number, (_, count) in enumerate(buckets) if count]
    shown = buckets[filled[0] : filled[-1] + 1] if filled else ()
    return [pb.CountBucket(start=timestamp(start), count=count) for start, count in shown]


def _us(stated: pb.EntryFilter, name: str) -> int | None:
    if not stated.HasField(name):
        return None
    return microseconds(getattr(stated, name))

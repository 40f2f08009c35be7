"""The history of one capture, picked out of the log: the server can filter by kind and item, not by capture."""

from collections.abc import Callable, Iterable, Iterator

from linewarden.diagnostics import kinds
from linewarden.diagnostics.states import Event
from linewarden.server.names import TYPE_NUMBERS
from linewarden.v1 import audit_pb2 as pb

#: What reads all rows that fit a request.
Read = Callable[[pb.QueryEntriesRequest], Iterable[pb.EntryRow]]

#: The kinds that can be about a capture, or are what one rests on.
_KINDS = (
    *(f"{kinds.CAPTURE}{event}" for event in ("requested", *Event)),
    *(kinds.CAPTURE_OPENED, kinds.CAPTURE_GIVEN_UP, kinds.DIAGNOSTICS_REFUSED),
    *(kinds.ATTESTATION_MADE, kinds.ATTESTATION_WITHDRAWN),
    *(kinds.NOTICE_PUBLISHED, kinds.NOTICE_DISPATCHED, kinds.NOTICE_RECEIVED, kinds.NOTICE_CONFIRMED),
)


def history_of(capture: str, request: pb.QueryEntriesRequest, read: Read) -> Iterator[pb.EntryRow]:
    """Every entry and decision about a capture, with the attestations and notices it rested on, in their order.

    `request` says whose log is read, and on whose behalf.
    """
    decided = _like(request, pb.EntryFilter(resource_type=TYPE_NUMBERS["capture"], resource_id=capture))
    rows = [*read(decided)]
    others = [(row, _told(row)) for row in read(_like(request, pb.EntryFilter(kinds=sorted(set(_KINDS)))))]
    own = [told for _row, told in others if told.get("session") == capture]
    attestations = {told.get("attestation", "") for told in own} - {""}
    rested = [told for _row, told in others if told.get("attestation", "") in attestations]
    notices = {(told["notice"], told["notice_version"]) for told in rested if "notice_version" in told}
    for row, told in others:
        rests_on = row.kind.startswith("attestation.") and told.get("attestation", "") in attestations
        is_told = row.kind == kinds.NOTICE_PUBLISHED and (told.get("notice"), told.get("version")) in notices
        if told.get("session") == capture or rests_on or is_told:
            rows.append(row)
    yield from sorted(rows, key=lambda row: (row.index, row.item))


def _like(request: pb.QueryEntriesRequest, wanted: pb.EntryFilter) -> pb.QueryEntriesRequest:
    made = pb.QueryEntriesRequest()
    made.CopyFrom(request)
    made.filter.CopyFrom(wanted)
    made.oldest_first = True
    return made


def _told(row: pb.EntryRow) -> dict[str, str]:
    """What the row says beside its columns: `name=value` with spaces between."""
    pairs = (one.partition("=") for one in row.details.split(" "))
    return {name: value for name, _, value in pairs}

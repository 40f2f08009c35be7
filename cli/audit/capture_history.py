"""The history of one capture, picked out of the log: the server can filter by kind and item, not by capture."""

from collections.abc import Callable, Iterable, Iterator

from linewarden.cli.values import KINDS
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1 import core_pb2

#: Reads all rows that fit a request.
Read = Callable[[pb.QueryEntriesRequest], Iterable[pb.EntryRow]]

_PUBLISHED = "notice.published"
_REFUSED = "diagnostics.refused"
#: Kinds that begin like those about a capture, and are about no single one.
_OTHER = frozenset(("notice.listed", "notice.read"))
#: The kinds of entries about a capture, or about the attestation and notice that it relies on.
_KINDS = sorted(
    kind
    for kind in KINDS
    if kind == _REFUSED or (kind.startswith(("attestation.", "capture.", "notice.")) and kind not in _OTHER)
)


def history_of(capture: str, request: pb.QueryEntriesRequest, read: Read) -> Iterator[pb.EntryRow]:
    """Yield every entry and decision about a capture, its attestations and its notices, in the order of the log.

    `request` states the tenant and the person who reads.
    """
    decided = _like(request, pb.EntryFilter(resource_type=core_pb2.RESOURCE_TYPE_CAPTURE, resource_id=capture))
    rows = [*read(decided)]
    others = [(row, _details_of(row)) for row in read(_like(request, pb.EntryFilter(kinds=_KINDS)))]
    own = [details for _row, details in others if details.get("session") == capture]
    attestations = {details.get("attestation", "") for details in own} - {""}
    attested = [details for _row, details in others if details.get("attestation", "") in attestations]
    notices = {(details["notice"], details["notice_version"]) for details in attested if "notice_version" in details}
    for row, details in others:
        attests = row.kind.startswith("attestation.") and details.get("attestation", "") in attestations
        publishes = row.kind == _PUBLISHED and (details.get("notice"), details.get("version")) in notices
        if details.get("session") == capture or attests or publishes:
            rows.append(row)
    yield from sorted(rows, key=lambda row: (row.index, row.item))


def _like(request: pb.QueryEntriesRequest, filter: pb.EntryFilter) -> pb.QueryEntriesRequest:
    """A copy of a request with another filter, in the order of the log."""
    copy = pb.QueryEntriesRequest()
    copy.CopyFrom(request)
    copy.filter.CopyFrom(filter)
    copy.oldest_first = True
    return copy


def _details_of(row: pb.EntryRow) -> dict[str, str]:
    """The details of a row by their names: `name=value` with spaces between."""
    pairs = (one.partition("=") for one in row.details.split(" "))
    return {name: value for name, _, value in pairs}

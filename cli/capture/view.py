"""A capture as a row, and as a block that tells an approver what it would take."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.cli.enum_words import word_of
from linewarden.cli.output import write_block, write_rows
from linewarden.cli.rpc import fields_of, message_row
from linewarden.v1 import capture_pb2 as pb
from linewarden.v1 import core_pb2

_COLUMNS = ("id", "state", "profile", "requested_by", "approved_by", "worker", "stop_reason", "lossy")
#: A table has few columns, because an id leaves little room for others.
_TABLE = ("id", "state", "what")
_ENUMS: dict[str, Any] = {
    "state": pb.CaptureState,
    "profile": pb.CaptureProfile,
    "stop_reason": pb.CaptureStopReason,
}
_KEPT = {
    pb.CAPTURE_PROFILE_HEADERS: "headers of link, network and transport",
    pb.CAPTURE_PROFILE_SIGNALLING: "SIP and SDP, of media the headers of RTP",
    pb.CAPTURE_PROFILE_MEDIA: "everything, also speech",
}
#: What the evidence says about persons, for the approver and like docs/captures.md.
_STAYS = {
    pb.CAPTURE_PROFILE_HEADERS: ("stays: network and hardware addresses, ports, times, sizes",),
    pb.CAPTURE_PROFILE_SIGNALLING: (
        "stays: display names, numbers, user and host names, addresses, device ids, reason texts, who called whom when",
        "overwritten: passwords, digits dialled in a call, messages, free text, unknown headers and parameters",
    ),
    pb.CAPTURE_PROFILE_MEDIA: (
        "stays: all of that, and speech, messages, dialled digits, passwords as they were sent",
    ),
}
_GONE = "cannot be read any more"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_MEBIBYTE = 1 << 20

capture_argument = click.argument("capture_id", metavar="CAPTURE_ID")

_Part = tuple[str, Sequence[str]]


def write_capture(capture: pb.Capture, output: str) -> None:
    """Write one capture as a row."""
    write_captures([capture], output)


def write_captures(captures: Sequence[pb.Capture], output: str) -> None:
    """Write captures as rows."""
    if output == "table":
        write_rows(map(_for_people, captures), _TABLE, output)
    else:
        write_rows(map(row_of, captures), _COLUMNS, output, fields=fields_of(pb.Capture))


def show_capture(capture: pb.Capture, output: str) -> None:
    """Write one capture with all its fields; for people as a block."""
    if output == "table":
        write_block((label, lines) for label, lines in _parts(capture) if lines)
    else:
        write_capture(capture, output)


def row_of(message: Any) -> dict[str, Any]:
    """The fields of a message, with the words of its enums in lower case."""
    row = message_row(message)
    words = {name: word_of(enum, getattr(message, name)) for name, enum in _ENUMS.items() if name in row}
    return row | {name: word or "unspecified" for name, word in words.items()}


def _for_people(capture: pb.Capture) -> dict[str, str]:
    """The id and state, and one text with profile, persons, worker and end; values that are not set are left out."""
    reason = phrase_of(pb.CaptureStopReason, capture.stop_reason)
    said = (
        phrase_of(pb.CaptureProfile, capture.profile),
        f"for {capture.requested_by}" if capture.requested_by else "",
        f"approved by {capture.approved_by}" if capture.approved_by else "",
        f"at {capture.worker}" if capture.worker else "",
        f"stopped: {reason}" if capture.stop_reason else "",
        "lossy" if capture.lossy else "",
    )
    state = phrase_of(pb.CaptureState, capture.state)
    return {"id": capture.id, "state": state, "what": ", ".join(filter(None, said))}


def _parts(capture: pb.Capture) -> Iterator[_Part]:
    readable = capture.HasField("selector")
    purpose = word_of(core_pb2.Purpose, capture.purpose) or "no purpose"
    profile = phrase_of(pb.CaptureProfile, capture.profile)
    yield "capture", [capture.id]
    yield "state", [phrase_of(pb.CaptureState, capture.state)]
    yield "asked for", [_by(capture.requested_by, capture.requested_at)]
    yield "purpose", [f"{purpose}, case {capture.case_reference if readable else _GONE}"]
    kept = f"{profile}: {_KEPT[capture.profile]}" if capture.profile in _KEPT else profile
    yield "profile", [kept, *_STAYS.get(capture.profile, ())]
    yield "where", [_place(capture)]
    yield "what", _selector(capture.selector) if readable else [_GONE]
    yield "limits", _limits(capture.limits)
    yield "readers", [_reader(one) for one in capture.readers] if readable else [_GONE]
    yield "attestation", [capture.attestation_id or _lacking(capture.lacking)]
    yield "extends", [capture.extends_capture] if capture.extends_capture else []
    yield from _course(capture)
    yield from _outcome(capture)


def _course(capture: pb.Capture) -> Iterator[_Part]:
    """The steps since the request, and the deadlines to come."""
    if capture.HasField("approved_at"):
        yield "approved", [_by(capture.approved_by, capture.approved_at)]
    if capture.HasField("started_at"):
        yield "started", [_by(capture.started_by, capture.started_at)]
    elif capture.HasField("start_before"):
        yield "start before", [_at(capture.start_before)]
    if capture.stop_reason:
        yield "stopped for", [phrase_of(pb.CaptureStopReason, capture.stop_reason)]
    if capture.cause:
        yield "cause", [capture.cause]
    if capture.HasField("ended_at"):
        yield "ended", [_at(capture.ended_at)]
    if capture.HasField("delete_at"):
        yield "kept until", [_at(capture.delete_at)]


def _outcome(capture: pb.Capture) -> Iterator[_Part]:
    if capture.HasField("started_at"):
        yield "packets", _counters(capture.counters)
    if capture.HasField("ended_at"):
        yield "lossy", ["yes: what is missing proves nothing" if capture.lossy else "no"]
    if capture.HasField("evidence"):
        evidence = capture.evidence
        yield "evidence", [f"{_size(evidence.plain_bytes)} masked, SHA-256", evidence.plain_sha256]
        yield "", [f"{_size(evidence.sealed_bytes)} sealed, SHA-256", evidence.sealed_sha256]
        yield "", ["last link of its chain", evidence.chain]
        yield "", ["the chain begins with", evidence.ticket_digest or _GONE]


def _place(capture: pb.Capture) -> str:
    if not capture.interface:
        return f"the capture file {capture.file}" if capture.file else f"a capture file whose name {_GONE}"
    host = f"host of the worker {capture.worker}" if capture.worker else "the server's own host"
    return f"interface {capture.interface}, {host}"


def _reader(reader: pb.EvidenceReader) -> str:
    """The name as the request states it, and the end of the key, which alone decides who can open the evidence."""
    key = reader.public_key.split(" ")[1 if reader.public_key.startswith("ssh-") else 0]
    return f"{reader.name}, key …{key[-16:]}"


def _selector(selector: pb.CaptureSelector) -> list[str]:
    ports = [str(one.low) if one.low == one.high else f"{one.low} to {one.high}" for one in selector.ports]
    named = (
        ("extensions", selector.extensions),
        ("Call-IDs", selector.call_ids),
        ("trunks", selector.trunks),
        ("hosts", selector.hosts),
        ("ports", ports),
    )
    lines = [f"{name} {', '.join(values)}" for name, values in named if values]
    if selector.transport in (pb.TRANSPORT_UDP, pb.TRANSPORT_TCP):
        lines.append(f"{pb.Transport.Name(selector.transport).removeprefix('TRANSPORT_')} only")
    if selector.raw_filter:
        lines.append(f"the filter {selector.raw_filter}")
    return lines or ["all traffic of the tenant"]


def _limits(limits: pb.CaptureLimits) -> list[str]:
    return [
        f"{_duration(limits.seconds)}, {_size(limits.bytes)}, {limits.packets:,} packets",
        f"{limits.snaplen:,} bytes of each packet",
        f"ends when more than {limits.loss_budget:,} packets are lost",
        f"ends when less than {_size(limits.disk_free_min)} of disk are free",
    ]


def _lacking(fields: Sequence[str]) -> str:
    if not fields:
        return "not yet made"
    return "missing: none is in force" if "attestation" in fields else f"missing: none covers {', '.join(fields)}"


def _counters(counters: pb.CaptureCounters) -> list[str]:
    rules = ", ".join(f"{name} {count:,}" for name, count in sorted(counters.rules.items()))
    lines = [
        f"{counters.received:,} received, {counters.dropped:,} lost; {counters.delivered:,} examined",
        f"{counters.written:,} kept in {_size(counters.bytes)}; {counters.unparsed:,} not understood",
        f"{counters.not_selected:,} of other calls, {counters.over_limit:,} past a limit",
    ]
    return [*lines, f"masked by rule: {rules}"] if rules else lines


def phrase_of(enum: Any, number: int) -> str:
    """The words for a number of an enum, with blanks between them."""
    return word_of(enum, number).replace("_", " ")


def _by(person: str, at: Timestamp) -> str:
    return f"by {person}, {_at(at)}" if person else _at(at)


def second_of(time: Timestamp) -> str:
    """A time to the second, UTC."""
    return f"{time.ToDatetime():%Y-%m-%d %H:%M:%S}"


def _at(time: Timestamp) -> str:
    return f"{second_of(time)} UTC"


def _duration(seconds: int) -> str:
    parts = []
    for width, unit in _UNITS:
        count, seconds = divmod(seconds, width)
        parts += [f"{count} {unit}"] if count else []
    return " ".join(parts) or "0 s"


def _size(count: int) -> str:
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1 << 10 * power:
            return f"{count / (1 << 10 * power):.1f}".removesuffix(".0") + f" {unit}"
    return f"{count:,} bytes"

"""A capture session as a row, and as a block that tells an approver what is asked for."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.cli.output import write_block, write_rows
from linewarden.cli.rpc import fields_of
from linewarden.server.names import PURPOSES
from linewarden.v1 import diagnostics_pb2 as pb

_COLUMNS = ("id", "state", "profile", "requested_by", "approved_by", "worker", "stop_reason", "lossy")
#: A table has few columns, or an id would leave the others no room to be read.
_TABLE = ("id", "state", "what")
_PREFIXES = {"state": "SESSION_STATE_", "profile": "CAPTURE_PROFILE_", "stop_reason": "CAPTURE_STOP_REASON_"}
_KEPT = {
    pb.CAPTURE_PROFILE_HEADERS: "headers of link, network and transport",
    pb.CAPTURE_PROFILE_SIGNALLING: "SIP and SDP, of media the headers of RTP",
    pb.CAPTURE_PROFILE_MEDIA: "everything, also what is said",
}
_GONE = "cannot be read any more"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_MEBIBYTE = 1 << 20

session_argument = click.argument("session_id")

_Part = tuple[str, Sequence[str]]


def write_session(session: pb.Session, output: str) -> None:
    """Write one session as a row."""
    write_sessions([session], output)


def write_sessions(sessions: Sequence[pb.Session], output: str) -> None:
    """Write sessions as rows."""
    if output == "table":
        write_rows(map(_for_people, sessions), _TABLE, output)
    else:
        write_rows(map(row_of, sessions), _COLUMNS, output, fields=fields_of(pb.Session))


def show_session(session: pb.Session, output: str) -> None:
    """Write one session with all that is known of it; for people as a block."""
    if output == "table":
        write_block((label, lines) for label, lines in _parts(session) if lines)
    else:
        write_session(session, output)


def row_of(message: Any) -> dict[str, Any]:
    """The fields of a message, with the words of a session in lower case."""
    row: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return row | {
        name: str(row[name]).removeprefix(prefix).lower() for name, prefix in _PREFIXES.items() if name in row
    }


def _for_people(session: pb.Session) -> dict[str, str]:
    """The session with, in one text, what it is, by whose doing, and how it ended; nothing of what is not so."""
    reason = word_of(pb.CaptureStopReason, session.stop_reason, "stop_reason")
    said = (
        word_of(pb.CaptureProfile, session.profile, "profile"),
        f"for {session.requested_by}" if session.requested_by else "",
        f"approved by {session.approved_by}" if session.approved_by else "",
        f"at {session.worker}" if session.worker else "",
        f"stopped: {reason}" if session.stop_reason else "",
        "lossy" if session.lossy else "",
    )
    state = word_of(pb.SessionState, session.state, "state")
    return {"id": session.id, "state": state, "what": ", ".join(filter(None, said))}


def _parts(session: pb.Session) -> Iterator[_Part]:
    readable = session.HasField("selector")
    purpose = PURPOSES.get(session.purpose, "no purpose")
    profile = word_of(pb.CaptureProfile, session.profile, "profile")
    yield "session", [session.id]
    yield "state", [word_of(pb.SessionState, session.state, "state")]
    yield "asked for", [_by(session.requested_by, session.requested_at)]
    yield "purpose", [f"{purpose}, case {session.case_reference if readable else _GONE}"]
    yield "profile", [f"{profile}: {_KEPT[session.profile]}" if session.profile in _KEPT else profile]
    yield "where", [_place(session)]
    yield "what", _selector(session.selector) if readable else [_GONE]
    yield "limits", _limits(session.limits)
    yield "readers", [_reader(one) for one in session.readers] if readable else [_GONE]
    yield "attestation", [session.attestation_id or _lacking(session.lacking)]
    yield "extends", [session.extends_session] if session.extends_session else []
    yield from _way(session)
    yield from _outcome(session)


def _way(session: pb.Session) -> Iterator[_Part]:
    """What happened to it since it was asked for, and will."""
    if session.HasField("approved_at"):
        yield "approved", [_by(session.approved_by, session.approved_at)]
    if session.HasField("started_at"):
        yield "started", [_by(session.started_by, session.started_at)]
    elif session.HasField("start_before"):
        yield "start before", [_at(session.start_before)]
    if session.stop_reason:
        yield "stopped for", [word_of(pb.CaptureStopReason, session.stop_reason, "stop_reason")]
    if session.cause:
        yield "cause", [session.cause]
    if session.HasField("ended_at"):
        yield "ended", [_at(session.ended_at)]
    if session.HasField("delete_at"):
        yield "kept until", [_at(session.delete_at)]


def _outcome(session: pb.Session) -> Iterator[_Part]:
    if session.HasField("started_at"):
        yield "packets", _counters(session.counters)
    if session.HasField("ended_at"):
        yield "lossy", ["yes: what is missing proves nothing" if session.lossy else "no"]
    if session.HasField("evidence"):
        evidence = session.evidence
        yield "evidence", [f"{_size(evidence.plain_bytes)} masked, SHA-256", evidence.plain_sha256]
        yield "", [f"{_size(evidence.sealed_bytes)} sealed, SHA-256", evidence.sealed_sha256]
        yield "", ["last link of its chain", evidence.chain]
        yield "", ["the chain begins with", evidence.ticket_digest or _GONE]


def _place(session: pb.Session) -> str:
    if not session.interface:
        return f"the capture file {session.file}" if session.file else f"a capture file whose name {_GONE}"
    host = f"host of the worker {session.worker}" if session.worker else "the server's own host"
    return f"interface {session.interface}, {host}"


def _reader(reader: pb.EvidenceReader) -> str:
    """The name is only what the request says: the key is who can open it, and its end tells keys apart."""
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
        return "none yet"
    return "none is in force" if "attestation" in fields else f"none that covers {', '.join(fields)}"


def _counters(counters: pb.CaptureCounters) -> list[str]:
    rules = ", ".join(f"{name} {count:,}" for name, count in sorted(counters.rules.items()))
    lines = [
        f"{counters.received:,} received, {counters.dropped:,} lost; {counters.delivered:,} looked at",
        f"{counters.written:,} kept in {_size(counters.bytes)}; {counters.unparsed:,} not understood",
        f"{counters.not_selected:,} of other calls, {counters.over_limit:,} past a limit",
    ]
    return [*lines, f"masked by rule: {rules}"] if rules else lines


def word_of(enum: Any, number: int, field: str) -> str:
    """The word of a session for a number of the contract."""
    return str(enum.Name(number)).removeprefix(_PREFIXES[field]).lower().replace("_", " ")


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

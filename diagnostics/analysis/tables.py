"""A report as text tables, its warnings first."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from linewarden.diagnostics.analysis.attempts import Authentication
from linewarden.diagnostics.analysis.calls import Call
from linewarden.diagnostics.analysis.quality import Quality
from linewarden.diagnostics.analysis.registrations import OptionsProbe, Registration, Subscription
from linewarden.diagnostics.analysis.report import CaptureSummary, Report
from linewarden.diagnostics.analysis.stream_report import StreamReport
from linewarden.diagnostics.analysis.text import clip
from linewarden.diagnostics.analysis.trouble import Hint
from linewarden.diagnostics.analysis.voice_reports import VoiceReport

_MAX_CELL = 36
_MAX_SENTENCE = 100
_MAX_LAST_CELL = 128
_MAX_ROWS = 1_000


def render_report(report: Report) -> str:
    """Render a report without its ladders. Times are UTC; a dash is a value that is unknown or did not occur."""
    parts = [
        *(f"! {warning}" for warning in report.warnings),
        _capture(report.capture),
        _table("Findings", _HINT_HEAD, map(_hint, report.findings), _MAX_SENTENCE),
        _table("Calls", _CALL_HEAD, map(_call, report.calls)),
        _table("Registrations", _REGISTRATION_HEAD, map(_registration, report.registrations)),
        _table("Subscriptions", _SUBSCRIPTION_HEAD, map(_subscription, report.subscriptions)),
        _table("OPTIONS", _PROBE_HEAD, map(_probe, report.probes)),
        _table("RTP streams", _STREAM_HEAD, map(_stream, report.streams)),
        _notes(report.streams),
        _table("Events", _EVENT_HEAD, map(_events, filter(_has_events, report.streams))),
        _table("RTCP receiver reports", _RECEIVER_HEAD, map(_receiver, filter(_has_receiver, report.streams))),
        _table("Voice quality reports", _VOICE_HEAD, map(_voice, report.voice_reports)),
        _table("SIP requests", ("method", "messages"), report.sip_requests),
        _table("SIP responses", ("status", "messages"), report.sip_responses),
        _table("Not read", ("type", "count"), report.unread),
        _table("Not used", ("what", "count"), ((kind.value, count) for kind, count in report.omitted)),
    ]
    return "\n".join(part for part in parts if part) + "\n"


_HINT_HEAD = ("trouble", "what the capture shows", "call-id")
_CALL_HEAD = (
    "setup",
    "caller",
    "callee",
    "state",
    "status",
    "pdd ms",
    "talk ms",
    "ended by",
    "resent",
    "auth",
    "identity",
    "call-id",
)
_REGISTRATION_HEAD = (
    *("first", "account", "client", "registrar", "state", "status", "requests", "resent", "auth", "call-id"),
)
_SUBSCRIPTION_HEAD = ("first", "subscriber", "target", "event", "status", "notified", "state", "call-id")
#: Of times the least, mean and most in one column: with a column each, two addresses do not fit a terminal.
_PROBE_HEAD = ("source", "destination", "sent", "answered", "resent", "rtt ms", "answers")
_STREAM_HEAD = (
    *("start", "source", "destination", "ssrc", "codec", "packets", "lost", "lost %", "gaps", "dup", "order"),
    *("jitter ms", "max ms", "pause ms", "talk ms", "rtt ms", "mos"),
)

#: Digits are events too (RFC 4733). They are counted and never shown.
_EVENT_HEAD = ("source", "destination", "format", "events")
_RECEIVER_HEAD = ("receiver", "ssrc", "reports", "lost", "last lost %", "jitter ms", "rtt ms")
_VOICE_HEAD = ("reporter", "side", "lost %", "discarded %", "jitter ms", "rtt ms", "mos-lq", "mos-cq", "call-id")


def _capture(capture: CaptureSummary) -> str:
    span = f"{_time(capture.first_ns)} to {_time(capture.last_ns)}" if capture.frames else "no time"
    rows = ((each.name, each.received, each.dropped) for each in capture.interfaces)
    head = f"{capture.frames} frame{'' if capture.frames == 1 else 's'}, {capture.cut} of them cut, {span}"
    return head + "\n" + _table("Interfaces", ("name", "received", "dropped"), rows)


def _hint(hint: Hint) -> tuple[object, ...]:
    return hint.trouble, hint.text, hint.call_id


def _call(call: Call) -> tuple[object, ...]:
    return (
        *(_time(call.setup_ns), call.caller, call.callee, call.state, _status(call), call.post_dial_ms),
        *(call.talk_ms, call.ended_by, call.retransmissions, _auth(call.authentication)),
        *("yes" if call.identity else "no", call.call_id),
    )


def _status(call: Call) -> str | None:
    return None if call.final_status is None else f"{call.final_status} {call.final_reason}".rstrip()


def _registration(found: Registration) -> tuple[object, ...]:
    return (
        *(_time(found.first_ns), found.account, found.client, found.registrar, found.state, found.final_status),
        *(found.requests, found.retransmissions, _auth(found.authentication), found.call_id),
    )


def _subscription(found: Subscription) -> tuple[object, ...]:
    return (
        *(_time(found.first_ns), found.subscriber, found.target, found.event, found.final_status),
        *(found.notifications, found.state, found.call_id),
    )


def _probe(probe: OptionsProbe) -> tuple[object, ...]:
    answers = " ".join(f"{status}x{count}" for status, count in probe.statuses)
    times = [str(one) for one in (probe.min_ms, probe.mean_ms, probe.max_ms) if one is not None]
    return (
        *(probe.source, probe.destination, probe.requests, probe.answered, probe.retransmissions),
        *("/".join(times), answers),
    )


def _stream(stream: StreamReport) -> tuple[object, ...]:
    jitter = stream.jitter
    return (
        *(_time(stream.first_ns), stream.source, stream.destination, f"{stream.ssrc:08x}", stream.codec),
        *(stream.packets, stream.lost, stream.lost_percent, stream.bursts, stream.duplicates, stream.out_of_order),
        *(jitter.mean_ms if jitter else None, jitter.max_ms if jitter else None, stream.longest_pause_ms),
        *(stream.talk_ms, stream.receiver.round_trip_ms if stream.receiver else None, _mos(stream.quality)),
    )


def _has_events(stream: StreamReport) -> bool:
    return stream.events > 0


def _events(stream: StreamReport) -> tuple[object, ...]:
    return stream.source, stream.destination, "telephone-event", stream.events


def _has_receiver(stream: StreamReport) -> bool:
    return stream.receiver is not None


def _receiver(stream: StreamReport) -> tuple[object, ...]:
    view = stream.receiver
    if view is None:
        return (stream.destination,)
    jitter = round(view.jitter * 1000 / stream.clock, 3) if stream.clock else None
    return (
        *(stream.destination, f"{stream.ssrc:08x}", view.reports, view.lost, round(100 * view.fraction_lost, 2)),
        *(jitter, view.round_trip_ms),
    )


def _voice(report: VoiceReport) -> tuple[object, ...]:
    return (
        *(report.reporter, report.side, report.loss_percent, report.discarded_percent, report.jitter_ms),
        *(report.round_trip_ms, report.mos_lq, report.mos_cq, report.call_id),
    )


def _auth(authentication: Authentication) -> str:
    """The outcome with its counts; outcomes such as `none_asked` are written as words."""
    counts = {
        "refused": authentication.refused,
        "forbidden": authentication.forbidden,
        "stale": authentication.stale,
        "wrong nonce": authentication.wrong_nonce,
    }
    parts = [] if counts.get(authentication.outcome) else [authentication.outcome.replace("_", " ")]
    return ", ".join([*parts, *(f"{name} {count}x" for name, count in counts.items() if count)])


def _mos(quality: Quality) -> str | None:
    if quality.mos_low is None or quality.mos_high is None:
        return None
    if quality.mos_low == quality.mos_high:
        return f"{quality.mos_low:.2f}"
    return f"{quality.mos_low:.2f}-{quality.mos_high:.2f}"


def _notes(streams: Sequence[StreamReport]) -> str:
    """The reasons why scores are missing, and the limits of those that are there; each sentence once."""
    notes = dict.fromkeys(stream.quality.reason or stream.quality.basis for stream in streams)
    return "\n".join(clip(f"mos: {note}", 120) for note in list(notes)[:20]) + "\n" if notes else ""


def _time(time_ns: int | None) -> str:
    """Seconds to the millisecond; a time that no calendar has is shown as a number."""
    if time_ns is None:
        return "-"
    try:
        return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (OverflowError, ValueError, OSError):
        return f"{time_ns / 1e9:.3f}"


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]], most: int = _MAX_CELL) -> str:
    """The rows under their title, or an empty text without rows. `most` is the width of all cells but the last."""
    cells = [[*(_cell(value, most) for value in row[:-1]), _cell(row[-1], _MAX_LAST_CELL)] for row in rows]
    if not cells:
        return ""
    more = len(cells) - _MAX_ROWS
    shown = [list(head), *cells[:_MAX_ROWS]]
    widths = [max(len(row[at]) for row in shown) for at in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]
    tail = [f"{more} more"] if more > 0 else []
    return "\n".join(["", title, *lines, *tail])


def _cell(value: object, width: int) -> str:
    return "-" if value is None or value == "" else clip(str(value), width)

"""Reports of voice quality that phones send by SIP (RFC 6035, application/vq-rtcpxr), read as numbers.

Only figures are taken out of a body, and the Call-ID that they belong to. What a report says of persons is not read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from linewarden.diagnostics.analysis.model import Endpoint

CONTENT_TYPE = "application/vq-rtcpxr"

_MAX_LINES = 256
_MAX_LINE = 512
_MAX_CALL_ID = 128
_METRIC = re.compile(r"\b([A-Z]{2,6})=(\d{1,6}(?:\.\d{1,6})?)(?![\w.])", re.ASCII)
_SECTIONS = {"localmetrics": "local", "remotemetrics": "remote"}
#: Metrics of RFC 6035 section 4.6 by line and name.
_FIELDS = {
    ("packetloss", "NLR"): "loss_percent",
    ("packetloss", "JDR"): "discarded_percent",
    ("burstgaploss", "BLD"): "burst_loss_percent",
    ("delay", "RTD"): "round_trip_ms",
    ("delay", "IAJ"): "jitter_ms",
    ("qualityest", "MOSLQ"): "mos_lq",
    ("qualityest", "MOSCQ"): "mos_cq",
}


@dataclass(frozen=True, slots=True)
class VoiceReport:
    """The figures of one side of a call, as `reporter` stated them; None for those that it left out.

    `side` is local for the reporter's own reception, remote for that of its peer.
    """

    call_id: str
    time_ns: int
    reporter: Endpoint
    side: str
    loss_percent: float | None = None
    discarded_percent: float | None = None
    burst_loss_percent: float | None = None
    round_trip_ms: float | None = None
    jitter_ms: float | None = None
    mos_lq: float | None = None
    mos_cq: float | None = None


def read_voice_reports(body: bytes, time_ns: int, reporter: Endpoint) -> tuple[VoiceReport, ...]:
    """Return the report of each side in a body; empty if it has none. An invalid figure is left out."""
    call_id, side = "", "local"
    figures: dict[str, dict[str, float]] = {}
    for name, value in _lines(body):
        side = _SECTIONS.get(name, side)
        if name == "callid":
            call_id = call_id or value.strip()[:_MAX_CALL_ID]
        for metric, number in _METRIC.findall(value):
            field = _FIELDS.get((name, metric.upper()))
            # Scores end at 5; 127 and 12.7 stand for a figure that is not known.
            if field is not None and not (field.startswith("mos") and not 1 <= float(number) <= 5):
                figures.setdefault(side, {}).setdefault(field, float(number))
    return tuple(VoiceReport(call_id, time_ns, reporter, side, **found) for side, found in figures.items())


def _lines(body: bytes) -> Iterator[tuple[str, str]]:
    for line in body[: _MAX_LINES * _MAX_LINE].decode("utf-8", "replace").split("\n", _MAX_LINES)[:_MAX_LINES]:
        name, _, value = line[:_MAX_LINE].partition(":")
        yield name.strip().lower(), value

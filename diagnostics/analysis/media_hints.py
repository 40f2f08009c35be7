"""Hints from the figures of media streams, by thresholds that the field uses."""

from collections.abc import Iterable, Iterator, Sequence

from linewarden.diagnostics.analysis.media import FaxPhase
from linewarden.diagnostics.analysis.stream_report import StreamReport
from linewarden.diagnostics.analysis.trouble import Hint, Trouble
from linewarden.diagnostics.analysis.voice_reports import VoiceReport

#: Loss from which speech without concealment is heard to be broken (ITU-T G.113 Appendix I).
LOSS_PERCENT = 1.0
#: Packets of a stream from which its loss is a figure and no accident.
_MIN_EXPECTED = 50
#: Packets lost in a row, and their time, from which concealment ends in silence (ITU-T G.711 Appendix I: 60 ms).
BURST_PACKETS = 5
BURST_MS = 100.0
#: Mean and highest jitter in ms that a usual receive buffer of 60 ms does not even out.
MEAN_JITTER_MS = 30.0
MAX_JITTER_MS = 100.0
#: R = 70, below which many users are dissatisfied (ITU-T G.109).
LOW_MOS = 3.6


def find_quality(streams: Iterable[StreamReport], *, has_holes: bool) -> Iterator[Hint]:
    """Return the hints of each stream, without loss where the capture has holes, because it may be the capture's."""
    for stream in streams:
        if not has_holes:
            yield from _of_loss(stream)
        yield from _of_figures(stream)
        yield from _of_receiver(stream)


def find_echoes(streams: Sequence[StreamReport]) -> Iterator[Hint]:
    """Return a hint for each stream whose packets come back: one SSRC in both directions, as RFC 3550 calls a loop."""
    first = {(stream.source.address, stream.destination.address, stream.ssrc): stream for stream in reversed(streams)}
    for stream in streams:
        there = first.get((stream.destination.address, stream.source.address, stream.ssrc))
        if there is not None and _begins_before(there, stream):
            text = f"{stream.source} sends the packets of {there.source} back to {stream.destination}"
            yield Hint(Trouble.ECHO, stream.call_id, text)


def find_fax(call_id: str, setup_ns: int, phases: Iterable[FaxPhase]) -> Iterator[Hint]:
    """Return a hint for each phase of T.38."""
    for phase in phases:
        end = "the end of the capture" if phase.end_ns is None else f"{(phase.end_ns - setup_ns) / 1e9:.1f} s"
        text = f"T.38 from {(phase.begin_ns - setup_ns) / 1e9:.1f} s to {end}, {phase.packets} packets"
        yield Hint(Trouble.FAX, call_id, f"{text}; a pause of RTP in it is no loss")


def find_reported(reports: Iterable[VoiceReport]) -> Iterator[Hint]:
    """Return a hint for each report of voice quality (RFC 6035) that tells of loss or of a low score."""
    for report in reports:
        parts = []
        if report.loss_percent is not None and report.loss_percent >= LOSS_PERCENT:
            parts.append(f"{report.loss_percent:.1f} % lost")
        if report.mos_lq is not None and report.mos_lq < LOW_MOS:
            parts.append(f"MOS {report.mos_lq:.2f}")
        if parts:
            text = f"{report.reporter} ({report.side}): {', '.join(parts)} (vq-rtcpxr)"
            yield Hint(Trouble.REPORTED, report.call_id, text)


def _begins_before(there: StreamReport, stream: StreamReport) -> bool:
    """Tell whether the packets of `stream` are those that `there` sent. Between two ports of a host, the ports tell."""
    if stream.source == stream.destination:
        return True
    if there is stream or (stream.source.address == stream.destination.address and there.source != stream.destination):
        return False
    return there.first_ns <= stream.first_ns <= there.last_ns


def _name(stream: StreamReport) -> str:
    return f"{stream.source} to {stream.destination}"


def _of_loss(stream: StreamReport) -> Iterator[Hint]:
    if stream.lost_percent >= LOSS_PERCENT and stream.expected >= _MIN_EXPECTED:
        text = f"{_name(stream)}: {stream.lost} of {stream.expected} packets lost ({stream.lost_percent:.1f} %)"
        yield Hint(Trouble.LOSS, stream.call_id, text)
    burst_ms = stream.longest_burst * (stream.frame_ms or 0.0)
    if stream.longest_burst >= BURST_PACKETS or burst_ms >= BURST_MS:
        time = f" ({burst_ms:.0f} ms)" if burst_ms else ""
        text = f"{_name(stream)}: up to {stream.longest_burst} packets lost in a row{time}"
        yield Hint(Trouble.BURST, stream.call_id, text)


def _of_figures(stream: StreamReport) -> Iterator[Hint]:
    jitter, score = stream.jitter, stream.quality.mos_high
    if jitter is not None and (jitter.mean_ms >= MEAN_JITTER_MS or jitter.max_ms >= MAX_JITTER_MS):
        text = f"{_name(stream)}: {jitter.mean_ms:.1f} ms on average, {jitter.max_ms:.1f} at most"
        yield Hint(Trouble.JITTER, stream.call_id, text)
    if score is not None and score < LOW_MOS:
        yield Hint(Trouble.LOW_SCORE, stream.call_id, f"{_name(stream)}: at most {score:.2f}")


def _of_receiver(stream: StreamReport) -> Iterator[Hint]:
    """Return a hint where the receiver lost what the capture still saw."""
    view = stream.receiver
    if view is None or stream.lost_percent >= LOSS_PERCENT or stream.expected < _MIN_EXPECTED:
        return
    if 100 * view.lost >= LOSS_PERCENT * stream.expected:
        text = f"{stream.destination}: {view.lost} packets lost (RTCP), {stream.lost} before the capture"
        yield Hint(Trouble.REPORTED, stream.call_id, text)

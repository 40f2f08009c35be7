"""Findings about media: each threshold, each figure computed by hand, and no finding below the threshold."""

import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from linewarden.diagnostics.analysis.attempts import AuthOutcome
from linewarden.diagnostics.analysis.engine import Analyser, analyse
from linewarden.diagnostics.analysis.evidence import EvidenceFile
from linewarden.diagnostics.analysis.ladder import render_ladder
from linewarden.diagnostics.analysis.model import Endpoint, Frame, InterfaceCount, Limits
from linewarden.diagnostics.analysis.picture import draw_ladder
from linewarden.diagnostics.analysis.report import Report, as_json
from linewarden.diagnostics.analysis.stream_report import StreamReport
from linewarden.diagnostics.analysis.tables import render_report
from linewarden.diagnostics.analysis.timeline import MAX_INTERVALS, Intervals
from linewarden.diagnostics.analysis.timeline_view import render_timelines
from linewarden.diagnostics.analysis.trouble import Trouble
from linewarden.diagnostics.analysis.voice_reports import read_voice_reports

SHARED = Path(__file__).parents[5] / "shared" / "data" / "captures"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="lay the captures of faults in ../shared/data/captures")
A, B = 1, 2
MS = 1_000_000
SVG = "{http://www.w3.org/2000/svg}"
_idents = iter(range(1, 1_000_000))


def _frame(at_ms: float, way: str, ports: tuple[int, int], data: bytes) -> Frame:
    """`way` is ">" from 10.0.0.1 to 10.0.0.2 or "<"; each packet has an identification of its own."""
    ends = (A, B) if way == ">" else (B, A)
    udp = struct.pack("!4H", *ports, 8 + len(data), 0) + data
    head = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(udp), next(_idents) & 0xFFFF, 0, 64, 17, 0)
    whole = head + bytes([10, 0, 0, ends[0], 10, 0, 0, ends[1]]) + udp
    return Frame(int(at_ms * MS), 101, whole, len(whole))


def _sip(
    at_ms: float, way: str, start: str, cseq: str, body: str = "", *, kind: str = "application/sdp", extra: str = ""
) -> Frame:
    first = f"SIP/2.0 {start}" if start[0].isdigit() else f"{start} sip:b@h SIP/2.0"
    tag = "" if (start, cseq) == ("INVITE", "1 INVITE") else ";tag=b"
    text = (
        f"{first}\r\nVia: SIP/2.0/UDP h;branch=z{cseq.replace(' ', '')}\r\nFrom: <sip:a@h>;tag=a\r\n"
        f"To: <sip:b@h>{tag}\r\nCall-ID: c\r\nCSeq: {cseq}\r\nContent-Type: {kind}\r\n{extra}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    return _frame(at_ms, way, (5060, 5060), text.encode())


def _sdp(host: int, media: str) -> str:
    return f"v=0\r\nc=IN IP4 10.0.0.{host}\r\n{media}\r\n"


def _audio(host: int) -> str:
    return _sdp(host, f"m=audio {2_000 * host} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000")


def _call(*, end_ms: float = 60_000, extra: str = "") -> Sequence[Frame]:
    return [
        _sip(0, ">", "INVITE", "1 INVITE", _audio(A), extra=extra),
        _sip(500, "<", "200 OK", "1 INVITE", _audio(B)),
        _sip(510, ">", "ACK", "1 ACK"),
        _sip(end_ms, ">", "BYE", "9 BYE"),
    ]


def _rtp(
    way: str,
    numbers: Sequence[int],
    *,
    delay: Callable[[int], float] = lambda _: 0.0,
    ssrc: int | None = None,
    kind: int = 0,
) -> Sequence[Frame]:
    """A packet of 20 ms of G.711 for each number, sent at its time and delayed by `delay` ms."""
    ports = (2_000, 4_000) if way == ">" else (4_000, 2_000)
    source = (1 if way == ">" else 2) if ssrc is None else ssrc
    return [
        _frame(
            1_000 + 20 * number + delay(number), way, ports,
            struct.pack("!2BHII", 0x80, kind, number & 0xFFFF, 160 * number, source) + bytes(160),
        )
        for number in numbers
    ]  # fmt: skip


def _report(*parts: Sequence[Frame], dropped: int = 0) -> Report:
    analyser = Analyser(Limits())
    for frame in sorted((frame for part in parts for frame in part), key=lambda frame: frame.time_ns):
        analyser.add(frame)
    return analyser.finish([InterfaceCount("eth0", dropped=dropped)])


def _troubles(report: Report) -> list[tuple[Trouble, str]]:
    return [(finding.trouble, finding.text) for finding in report.findings]


def _stream(report: Report, host: int) -> StreamReport:
    (found,) = (stream for stream in report.streams if stream.source.address == f"10.0.0.{host}")
    return found


def _mos_by_hand(loss: float) -> float:
    """G.107 with random loss and G.711 with concealment: Ie 0, Bpl 25.1, R0 93.2."""
    rating = 93.2 - 95 * loss / (loss + 25.1)
    return round(1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6, 2)


GOOD = _rtp("<", range(500))


def test_loss_is_found_with_its_figures():
    """A stream that misses each third packet is named with packets lost, expected and percent."""
    kept = [number for number in range(451) if number % 3 != 1]
    report = _report(_call(), GOOD, _rtp(">", kept))
    lost = 451 - len(kept)
    assert _troubles(report) == [
        (Trouble.LOSS, f"10.0.0.1:2000 to 10.0.0.2:4000: {lost} of 451 packets lost ({100 * lost / 451:.1f} %)")
    ]


def test_little_loss_is_no_finding():
    """Four single packets of five hundred are a figure in the table, and no finding."""
    assert _troubles(_report(_call(), GOOD, _rtp(">", [at for at in range(500) if at not in {9, 99, 199, 299}]))) == []


def test_a_burst_is_found_with_its_time():
    """Five packets in a row are 100 ms of silence, which concealment does not cover; the loss in percent is small."""
    kept = [at for at in range(2_000) if not 700 <= at < 705]
    assert _troubles(_report(_call(), GOOD, _rtp(">", kept))) == [
        (Trouble.BURST, "10.0.0.1:2000 to 10.0.0.2:4000: up to 5 packets lost in a row (100 ms)")
    ]


def test_loss_of_the_capture_itself_is_no_finding():
    """Where the capture lost packets, its warning stands in place of findings about the network."""
    report = _report(_call(), GOOD, _rtp(">", range(0, 500, 2)), dropped=3)
    assert _troubles(report) == []
    assert "lost 3 packets" in report.warnings[0]


def test_jitter_is_found_with_the_estimate_of_the_rfc():
    """Delays that swing by 80 ms give the mean and the peak of J += (|D| - J) / 16."""
    delays = [0.0 if number % 2 else 80.0 for number in range(500)]
    report = _report(_call(), GOOD, _rtp(">", range(500), delay=lambda number: delays[number]))
    estimate, estimates = 0.0, list[float]()
    order = sorted(range(500), key=lambda number: 20 * number + delays[number])
    for before, number in pairwise(order):
        arrived = 20 * (number - before) + delays[number] - delays[before]
        estimate += (abs(arrived - 20 * (number - before)) - estimate) / 16
        estimates.append(estimate)
    mean, highest = sum(estimates) / len(estimates), max(estimates)
    assert _troubles(report) == [
        (Trouble.JITTER, f"10.0.0.1:2000 to 10.0.0.2:4000: {mean:.1f} ms on average, {highest:.1f} at most")
    ]


def test_a_low_score_is_found():
    """At 15 % random loss the better score of G.711 is that of G.107 by hand, and is called low."""
    kept = [at for at in range(2_000) if at % 20 not in {3, 9, 15}]
    report = _report(_call(), GOOD, _rtp(">", kept))
    stream = _stream(report, A)
    assert stream.lost == 300
    assert stream.quality.mos_high == pytest.approx(_mos_by_hand(stream.lost_percent), abs=0.01)
    assert (Trouble.LOW_SCORE, f"10.0.0.1:2000 to 10.0.0.2:4000: at most {stream.quality.mos_high:.2f}") in _troubles(
        report
    )


def test_audio_that_comes_back_is_found():
    """Packets of one SSRC that return to their sender are a loop; two SSRCs are a conversation."""
    back = _rtp("<", range(500), ssrc=1, delay=lambda _: 5.0)
    assert _troubles(_report(_call(), _rtp(">", range(500)), back)) == [
        (Trouble.ECHO, "10.0.0.2:4000 sends the packets of 10.0.0.1:2000 back to 10.0.0.1:2000")
    ]
    assert _troubles(_report(_call(), _rtp(">", range(500)), GOOD)) == []


def test_a_stream_of_no_call_has_findings_too():
    """Loss in media without signalling is found, and belongs to no Call-ID."""
    (finding,) = _report(_rtp(">", range(0, 1_000, 2)), GOOD).findings
    assert (finding.trouble, finding.call_id) == (Trouble.LOSS, "")


def _fax(*, answered: bool = True, end_ms: float | None = 8_000) -> Sequence[Frame]:
    image = "m=audio 0 RTP/AVP 0\r\nm=image {} udptl t38"
    frames = [_sip(2_000, ">", "INVITE", "2 INVITE", _sdp(A, image.format(2_000)))]
    if answered:
        frames.append(_sip(2_200, "<", "200 OK", "2 INVITE", _sdp(B, image.format(4_000))))
        # The numbers begin at 0x8000: the first byte is that of RTP.
        frames += [
            _frame(2_300 + 30 * at, ">", (2_000, 4_000), struct.pack("!H", 0x8000 + at) + at.to_bytes(2) * 9)
            for at in range(100)
        ]
    if end_ms is not None:
        frames.append(_sip(end_ms - 100, ">", "INVITE", "3 INVITE", _audio(A)))
        frames.append(_sip(end_ms, "<", "200 OK", "3 INVITE", _audio(B)))
    return frames


def test_the_time_of_a_fax_is_no_loss():
    """RTP that pauses for T.38 while its numbers go on lost nothing; the phase is named, and its packets are no RTP."""
    talk = [*range(60), *range(360, 500)]
    report = _report(_call(), GOOD, _rtp(">", talk), _fax())
    assert len(report.streams) == 2
    stream = _stream(report, A)
    assert (stream.packets, stream.lost, stream.longest_pause_ms, stream.restarts) == (200, 0, 20.0, 0)
    assert _troubles(report) == [
        (Trouble.FAX, "T.38 from 2.2 s to 8.0 s, 100 packets; a pause of RTP in it is no loss")
    ]
    assert "T38" in render_ladder(report.ladders[0], (), 100)
    assert report.unread == ()


def test_a_fax_whose_payload_was_masked_is_counted():
    """Packets that masking cut to their headers belong to the phase all the same."""
    cut = [frame._replace(data=frame.data[:28]) if frame.data[20:22] == b"\x07\xd0" else frame for frame in _fax()]
    report = _report(_call(), GOOD, _rtp(">", range(60)), cut)
    assert "100 packets" in _troubles(report)[0][1]
    assert report.omitted == ()


def test_a_fax_without_an_end_lasts_as_long_as_the_capture():
    """A call that ends as a fax says so."""
    report = _report(_call(), GOOD, _rtp(">", range(60)), _fax(end_ms=None))
    assert (Trouble.FAX, "T.38 from 2.2 s to the end of the capture, 100 packets; a pause of RTP in it is no loss") in (
        _troubles(report)
    )


def test_a_fax_that_was_refused_excuses_no_loss():
    """A gap after an offer of T.38 that has no answer is loss."""
    talk = [*range(60), *range(360, 500)]
    report = _report(_call(), GOOD, _rtp(">", talk), _fax(answered=False, end_ms=None))
    assert _stream(report, A).lost == 300


def test_digits_are_said_as_events_and_never_shown():
    """Tables and ladder count the events of a stream."""
    events = [
        _frame(
            3_000 + 20 * at, ">", (2_000, 4_000),
            struct.pack("!2BHII", 0x80, 101, 100 + at, 16_000 + 800 * (at // 4), 1) + bytes([9, 10, 0, 160]),
        )
        for at in range(8)
    ]  # fmt: skip
    report = _report(_call(), GOOD, _rtp(">", range(100)), events, _rtp(">", range(108, 300)))
    assert "telephone-event  2" in render_report(report)
    assert "telephone-event, 2 events" in render_ladder(report.ladders[0], report.streams, 120)
    assert _troubles(report) == []


@pytest.mark.parametrize(("header", "shown"), [("Identity: x;info=y\r\n", "yes"), ("y: x\r\n", "yes"), ("", "no")])
def test_a_signed_identity_is_a_yes_or_a_no(header: str, shown: str):
    """The presence of STIR is told for each call, in its long and its compact form, and its value is not."""
    report = _report(_call(extra=header))
    head, row = render_report(report).partition("\nCalls\n")[2].splitlines()[:2]
    assert row[head.index("identity") :].split()[0] == shown
    assert (report.calls[0].identity, "info" in str(as_json(report))) == (shown == "yes", False)


VOICE = """VQSessionReport: CallTerm
CallID: 6dg37f1890463
LocalID: Alice <sip:alice@example.org>
LocalMetrics:
Timestamps:START=2024-10-10T18:23:43Z STOP=2024-10-01T18:26:02Z
JitterBuffer:JBA=3 JBR=2 JBN=40 JBM=80 JBX=120
PacketLoss:NLR=5.0 JDR=2.0
BurstGapLoss:BLD=0 BD=0 GLD=2.0 GD=500 GMIN=16
Delay:RTD=200 ESD=140 SOWD=200 IAJ=2 MAJ=10
QualityEst:RLQ=90 RCQ=85 EXTRI=90 MOSLQ=3.4 MOSCQ=12.7 QoEEstAlg=P.564
RemoteMetrics:
PacketLoss:NLR=0.5 JDR=x
QualityEst:MOSLQ=4.2
"""


def test_a_report_of_voice_quality_is_read_as_numbers():
    """RFC 6035: figures of both sides are read, invalid and unknown ones are left out, and names are not kept."""
    report = _report([_sip(0, ">", "PUBLISH", "1 PUBLISH", VOICE, kind="application/vq-rtcpxr")])
    near, far = report.voice_reports
    assert (near.call_id, near.side, str(near.reporter)) == ("6dg37f1890463", "local", "10.0.0.1:5060")
    assert (near.loss_percent, near.discarded_percent, near.round_trip_ms, near.jitter_ms) == (5.0, 2.0, 200.0, 2.0)
    assert (near.mos_lq, near.mos_cq) == (3.4, None)
    assert (far.side, far.loss_percent, far.discarded_percent, far.mos_lq) == ("remote", 0.5, None, 4.2)
    assert _troubles(report) == [(Trouble.REPORTED, "10.0.0.1:5060 (local): 5.0 % lost, MOS 3.40 (vq-rtcpxr)")]
    assert "Alice" not in str(report.voice_reports)
    assert "3.4" in render_report(report).partition("\nVoice quality reports\n")[2]


def test_what_is_no_report_of_voice_quality_gives_none():
    """Garbage, and figures in a line where they do not belong, are not read."""
    for body in (b"", b"\xff\xfe:" * 50, b"LocalMetrics:\nX:NLR=5\n", b"PacketLoss:NLR=-1 NLR=1.2.3 ANLR=4\n"):
        assert read_voice_reports(body, 0, Endpoint("10.0.0.1", 1)) == ()


def test_reports_of_a_receiver_are_shown_as_numbers():
    """Lost packets, fraction, jitter in ms and their number stand in a table, and loss behind the capture is found."""
    block = struct.pack("!7I", 2, 1, 128 << 24 | 40, 500, 240, 0, 0)
    rtcp = struct.pack("!2BH", 0x81, 201, 7) + block
    report = _report(_call(), GOOD, _rtp(">", range(500)), [_frame(9_000, "<", (4_001, 2_001), rtcp)])
    row = render_report(report).partition("\nRTCP receiver reports\n")[2].splitlines()[1]
    # 128/256 of the last interval, 240 units of 1/8000 s.
    assert row.split() == ["10.0.0.2:4000", "00000001", "1", "40", "50.0", "30.0", "-"]
    assert _troubles(report) == [(Trouble.REPORTED, "10.0.0.2:4000: 40 packets lost (RTCP), 0 before the capture")]


def test_a_timeline_has_the_figures_of_each_second():
    """Loss and score of each interval are those of its packets, and jitter is zero where packets are punctual."""
    kept = [number for number in range(200) if not (50 <= number < 100 and number % 10 == 5)]
    line = _stream(_report(_call(), _rtp(">", kept)), A).timeline
    # Fifty packets a second; five of the second fifty are lost.
    assert (line.interval_s, line.lost_percent) == (1, (0.0, 10.0, 0.0, 0.0))
    assert line.mos == (4.41, _mos_by_hand(10.0), 4.41, 4.41)
    assert line.jitter_ms == (0.0, 0.0, 0.0, 0.0)


def test_a_timeline_has_a_bounded_number_of_intervals():
    """An hour has as many intervals as a minute, and their sum is the whole."""
    intervals = Intervals(0)
    for number in range(3_600):
        intervals.add(number * 1_000 * MS, number + 1 + number // 100, 0.0)
    line = intervals.timeline("PCMU", None)
    assert (line.interval_s, len(line.lost_percent)) == (64, 57)
    assert len(line.lost_percent) <= MAX_INTERVALS
    assert line.jitter_ms == (None,) * 57
    intervals.add(10**30, 4_000, 0.0)
    assert len(intervals.timeline(None, None).mos) <= MAX_INTERVALS


def test_a_timeline_is_shown_in_the_terminal_and_in_the_picture():
    """Each stream has a row of blocks for loss, jitter and score that fits the width, and as many bars in the SVG."""
    kept = [number for number in range(200) if not (50 <= number < 100 and number % 2)]
    report = _report(_call(), GOOD, _rtp(">", [*kept, *range(300, 400)]))
    stream = _stream(report, A)
    text = render_timelines([stream], 80)
    rows = {line.split()[0]: line.split()[1] for line in text.splitlines() if line.startswith("  ")}
    assert (rows["loss"], rows["MOS"][1], len(rows["jitter"])) == ("▁█▁▁··█▁", "?", 8)
    assert max(map(len, text.splitlines())) <= 80
    assert max(map(len, render_timelines([stream], 40).splitlines())) <= 40
    plain, drawn = (ET.fromstring(draw_ladder(report.ladders[0], [stream], timeline=shown)) for shown in (False, True))
    bars = len(list(drawn.iter(SVG + "rect"))) - len(list(plain.iter(SVG + "rect")))
    assert bars == sum(value is not None for row in (stream.timeline.lost_percent, stream.timeline.jitter_ms,
                                                     stream.timeline.mos) for value in row)  # fmt: skip
    assert int(drawn.attrib["height"]) > int(plain.attrib["height"])
    assert render_timelines([]) == ""


def _shared(name: str) -> Report:
    with next(SHARED.glob(f"{name}_*")).open("rb") as file:
        return analyse(EvidenceFile(file))


@needs_shared
def test_captures_of_faults_are_told_as_they_are():
    """Six captures with one fault each: the fault is named, and what is no fault is not."""
    restarted, mirrored, proxy, lossy, late, tunnel = map(_shared, ("08", "09", "12", "13", "03", "15"))
    assert [(stream.timestamp_restarts, stream.quality.mos_high) for stream in restarted.streams] == [
        (1, 4.41),
        (0, 4.41),
    ]
    assert all(stream.jitter is not None and stream.jitter.max_ms < 0.01 for stream in restarted.streams)
    assert any("Packets captured twice: 606" in warning for warning in mirrored.warnings)
    assert (mirrored.findings, mirrored.sip_resent) == ((), 0)
    assert [(stream.packets, stream.duplicates) for stream in mirrored.streams] == [(300, 0), (300, 0)]
    assert proxy.calls[0].authentication.outcome is AuthOutcome.ACCEPTED
    assert _troubles(lossy) == [(Trouble.LOSS, "10.0.0.1:4000 to 10.0.0.2:5000: 149 of 449 packets lost (33.2 %)")]
    assert (late.sip_requests, late.omitted) == ((("INVITE", 1),), ())
    assert (len(tunnel.calls), tunnel.calls[0].talk_ms, tunnel.unread) == (1, 10_000.0, ())

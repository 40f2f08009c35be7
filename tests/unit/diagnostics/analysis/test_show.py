"""Reports, ladders and pictures: aligned, safe for terminals and browsers, honest about what was lost."""

import json
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from linewarden.diagnostics.analysis.arrows import Arrow, Ladder
from linewarden.diagnostics.analysis.engine import Analyser, analyse
from linewarden.diagnostics.analysis.ladder import render_ladder
from linewarden.diagnostics.analysis.model import Endpoint, Frame, InterfaceCount, Limits, SipTransport
from linewarden.diagnostics.analysis.picture import draw_ladder
from linewarden.diagnostics.analysis.report import Report, as_json
from linewarden.diagnostics.analysis.sdp import read_sdp, shorten
from linewarden.diagnostics.analysis.tables import render_report

SVG = "{http://www.w3.org/2000/svg}"


def _frame(at_ms: int, data: bytes, *, back: bool = False, ports: tuple[int, int] = (5060, 5062)) -> Frame:
    ends = [(bytes([10, 0, 0, 1]), ports[0]), (bytes([10, 0, 0, 2]), ports[1])][:: -1 if back else 1]
    udp = struct.pack("!4H", ends[0][1], ends[1][1], 8 + len(data), 0) + data
    ip = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ends[0][0] + ends[1][0] + udp
    return Frame(1_700_000_000_000_000_000 + at_ms * 1_000_000, 101, ip, len(ip))


def _sip(start: str, cseq: str, *, name: str = "a", body: str = "") -> bytes:
    kind = "Content-Type: application/sdp\r\n" if body else ""
    tags = "" if start.startswith("INVITE") else ";tag=2"
    head = f"{start}\r\nFrom: <sip:{name}@h>;tag=1\r\nTo: <sip:b@h>{tags}\r\nCall-ID: call\r\nCSeq: {cseq}\r\n{kind}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class _Source:
    """A small call with media, on an interface that says what it dropped."""

    def __init__(self, dropped: int | None = 0, name: str = "a") -> None:
        self.dropped = dropped
        self.name = name

    def __iter__(self) -> Iterator[Frame]:
        sdp = "v=0\r\nc=IN IP4 10.0.0.2\r\nm=audio 4000 RTP/AVP 0\r\n"
        yield _frame(0, _sip("INVITE sip:b@h SIP/2.0", "1 INVITE", name=self.name))
        yield _frame(500, _sip("INVITE sip:b@h SIP/2.0", "1 INVITE", name=self.name))
        yield _frame(1_000, _sip("SIP/2.0 200 OK", "1 INVITE", body=sdp), back=True)
        for number in range(150):
            rtp = struct.pack("!2BHII", 0x80, 0, number, 160 * number, 7) + bytes(160)
            whole = _frame(1_010 + 20 * number, rtp, ports=(3000, 4000))
            yield whole._replace(data=whole.data[:40])
        yield _frame(9_000, _sip("BYE sip:b@h SIP/2.0", "2 BYE"))

    def fault(self) -> str:
        return ""

    def interface_counts(self) -> Sequence[InterfaceCount]:
        return [InterfaceCount("eth0", 153, self.dropped)]


def _ladder(*arrows: tuple[int, int, str], left_out: int = 0) -> Ladder:
    ends = [Endpoint(f"10.0.0.{at}", 5060) for at in range(10)]
    made = (
        Arrow(at, ends[a], ends[b], text, SipTransport.UDP, resent=False, description=False, is_request=True)
        for at, (a, b, text) in enumerate(arrows)
    )
    return Ladder("call", tuple(made), left_out)


def test_a_masked_call_is_measured_whole():
    """With payloads cut as masking cuts them, call, stream and score are those of the unmasked call."""
    report = analyse(_Source())
    (call,), (stream,) = report.calls, report.streams
    assert (call.talk_ms, call.retransmissions, call.ended_by) == (8_000.0, 1, "caller")
    assert (stream.call_id, stream.packets, stream.lost, stream.payload_bytes) == ("call", 150, 0, 24_000)
    assert stream.quality.mos_high == pytest.approx(4.41)
    assert report.capture.cut == 150
    assert not report.warnings


def test_a_capture_that_lost_packets_says_so_first():
    """Drops stand in the first line of tables, ladder and picture and first in JSON, and no stream is rated."""
    report = analyse(_Source(dropped=12))
    assert render_report(report).startswith("! The capture lost 12 packets on eth0")
    (shown,) = report.ladders
    assert render_ladder(shown).startswith("! The capture lost 12 packets")
    assert "The capture lost 12 packets" in draw_ladder(shown)
    first = next(iter(as_json(report).items()))
    assert first[0] == "warnings"
    assert "lost 12 packets" in first[1][0]
    assert report.streams[0].quality.mos_low is None


def test_a_capture_that_does_not_count_its_losses_says_that():
    """Nothing known of drops is not the same as no drops."""
    assert analyse(_Source(dropped=None)).warnings == ("The capture does not say whether it lost packets.",)


def test_a_capture_of_headers_says_that_it_has_no_payload():
    """Where the profile kept no payload, the report does not look like one of a silent network."""
    analyser = Analyser(Limits())
    whole = _frame(0, _sip("INVITE sip:b@h SIP/2.0", "1 INVITE"))
    analyser.add(whole._replace(data=whole.data[:28]))
    report = analyser.finish([InterfaceCount("eth0", dropped=0)])
    assert report.warnings == ("Not used: 1 packets whose payload was cut away.",)


def test_json_has_every_figure():
    """The report survives JSON as it is, with names for every field."""
    report = analyse(_Source())
    document = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert document == as_json(report)
    assert document["streams"][0]["source"] == {"address": "10.0.0.1", "port": 3000}
    assert document["calls"][0]["state"] == "completed"
    assert document["ladders"][0]["arrows"][1]["resent"] is True


def test_a_wide_ladder_is_aligned():
    """In a wide terminal every lifeline stands in one column, and arrows end at it."""
    lines = render_ladder(
        _ladder((0, 1, "INVITE"), (1, 2, "INVITE"), (2, 0, "486 Busy Here"), (1, 1, "ACK")), width=120
    )
    head, first, second, third, loop = lines.splitlines()[2:]
    places = [at for at, char in enumerate(third) if char == "|"]
    assert len(places) == 2
    assert head.index("10.0.0.0") < places[0]
    assert first.index("|") == places[0]
    assert ">|" in first
    assert ">|" in second
    assert "|<" in third
    assert "| @ ACK" in loop


def test_a_narrow_ladder_names_its_ends():
    """Where columns do not fit, letters stand for addresses, and no line passes the width."""
    text = render_ladder(_ladder((0, 1, "INVITE"), (1, 2, "INVITE " + "x" * 300), left_out=3), width=40)
    assert "A = 10.0.0.0:5060" in text
    assert "A > B INVITE" in text
    assert text.startswith("! 3 more messages are not shown.")
    assert max(map(len, text.splitlines())) <= 40


def test_a_ladder_of_two_keeps_its_columns_on_a_narrow_terminal():
    """Long reasons are cut so that columns fit into 80 characters; that a message is a repetition is not cut away."""
    shown = _ladder((0, 1, "INVITE"), (1, 0, "100 trying -- your call is important to us"))
    again = replace(shown.arrows[1], resent=True, description=True)
    lines = render_ladder(replace(shown, arrows=(*shown.arrows, again)), width=80).splitlines()
    assert "A = " not in "".join(lines)
    assert "100 trying -- your call" in lines[4]
    assert "(SDP) (again)" in lines[5]
    assert max(map(len, lines)) <= 80


def test_a_ladder_says_what_was_described_and_what_flowed():
    """Below the arrows stand the sessions with their codecs and the media with their figures, in lines that fit."""
    report = analyse(_Source())
    (shown,), streams = report.ladders, report.streams
    wide, narrow = (render_ladder(shown, streams, width).splitlines() for width in (120, 60))
    assert "    1.000 10.0.0.2:5062 200 OK  audio PCMU, at 10.0.0.2:4000" in wide
    assert "    1.010 10.0.0.1:3000 > 10.0.0.2:4000  PCMU 150 packets, 0.0 % lost, jitter 0.0 ms" in wide
    at = narrow.index("    1.010 10.0.0.1:3000 > 10.0.0.2:4000")
    assert narrow[at + 1] == "            PCMU 150 packets, 0.0 % lost, jitter 0.0 ms"


def test_a_session_reads_as_one_line():
    """Port 0, directions other than both, and encryption are said; a codec under two numbers is named once."""
    described = (
        "v=0\r\nc=IN IP6 ::1\r\nm=audio 0 RTP/AVP 0 97\r\nm=video 4 RTP/SAVP 98 99\r\na=sendonly\r\n"
        "a=rtpmap:98 H264/90000\r\na=rtpmap:99 H264/90000\r\nm=application 6 UDP 0\r\n"
    )
    assert [str(session) for session in shorten(read_sdp(described.encode()))] == [
        "audio PCMU 97, port 0",
        "video H264, sendonly, SRTP, at [::1]:4",
    ]


def test_a_status_has_its_reason():
    """The table of calls says why a call was refused in the words of who refused it."""
    frames = [
        _frame(0, _sip("INVITE sip:b@h SIP/2.0", "1 INVITE")),
        _frame(9, _sip("SIP/2.0 480 Wrong moon", "1 INVITE"), back=True),
    ]
    analyser = Analyser(Limits())
    for frame in frames:
        analyser.add(frame)
    assert "480 Wrong moon" in render_report(analyser.finish([]))


def test_media_on_one_host_are_told_apart_by_their_ports():
    """In a picture of a call between two ports of one host, each bar names its ports."""
    report = analyse(_Source())
    here = Endpoint("10.0.0.0", 5060)
    streams = [
        replace(stream, source=here._replace(port=1), destination=here._replace(port=2)) for stream in report.streams
    ]
    texts = [
        element.text for element in ET.fromstring(draw_ladder(_ladder((0, 0, "INVITE")), streams)).iter(SVG + "text")
    ]
    assert "1 > 2 PCMU 3.0 s, 0.0 % lost, jitter 0.0 ms" in texts


EVIL = [
    "\x1b[2J\x1b]0;owned\x07",
    "\u202egnp.exe",
    "<script>alert(1)</script>",
    '"/><x y="',
    "\x00\x0b",
    "漢字",
    "a\u0301",
]


@pytest.mark.parametrize("evil", EVIL)
def test_captured_text_cannot_speak_to_terminal_or_browser(evil: str):
    """Escape sequences, direction overrides and markup from the wire are shown, never obeyed."""
    shown = _ladder((0, 1, evil), (1, 0, "200 " + evil))
    text = render_ladder(Ladder(evil, shown.arrows)) + render_report(analyse(_Source(name=evil.replace("\x00", "?"))))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "漢" not in text
    root = ET.fromstring(draw_ladder(Ladder(evil, shown.arrows)))
    assert {element.tag for element in root.iter()} <= {
        SVG + tag for tag in ("svg", "title", "rect", "text", "line", "polygon")
    }


def test_a_picture_has_columns_arrows_and_bars():
    """The picture shows each message as an arrow, repetitions dashed, and media as a bar between their hosts."""
    report = analyse(_Source())
    root = ET.fromstring(draw_ladder(report.ladders[0], report.streams))
    texts = [element.text or "" for element in root.iter(SVG + "text")]
    assert {"10.0.0.1", "port 5060", "port 5062", "INVITE", "200 OK (SDP)", "BYE"} <= set(texts)
    assert "PCMU 3.0 s, 0.0 % lost, jitter 0.0 ms" in texts
    assert "audio PCMU, at 10.0.0.2:4000" in [text.strip() for text in root.itertext()]
    # The point of each of four arrows, and that of the bar.
    assert len(list(root.iter(SVG + "polygon"))) == 5
    assert len([line for line in root.iter(SVG + "line") if line.get("stroke-dasharray")]) == 1
    assert len(list(root.iter(SVG + "g"))) == 1


def test_a_message_to_oneself_is_a_loop():
    """A host that sends to its own port is drawn as a loop, and nothing of the label is lost."""
    root = ET.fromstring(draw_ladder(_ladder((1, 1, "OPTIONS"))))
    assert len(list(root.iter(SVG + "path"))) == 1
    assert "OPTIONS" in [element.text for element in root.iter(SVG + "text")]


def test_media_between_other_hosts_have_columns_of_their_own():
    """A media server that speaks no SIP in the capture still stands in the picture."""
    report = analyse(_Source())
    shown = _ladder((8, 9, "INVITE"))
    root = ET.fromstring(draw_ladder(shown, report.streams))
    texts = [element.text for element in root.iter(SVG + "text")]
    assert {"10.0.0.8", "10.0.0.9", "10.0.0.1", "10.0.0.2", "port 3000", "port 4000"} <= set(texts)


def test_an_empty_capture_is_a_report_too():
    """No frames give a report, a table and JSON without calls."""
    report = Analyser(Limits()).finish([])
    assert isinstance(report, Report)
    assert report.calls == ()
    assert render_report(report).startswith("0 frames")
    assert render_ladder(Ladder("x", ()))
    ET.fromstring(draw_ladder(Ladder("x", ())))


def test_one_question_and_its_answer_fit_a_terminal():
    """What a probe leaves is read in 80 columns, its times in one of them; and one frame is one frame."""
    analyser = Analyser(Limits())
    analyser.add(_frame(0, _sip("OPTIONS sip:b@h SIP/2.0", "1 OPTIONS")))
    assert "\n1 frame, 0 of them cut" in render_report(analyser.finish([]))
    analyser = Analyser(Limits())
    analyser.add(_frame(0, _sip("OPTIONS sip:b@h SIP/2.0", "1 OPTIONS")))
    analyser.add(_frame(12, _sip("SIP/2.0 200 OK", "1 OPTIONS"), back=True))
    table = render_report(analyser.finish([])).partition("\nOPTIONS\n")[2].splitlines()[:2]
    assert table[0].split() == ["source", "destination", "sent", "answered", "resent", "rtt", "ms", "answers"]
    assert table[1].split()[-2:] == ["12.0/12.0/12.0", "200x1"]
    assert max(map(len, table)) <= 80

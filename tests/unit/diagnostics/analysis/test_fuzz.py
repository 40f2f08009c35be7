"""Input made to hurt, by grammar rather than by chance: nothing raises, and nothing takes more than its length."""

import random
import struct
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewarden.diagnostics.analysis.engine import Analyser
from linewarden.diagnostics.analysis.ladder import render_ladder
from linewarden.diagnostics.analysis.model import Datagram, Endpoint, Frame, Limits, Omission, SipTransport
from linewarden.diagnostics.analysis.picture import draw_ladder
from linewarden.diagnostics.analysis.report import Report, as_json
from linewarden.diagnostics.analysis.rtcp import ReceiverReports
from linewarden.diagnostics.analysis.rtp import WINDOW, SequenceOrder
from linewarden.diagnostics.analysis.sdp import find_sdp, read_sdp, shorten
from linewarden.diagnostics.analysis.sip import read_message
from linewarden.diagnostics.analysis.tables import render_report
from tests.deadlines import DATAGRAM_WORK_S, bounded_work

A, B = Endpoint("10.0.0.1", 5_060), Endpoint("10.0.0.2", 5_060)
HEAD = "INVITE sip:b@h SIP/2.0\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"
SDP_HEAD = HEAD + "Content-Type: application/sdp\r\n\r\nv=0\r\nm=audio 1 RTP/AVP 0\r\n"
#: The longest datagram, nearly.
LONGEST = 65_000
BOUNDED = settings(max_examples=200, deadline=None, derandomize=True)

_words = st.sampled_from(
    ["0", "8", "101", "99999", "-1", "٣", "audio", "RTP/SAVP", "IN", "IP4", "IP6", "::1", "1.2.3.4", "/"]
)
_names = st.sampled_from(["v", "c", "m", "a", "a=rtpmap:", "a=rtcp", "a=rtcp-mux", "a=sendonly", "a=inactive", "=", ""])
_sdp_lines = st.lists(st.tuples(_names, st.lists(_words, max_size=40)), max_size=60)
_headers = st.sampled_from(
    [
        "Via",
        "v",
        "From",
        "f",
        "To",
        "t",
        "Call-ID",
        "i",
        "CSeq",
        "Contact",
        "m",
        "Expires",
        "Content-Length",
        "l",
        "RSeq",
        "Event",
        "o",
        "Reason",
        "Subscription-State",
        "WWW-Authenticate",
        "Proxy-Authorization",
        "Content-Type",
        "",
        " ",
    ]
)
_values = st.text(alphabet='<>";,=: \t\r\n\\@٣ÿaB19%\x00', max_size=80)
_starts = st.sampled_from(
    [
        "INVITE sip:x SIP/2.0",
        "BYE x SIP/2.0",
        "REGISTER x SIP/2.0",
        "OPTIONS x SIP/2.0",
        "NOTIFY x SIP/2.0",
        "SIP/2.0 200 OK",
        "SIP/2.0 401",
        "SIP/2.0 180 ",
        "SIP/2.0 488 No",
        "SIP/2.0 000",
        "PRACK  x SIP/2.0",
    ]
)


def _datagram(data: bytes, kept: int | None = None) -> Datagram:
    return Datagram(0, A, B, data[:kept], len(data))


def _frame(at: int, data: bytes, ports: tuple[int, int] = (5_060, 5_060)) -> Frame:
    udp = struct.pack("!4H", *ports, 8 + len(data), 0) + data
    ip = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + udp
    return Frame(at * 1_000_000, 101, ip, len(ip))


def _show(frames: Iterator[Frame]) -> Report:
    analyser = Analyser(Limits(messages=200, streams=20, messages_per_ladder=20, sessions=5))
    for frame in frames:
        analyser.add(frame)
    report = analyser.finish([])
    render_report(report)
    as_json(report)
    for ladder in report.ladders:
        streams, findings = report.streams_of(ladder.call_id), report.hints_of(ladder.call_id)
        for width in (0, 40, 80, 200):
            lines = render_ladder(ladder, streams, width, findings).splitlines()
            assert max(map(len, lines)) <= max(32, width)
        draw_ladder(ladder, streams, findings)
    return report


@pytest.mark.slow
@BOUNDED
@given(_sdp_lines)
def test_descriptions_of_any_lines_are_read(lines: list[tuple[str, list[str]]]):
    """Any order of lines and words gives media sections within their bounds, and a short form of them."""
    body = "v=0\r\n" + "".join(f"{name}={' '.join(words)}\r\n" for name, words in lines)
    media = read_sdp(body.encode("utf-8", "surrogatepass"))
    assert len(media) <= 16
    assert all(0 <= each.port <= 65_535 and len(each.formats) <= 32 for each in media)
    for session in shorten(media):
        assert len(str(session)) < 600


@BOUNDED
@given(
    st.binary(max_size=200), st.sampled_from(["application/sdp", "multipart/mixed;boundary=x", "", ";", "multipart/"])
)
def test_bodies_of_any_bytes_are_read(body: bytes, kind: str):
    """Any body under any type gives a description or none."""
    read_sdp(find_sdp(body, kind))
    read_sdp(find_sdp(b"--x\r\n\r\nv=0\r\n" + body, kind))


@pytest.mark.slow
@BOUNDED
@given(_starts, st.lists(st.tuples(_headers, _values), max_size=20), _sdp_lines, st.integers(0, 2_000))
def test_messages_of_any_headers_are_read(
    start: str, headers: list[tuple[str, str]], lines: list[tuple[str, list[str]]], kept: int
):
    """Headers in any order, of any values, cut anywhere, give a message or none, and the report can be shown."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    body = "v=0\r\n" + "".join(f"{name}={' '.join(words)}\r\n" for name, words in lines)
    plain = f"{start}\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{fields}Content-Type: application/sdp\r\n\r\n{body}"
    data = plain.encode("utf-8", "replace")
    read_message(_datagram(data, kept), SipTransport.UDP)
    _show(iter([_frame(0, data), _frame(1, data[:kept])]))


@BOUNDED
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 65_535), st.integers(0, 2**32 - 1)), max_size=60))
def test_streams_of_any_headers_are_measured(packets: list[tuple[int, int, int]]):
    """Any payload types, numbers and timestamps on an announced address give figures that hold together."""
    offer = (SDP_HEAD + "c=IN IP4 10.0.0.2\r\n").encode().replace(b"audio 1", b"audio 6000")
    rtp = [struct.pack("!2BHII", 0x80, kind, number, stamp, 7) + bytes(9) for kind, number, stamp in packets]
    report = _show(iter([_frame(0, offer), *(_frame(at, data, (4_000, 6_000)) for at, data in enumerate(rtp, 1))]))
    for stream in report.streams:
        assert stream.expected == stream.packets - stream.duplicates + stream.lost
        assert 0 <= stream.lost_percent <= 100


@BOUNDED
@given(st.binary(min_size=8, max_size=200), st.integers(0, 300))
def test_control_packets_of_any_bytes_are_read(body: bytes, more: int):
    """Any bytes behind the type of a control packet give figures or are counted."""
    reports = ReceiverReports(omitted := Counter[Omission]())
    for kind in (200, 201, 207):
        data = bytes([0x80 | body[0] & 31, kind]) + body
        reports.add(Datagram(0, A, B, data, len(data) + more))
    assert omitted[Omission.RTCP_UNREADABLE] <= 3


def _missing(numbers: set[int]) -> tuple[int, int, int]:
    """Lost, bursts and the longest burst among all numbers from the first to the last."""
    runs: list[int] = []
    run = 0
    for number in range(min(numbers), max(numbers) + 1):
        if number not in numbers:
            run += 1
        elif run:
            runs.append(run)
            run = 0
    return sum(runs), len(runs), max(runs, default=0)


@BOUNDED
@given(
    st.integers(0, 65_535),
    st.lists(st.sampled_from([1, 1, 1, 2, 3, 40, 511, 512, 513, 2_999]), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
)
def test_losses_are_those_of_a_naive_count(first: int, steps: list[int], chance: random.Random):
    """Over wraps, jumps and swaps, lost packets and their bursts are what a list of all numbers gives."""
    numbers = [first]
    for step in steps:
        numbers.append(numbers[-1] + step)
    for at in range(1, len(numbers) - 1):
        # Whoever is overtaken must still be within the window, or is no late packet.
        if numbers[at + 1] - min(numbers[at - 1 : at + 1]) < WINDOW and chance.random() < 0.2:
            numbers[at], numbers[at + 1] = numbers[at + 1], numbers[at]
    order = SequenceOrder(numbers[0])
    for number in numbers[1:]:
        order.add(number & 0xFFFF)
    order.close()
    assert (order.lost, order.bursts, order.longest_burst) == _missing(set(numbers))
    assert order.received == len(numbers)


HOSTILE = {
    "parameters": HEAD + "Via: " + "a=" * LONGEST,
    "no parameter": HEAD + "Via: " + "-" * LONGEST,
    "quotes": HEAD + "Via: " + 'a="' * LONGEST,
    "blanks": HEAD + "Via: a" + " " * LONGEST,
    "brackets": HEAD + 'From: "' + '"<' * LONGEST,
    "folds": HEAD + "Via: x\r\n" + " x\r\n" * LONGEST,
    "lines": HEAD + "A: b\r\n" * LONGEST,
    "carriage returns": HEAD + "\r" * LONGEST,
    "uri": "INVITE " + "x" * LONGEST + " SIP/2.0\r\n",
    "formats": SDP_HEAD + "m=audio 1 RTP/AVP " + "0 " * LONGEST,
    "sections": SDP_HEAD + "m=a 1 X 0\r\n" * LONGEST,
    "codecs": SDP_HEAD + "a=rtpmap:1 x/8000\r\n" * LONGEST,
    "addresses": SDP_HEAD + "c=IN IP6 1::%aaaaaaaa\r\n" * LONGEST,
    "parts": HEAD + "Content-Type: multipart/x\r\n\r\n" + "\r\n\r\nv=" * LONGEST,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_longest_datagram_is_read_at_once(text: str):
    """No header, no description costs more than bounded work, however often one thing is repeated in it."""
    data = text.encode()[:LONGEST]
    with bounded_work(DATAGRAM_WORK_S):
        read_message(_datagram(data), SipTransport.UDP)


def test_jumps_in_sequence_cost_no_more_than_packets():
    """Packets that each pretend three thousand lost before them are counted as fast as others."""
    order = SequenceOrder(0)
    with bounded_work():
        for number in range(1, 100_001):
            order.add(number * 3_000 & 0xFFFF)
        order.close()
    assert order.lost == 100_000 * 2_999


def test_descriptions_over_the_limit_are_counted():
    """What messages describe is kept for the first of them only; the others stay in the ladder without it."""
    report = _show(_frame(at, (SDP_HEAD + f"a=x:{at}\r\n").encode()) for at in range(8))
    (ladder,) = report.ladders
    assert [bool(arrow.sessions) for arrow in ladder.arrows] == [True] * 5 + [False] * 3
    assert dict(report.omitted)[Omission.SESSION_OVER_LIMIT] == 3

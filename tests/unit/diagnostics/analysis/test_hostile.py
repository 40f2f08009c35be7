"""Malice and chance against the whole analysis: bounded time, bounded memory, everything left out is counted."""

import random
import struct
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewarden.diagnostics.analysis.engine import Analyser
from linewarden.diagnostics.analysis.ladder import render_ladder
from linewarden.diagnostics.analysis.model import Frame, Limits, Omission
from linewarden.diagnostics.analysis.picture import draw_ladder
from linewarden.diagnostics.analysis.report import Report, as_json
from linewarden.diagnostics.analysis.tables import render_report
from tests.deadlines import WORK_S, bounded_work

SMALL = Limits(messages=500, dialogs=50, messages_per_ladder=20, streams=20, candidates=20, announcements=50)
HEAD = "INVITE sip:b@h SIP/2.0\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCSeq: 1 INVITE\r\n"
SDP = "Content-Type: application/sdp\r\n\r\nv=0\r\nc=IN IP4 10.0.0.2\r\nm=audio {} RTP/AVP 0 101\r\n"


def _frame(at: int, data: bytes, *, port: int = 5060, kept: int | None = None) -> Frame:
    udp = struct.pack("!4H", 5060, port, 8 + len(data), 0) + data
    ip = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + udp
    return Frame(at * 1_000_000, 101, ip[:kept], len(ip))


def _run(frames: Iterator[Frame], limits: Limits = SMALL) -> Report:
    analyser = Analyser(limits)
    for each in frames:
        analyser.add(each)
    return analyser.finish([])


def _show(report: Report) -> None:
    render_report(report)
    as_json(report)
    for ladder in report.ladders[:20]:
        render_ladder(ladder, report.streams_of(ladder.call_id))
        draw_ladder(ladder, report.streams_of(ladder.call_id))


@pytest.mark.slow
def test_a_hundred_thousand_calls_hold_bounded_memory():
    """Call-IDs without end are counted, not kept: memory stays where the limits put it."""

    def flood(count: int) -> Iterator[Frame]:
        for at in range(count):
            yield _frame(at, (HEAD + f"Call-ID: {at}\r\n" + SDP.format(at % 60_000 + 1)).encode())

    tracemalloc.start()
    _run(flood(1_000))
    _, small = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    tracemalloc.start()
    report = _run(flood(5_000))
    _, large = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert large < 1.5 * small
    counted = dict(report.omitted)
    assert len(report.calls) == 50
    assert counted[Omission.SIP_OVER_LIMIT] == 4_500
    assert counted[Omission.DIALOG_OVER_LIMIT] == 450
    with bounded_work(6 * WORK_S):
        full = _run(flood(100_000))
    assert dict(full.omitted)[Omission.SIP_OVER_LIMIT] == 99_500


def test_a_long_dialog_is_shortened_in_its_ladder():
    """Ten thousand messages in one call leave a ladder of the limit, and the rest as a number."""
    report = _run(_frame(at, (HEAD + f"Call-ID: x\r\nX: {at}\r\n\r\n").encode()) for at in range(10_000))
    (ladder,) = report.ladders
    assert (len(ladder.arrows), ladder.left_out) == (20, 480)
    assert "480 more messages" in render_ladder(ladder)


def _seeds() -> list[bytes]:
    rtp = struct.pack("!2BHII", 0x80, 0, 1, 160, 7) + bytes(20)
    rtcp = struct.pack("!2BH7I", 0x81, 201, 7, 1, 7, 0, 0, 0, 0, 0)
    tcp = struct.pack("!2H2I2B3H", 5060, 5061, 1, 0, 5 << 4, 0x18, 0, 0, 0)
    sip = (HEAD + "Call-ID: x\r\n" + SDP.format(4_000)).encode()
    datagrams = [_frame(0, sip).data, _frame(0, rtp, port=4_000).data, _frame(0, rtcp, port=4_001).data]
    stream = bytearray(_frame(0, b"").data[:20]) + tcp + sip
    stream[2:4], stream[9] = len(stream).to_bytes(2), 6
    ipv6 = struct.pack("!IHBB", 6 << 28, 16 + len(sip), 44, 9) + bytes(32) + bytes([17, 0, 0, 1, 0, 0, 0, 9])
    return [*datagrams, bytes(stream), ipv6 + struct.pack("!4H", 1, 2, 8 + len(sip), 0) + sip]


def test_mutated_frames_never_raise():
    """Bits flipped, bytes cut, doubled and moved in SIP, SDP, RTP, RTCP, TCP and fragments harm nothing."""
    chance, pool = random.Random(1), _seeds()
    for _round in range(60):
        frames = []
        for at in range(100):
            data = bytearray(chance.choice(pool))
            for _ in range(chance.randrange(6)):
                place = chance.randrange(len(data))
                match chance.randrange(4):
                    case 0:
                        data[place] ^= 1 << chance.randrange(8)
                    case 1:
                        del data[place : place + chance.randrange(8)]
                    case 2:
                        data[place:place] = data[place : place + chance.randrange(64)]
                    case _:
                        data[place] = chance.choice(b'\x00\xff\r\n ";:<>=,0')
                if not data:
                    break
            kept = bytes(data[: chance.choice([len(data), chance.randrange(len(data) + 1)])])
            frames.append(Frame(at, chance.choice([101, 101, 101, 0, 1, 113, 276]), kept, len(data)))
        _show(_run(iter(frames)))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 101, 113, 276, 9]), st.binary(max_size=120)), max_size=8))
def test_arbitrary_bytes_never_raise(frames: list[tuple[int, bytes]]):
    """Frames of any bytes on any kind of link give a report."""
    _show(_run(Frame(at, link, data, len(data)) for at, (link, data) in enumerate(frames)))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(0, 300))
def test_arbitrary_header_lines_never_raise(lines: list[bytes], kept: int):
    """Any bytes in the place of header lines give a message or none."""
    data = b"OPTIONS sip:x SIP/2.0\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n" + b"\r\n".join(lines) + b"\r\n\r\n"
    _show(_run(iter([_frame(0, data), _frame(1, data, kept=28 + kept)])))


def test_times_that_no_calendar_has_are_shown():
    """A clock far outside every calendar costs no report."""
    sip = (HEAD + "Call-ID: x\r\n\r\n").encode()
    for time_ns in (-(10**30), 10**30, 0):
        _show(_run(iter([_frame(0, sip)._replace(time_ns=time_ns)])))

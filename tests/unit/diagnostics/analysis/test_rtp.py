"""RTP streams measured: order, loss, wrap, restart, jitter, silence, events, control reports, scores."""

import random
import struct
from collections import Counter
from itertools import pairwise

import pytest

from linewarden.diagnostics.analysis.jitter import Jitter
from linewarden.diagnostics.analysis.media import Announcements
from linewarden.diagnostics.analysis.model import Datagram, Endpoint, Limits, Omission, SipTransport
from linewarden.diagnostics.analysis.quality import Loss, opinion_score, rate
from linewarden.diagnostics.analysis.rtp import SequenceOrder, read_rtp
from linewarden.diagnostics.analysis.sip import read_message
from linewarden.diagnostics.analysis.stream_report import StreamReport
from linewarden.diagnostics.analysis.streams import RtpStreams

A, B = Endpoint("10.0.0.1", 4000), Endpoint("10.0.0.2", 4002)
MS = 1_000_000


def _rtp(
    sequence: int, *, at_ms: float | None = None, timestamp: int | None = None, kind: int = 0, marker: bool = False
) -> Datagram:
    """A packet of 160 samples every 20 ms whose payload was cut, as masking leaves it."""
    stamp = sequence * 160 if timestamp is None else timestamp
    data = struct.pack("!2BHII", 0x80, kind | marker << 7, sequence & 0xFFFF, stamp & 0xFFFFFFFF, 0xABCD)
    time_ns = int((sequence * 20 if at_ms is None else at_ms) * MS)
    return Datagram(time_ns, A, B, data, 12 + 160)


def _measure(
    packets: list[Datagram], sdp: str = "", limits: Limits | None = None, *, late_sdp: str = ""
) -> tuple[tuple[StreamReport, ...], Counter[Omission]]:
    omitted: Counter[Omission] = Counter()
    limits = limits or Limits()
    announcements = Announcements(limits.announcements, omitted)
    streams = RtpStreams(limits, announcements, omitted)
    _announce(announcements, sdp)
    for packet in packets:
        streams.add(packet)
    _announce(announcements, late_sdp)
    return streams.reports(capture_lost=False), omitted


def _announce(announcements: Announcements, lines: str) -> None:
    if lines:
        body = f"v=0\r\nc=IN IP4 {B.address}\r\nm=audio {B.port} {lines}\r\n".encode()
        head = b"INVITE sip:b SIP/2.0\r\nCall-ID: call\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\r\n"
        message = read_message(Datagram(0, A, B, head + body, len(head + body)), SipTransport.UDP)
        assert message is not None
        announcements.learn(message)


def _only(packets: list[Datagram], sdp: str = "", *, late_sdp: str = "") -> StreamReport:
    (stream,), _ = _measure(packets, sdp, late_sdp=late_sdp)
    return stream


def _order_of(sequences: list[int]) -> SequenceOrder:
    order = SequenceOrder(sequences[0] & 0xFFFF)
    for sequence in sequences[1:]:
        order.add(sequence & 0xFFFF)
    order.close()
    return order


@pytest.mark.slow
def test_loss_agrees_with_a_naive_count():
    """For random loss, repetition and disorder over two wraps, every figure is that of counting by hand."""
    chance = random.Random(11)
    for _ in range(30):
        first = chance.randrange(65_536)
        sent = range(first, first + 3_000 + chance.randrange(2) * 130_000, 1)
        kept = [number for number in sent if chance.random() > 0.05 or number in {sent[0], sent[-1]}]
        lost = len(sent) - len(kept)
        arrived = sorted(
            (number for number in kept for _ in range(1 + (chance.random() < 0.02))),
            key=lambda number: number + (chance.random() * 20 if first < number < sent[-1] - 20 else 0),
        )
        order = _order_of(arrived)
        assert (order.received, order.lost, order.duplicates) == (len(kept), lost, len(arrived) - len(kept))
        assert not order.strays


def test_bursts_are_runs_of_lost_packets():
    """Three lost in a row and one alone are two bursts, the longest of three."""
    order = _order_of([1, 2, 6, 7, 9, 10])
    assert (order.lost, order.bursts, order.longest_burst) == (4, 2, 3)


def test_a_late_packet_was_not_lost():
    """A packet that comes after its successors counts as out of order, and a second time as a duplicate."""
    order = _order_of([10, 12, 13, 11, 11, 9, 7])
    assert (order.received, order.late, order.duplicates, order.lost) == (6, 3, 1, 1)


def test_a_restart_is_no_loss():
    """A sender that jumps to a new number begins anew (RFC 3550 appendix A.1); one stray packet is only a stray."""
    restarted = _order_of([1, 2, 3, 30_000, 30_001, 30_002])
    assert (restarted.received, restarted.lost, restarted.restarts, restarted.strays) == (6, 0, 1, 0)
    stray = _order_of([1, 2, 3, 30_000, 4, 5])
    assert (stray.received, stray.lost, stray.restarts, stray.strays) == (5, 0, 0, 1)


def test_jitter_follows_the_formula_of_the_rfc():
    """The estimate is J += (|D| - J) / 16, and survives the wrap of the timestamp."""
    jitter, expected = Jitter(8_000), 0.0
    delays = [0.0, 3.0, -1.0, 0.5, 12.0, 0.0]
    for at, delay in enumerate(delays):
        jitter.add(int((at * 20 + delay) * MS), ((1 << 32) - 320 + 160 * at) & 0xFFFFFFFF)
        if at:
            expected += (abs(delay - delays[at - 1]) * 8 - expected) / 16
    assert jitter.current == pytest.approx(expected)
    assert jitter.milliseconds(8.0) == 1.0


def _jitter_by_hand(packets: list[tuple[float, int]], clock: int = 8_000) -> tuple[float, float]:
    """Mean and highest estimate in ms by RFC 3550 appendix A.8, over arrivals in ms and timestamps of one clock."""
    estimate, estimates = 0.0, list[float]()
    for (before_ms, before), (at_ms, stamp) in pairwise(packets):
        transit = (at_ms - before_ms) * clock / 1_000 - (stamp - before)
        estimate += (abs(transit) - estimate) / 16
        estimates.append(estimate * 1_000 / clock)
    return sum(estimates) / len(estimates), max(estimates)


@pytest.mark.parametrize("jump", [-90_000, 350_000, 1 << 31], ids=["back", "ahead", "half the range"])
def test_a_timestamp_that_begins_anew_is_no_jitter(jump: int):
    """Jitter is that of the parts before and after the restart, which is counted and is no silence."""
    delays = [0.0, 4.0, -2.0, 1.0]
    arrivals = [number * 20 + delays[number % 4] for number in range(200)]
    stamps = [1_000_000 + number * 160 + jump * (number >= 100) for number in range(200)]
    packets = [_rtp(at, at_ms=arrivals[at], timestamp=stamps[at]) for at in range(200)]
    stream = _only(packets)
    halves = [list(zip(arrivals, stamps, strict=True))[part] for part in (slice(100), slice(100, None))]
    means, peaks = zip(*map(_jitter_by_hand, halves), strict=True)
    assert stream.jitter is not None
    assert stream.jitter.mean_ms == pytest.approx(sum(means) / 2, abs=0.001)
    assert stream.jitter.max_ms == pytest.approx(max(peaks), abs=0.001)
    assert (stream.timestamp_restarts, stream.restarts, stream.lost, stream.silences) == (1, 0, 0, 0)


def test_a_packet_that_only_came_late_is_jitter():
    """A wait of two seconds whose timestamps went on is in the estimate, and no restart."""
    arrivals = [number * 20 + 2_000 * (number >= 50) for number in range(100)]
    stream = _only([_rtp(at, at_ms=arrivals[at]) for at in range(100)])
    _, highest = _jitter_by_hand([(at_ms, number * 160) for number, at_ms in enumerate(arrivals)])
    assert stream.jitter is not None
    assert stream.jitter.max_ms == pytest.approx(highest, abs=0.001)
    assert stream.timestamp_restarts == 0


def test_a_clean_stream_is_found_without_a_description():
    """A static payload type gives codec, frame, talk time and jitter of a stream that no call announced."""
    stream = _only([_rtp(number) for number in range(65_500, 65_700)])
    assert (stream.codec, stream.clock, stream.announced, stream.call_id) == ("PCMU", 8_000, False, "")
    assert (stream.packets, stream.expected, stream.lost, stream.payload_bytes) == (200, 200, 0, 32_000)
    assert (stream.frame_ms, stream.talk_ms, stream.silences) == (20.0, 4_000.0, 0)
    assert stream.jitter is not None
    assert stream.jitter.max_ms == pytest.approx(0, abs=0.001)


def test_a_described_stream_belongs_to_its_call():
    """The receiver's description names codec and call of the first packet on, and tells of encryption."""
    stream = _only([_rtp(1, kind=96)], "RTP/SAVP 96\r\na=rtpmap:96 opus/48000/2")
    assert (stream.codec, stream.clock, stream.call_id) == ("OPUS", 48_000, "call")
    assert stream.announced
    assert stream.encrypted


def test_media_before_its_description_is_measured_all_the_same():
    """Early packets wait for the clock rate, and their jitter is that of a stream described in time."""
    packets = [_rtp(number, kind=97, at_ms=number * 20 + number % 3) for number in range(50)]
    sdp = "RTP/AVP 97\r\na=rtpmap:97 iLBC/8000"
    assert _only(packets, late_sdp=sdp).jitter == _only(packets, sdp).jitter
    assert _only(packets, late_sdp=sdp).call_id == "call"


def test_without_a_clock_there_is_no_jitter():
    """A dynamic type that nothing describes has packets and losses, and a reason in place of figures in ms."""
    stream = _only([_rtp(number, kind=110) for number in range(20) if number != 9])
    assert (stream.packets, stream.lost, stream.codec, stream.jitter) == (19, 1, None, None)
    assert stream.jitter_reason == "the clock rate is not known"
    assert (stream.frame_ms, stream.talk_ms, stream.silent_ms) == (None, None, None)
    assert stream.quality.reason == "the codec is not known"


def test_a_description_that_comes_too_late_gives_no_jitter():
    """Of a stream whose first packets could not be kept waiting, jitter is not told of the rest alone."""
    stream = _only([_rtp(number, kind=97) for number in range(300)], late_sdp="RTP/AVP 97\r\na=rtpmap:97 iLBC/8000")
    assert (stream.codec, stream.frame_ms, stream.jitter) == ("ILBC", 20.0, None)
    assert stream.jitter_reason == "the clock rate was announced too late or never"


def test_a_clock_that_changes_ends_the_jitter():
    """Two clocks in one stream have no common unit, and the report says so."""
    stream = _only([_rtp(number, kind=0 if number < 10 else 6) for number in range(30)])
    assert (stream.payload_types, stream.jitter) == (((0, 10), (6, 20)), None)
    assert stream.jitter_reason == "the clock rate changed"


def test_silence_is_told_from_loss():
    """A step in the timestamps without a step in the numbers is a pause (DTX), comfort noise is no speech."""
    speech = [_rtp(number, marker=number == 0) for number in range(10)]
    noise = _rtp(10, kind=13)
    later = [_rtp(11 + at, timestamp=(60 + at) * 160, at_ms=(60 + at) * 20, marker=at == 0) for at in range(10)]
    stream = _only([*speech, noise, *later])
    assert (stream.lost, stream.comfort_noise, stream.markers) == (0, 1, 2)
    assert stream.talk_ms == 400
    pause = [_rtp(10 + at, timestamp=(60 + at) * 160, at_ms=(60 + at) * 20) for at in range(10)]
    stream = _only([*speech, *pause])
    assert (stream.silences, stream.silent_ms, stream.longest_pause_ms) == (1, 1_000.0, 1_020.0)


def test_digits_are_counted_and_not_told():
    """Events are counted by their timestamps; they change neither jitter nor talk time, and no digit is shown."""
    speech = [_rtp(number) for number in range(10)]
    events = [_rtp(10 + at, kind=101, timestamp=1_600 + 800 * (at // 5)) for at in range(10)]
    after = [_rtp(number) for number in range(20, 30)]
    stream = _only([*speech, *events, *after], "RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000")
    assert (stream.events, stream.event_packets, stream.talk_ms, stream.lost) == (2, 10, 400.0, 0)
    assert stream.jitter is not None
    assert stream.jitter.max_ms == pytest.approx(0, abs=0.001)


def test_chance_resemblance_is_no_stream():
    """Packets that follow no sequence, text and other protocols make no stream, and are counted."""
    chance = random.Random(3)
    noise = [_rtp(0)._replace(data=bytes([0x80, 0]) + chance.randbytes(10)) for _ in range(500)]
    others = [_rtp(1)._replace(data=data) for data in (b"\x16\xfe\xfd" + bytes(30), b"", b"\x80")]
    streams, omitted = _measure([*noise, *others])
    assert not streams
    assert omitted == {Omission.RTP_UNPROVEN: 500}
    refusing = RtpStreams(Limits(), Announcements(1, Counter()), Counter())
    assert not any(refusing.add(each) for each in others)
    assert refusing.add(noise[0])


def test_streams_and_candidates_are_bounded():
    """A flood of SSRCs holds no more than the limits, and every packet left out is counted."""
    limits = Limits(streams=3, candidates=5)
    flood = [_rtp(1)._replace(source=Endpoint("10.9.9.9", port)) for port in range(100)]
    streams, omitted = _measure(flood, limits=limits)
    assert not streams
    assert omitted == {Omission.RTP_UNPROVEN: 100}
    streams, omitted = _measure(flood, "RTP/AVP 0", limits)
    assert len(streams) == 3
    assert omitted == {Omission.RTP_OVER_LIMIT: 97}


def _report(ssrc: int, *, lost: int, last: int = 0, delay: int = 0) -> bytes:
    body = struct.pack("!7I", 0xFEED, ssrc, 64 << 24 | lost & 0xFFFFFF, 0, 80, last, delay)
    return struct.pack("!2BH", 0x81, 201, len(body) // 4) + body


def test_a_receivers_report_stands_beside_its_stream():
    """The last receiver report gives loss, jitter and, with the sender's report, the way there and back."""
    sender = struct.pack("!2BHI", 0x80, 200, 6, 0xABCD) + struct.pack("!5I", 0x1234, 0x5678_0000, 0, 9, 9)
    # The middle of the NTP time is the second half of its seconds and the first half of its fraction.
    packets = [
        *(_rtp(number) for number in range(5)),
        Datagram(1_000 * MS, A, B, sender, len(sender)),
    ]
    answer = _report(0xABCD, lost=-2, last=0x1234_5678, delay=65_536 // 10)
    packets.append(Datagram(1_150 * MS, B._replace(port=4003), A, answer, len(answer)))
    stream = _only(packets)
    assert stream.receiver is not None
    assert (stream.receiver.reports, stream.receiver.lost, stream.receiver.jitter) == (1, -2, 80)
    assert stream.receiver.fraction_lost == 0.25
    assert stream.receiver.round_trip_ms == pytest.approx(50, abs=0.1)


def test_a_report_that_masking_cut_is_read():
    """Of a compound packet whose tail was cut away exactly behind the report, the report counts."""
    kept = _report(0xABCD, lost=7)
    packets = [*(_rtp(number) for number in range(5)), Datagram(0, B, A, kept, len(kept) + 40)]
    stream = _only(packets)
    assert stream.receiver is not None
    assert stream.receiver.lost == 7


@pytest.mark.parametrize("spoil", ["cut", "encrypted", "overlong"])
def test_a_report_that_does_not_hold_together_is_not_read(spoil: str):
    """Cut, encrypted and malformed control packets are counted, and no figure is taken from them."""
    good = _report(0xABCD, lost=5)
    data, length = {
        "cut": (good[:8], len(good)),
        "encrypted": (good + bytes(14), len(good) + 14),
        "overlong": (good[:2] + b"\xff\xff" + good[4:], len(good)),
    }[spoil]
    packets = [*(_rtp(number) for number in range(5)), Datagram(0, B, A, data, length)]
    (stream,), omitted = _measure(packets)
    assert stream.receiver is None
    assert omitted == {Omission.RTCP_UNREADABLE: 1}


@pytest.mark.parametrize(
    ("codec", "loss", "low", "high"),
    [
        ("PCMA", Loss(1_000, 0, 0), 4.41, 4.41),
        ("PCMU", Loss(1_000, 10, 10), 3.83, 4.33),
        ("G729", Loss(1_000, 0, 0), 4.1, 4.14),
        ("G729", Loss(1_000, 50, 50), 3.34, 3.34),
        ("G729", Loss(1_000, 160, 160), 2.25, 2.25),
        ("GSM-EFR", Loss(1_000, 0, 0), 4.29, 4.29),
        ("GSM", Loss(1_000, 0, 0), 3.74, 3.74),
        ("G726-40", Loss(1_000, 0, 0), 4.37, 4.37),
        ("AAL2-G726-32", Loss(1_000, 0, 0), 4.24, 4.24),
        ("G726-24", Loss(1_000, 0, 0), 3.51, 3.51),
        ("G726-16", Loss(1_000, 0, 0), 2.22, 2.22),
    ],
)
def test_scores_are_those_of_the_model(codec: str, loss: Loss, low: float, high: float):
    """With planning values of G.113 Appendix I the score is what G.107 computes for loss alone."""
    quality = rate(codec, loss)
    assert quality.mos_low == pytest.approx(low, abs=0.005)
    assert quality.mos_high == pytest.approx(high, abs=0.005)
    assert quality.basis
    assert not quality.reason


@pytest.mark.parametrize(
    ("codec", "loss", "reason"),
    [
        ("OPUS", Loss(1_000, 0, 0), "no planning values for OPUS"),
        ("G722", Loss(1_000, 0, 0), "no planning values for G722"),
        ("AMR", Loss(1_000, 0, 0), "no planning values for AMR"),
        ("ILBC", Loss(1_000, 0, 0), "no planning values for ILBC"),
        ("G726-32", Loss(1_000, 1, 1), "no Bpl is published for G726-32"),
        ("PCMU", Loss(1_000, 201, 201), "more is lost than the E-model covers"),
        ("GSM", Loss(1_000, 1, 1), "no Bpl is published for GSM"),
        ("PCMU", Loss(99, 0, 0), "fewer than 100 packets"),
        ("PCMU", Loss(1_000, 30, 2), "burstier"),
        (None, Loss(1_000, 0, 0), "not known"),
    ],
)
def test_without_a_published_basis_there_is_no_score(codec: str | None, loss: Loss, reason: str):
    """A codec, a loss or a length that the model does not cover gives a reason and no number."""
    quality = rate(codec, loss)
    assert (quality.mos_low, quality.mos_high) == (None, None)
    assert reason in quality.reason


def test_a_capture_that_lost_packets_rates_no_stream():
    """Loss that may be the capture's own is not held against the network."""
    assert "capture lost packets" in rate("PCMU", Loss(1_000, 5, 5), capture_lost=True).reason


def test_the_two_rates_of_g7231_are_told_apart():
    """Frames of 24 bytes have another impairment than frames of 20."""
    fast, slow = rate("G723", Loss(500, 0, 0), 24), rate("G723", Loss(500, 0, 0), 20)
    assert fast.mos_low is not None
    assert slow.mos_low is not None
    assert fast.mos_low > slow.mos_low


def test_the_score_never_leaves_its_scale():
    """From the worst rating to the best, scores run from 1 to 4.5 and never fall as the rating rises."""
    scores = [opinion_score(rating / 10) for rating in range(-100, 1_200)]
    assert (scores[0], scores[-1]) == (1.0, 4.5)
    assert scores == sorted(scores)


def test_a_header_with_more_sources_than_bytes_is_refused():
    """A contributing-source count that passes the end of the datagram is no RTP."""
    assert read_rtp(bytes([0x8F]) + bytes(11), 30) is None
    assert read_rtp(bytes([0x8F]) + bytes(11), 72) is not None

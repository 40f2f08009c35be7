"""SIP over TCP: messages cut anywhere, several in a segment, out of order, lost, masked, hostile."""

import random
from collections import Counter

import pytest

from linewarden.diagnostics.analysis.model import Endpoint, Omission
from linewarden.diagnostics.analysis.network import Segment
from linewarden.diagnostics.analysis.tcp import SipStreams
from tests.deadlines import bounded_work

A, B = Endpoint("10.0.0.1", 40_000), Endpoint("10.0.0.2", 5060)
START = (1 << 32) - 50  # The sequence number wraps within the first message.


def _message(number: int, body: bytes = b"") -> bytes:
    head = f"MESSAGE sip:b SIP/2.0\r\nCall-ID: c{number}\r\nCSeq: {number} MESSAGE\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


MESSAGES = [_message(1), _message(2, b"one\r\n\r\ntwo"), _message(3), _message(4, b"x" * 3_000)]


def _segment(at: int, data: bytes, original: int | None = None) -> Segment:
    length = len(data) if original is None else original
    return Segment(A, B, (START + at) % (1 << 32), opens=False, ends=False, data=data, original_length=length)


def _cut(data: bytes, size: int) -> list[Segment]:
    return [_segment(at, data[at : at + size]) for at in range(0, len(data), size)]


def _read(segments: list[Segment]) -> tuple[list[bytes], Counter[Omission]]:
    omitted: Counter[Omission] = Counter()
    streams = SipStreams(8, omitted)
    found = [datagram for at, each in enumerate(segments) for datagram in streams.add(each, at)]
    return [datagram.data for datagram in [*found, *streams.rest()]], omitted


@pytest.mark.parametrize("size", [40, 41, 100, 1_460, 10_000])
def test_messages_do_not_depend_on_segments(size: int):
    """Wherever TCP cuts the stream, the messages are those that were sent, keep-alives between them gone."""
    found, omitted = _read(_cut(b"\r\n\r\n".join(MESSAGES), size))
    assert found == MESSAGES
    assert not omitted


def test_disorder_and_repetition_change_nothing():
    """Segments late by a few places, sent twice or overlapping, give each message once."""
    segments = _cut(b"".join(MESSAGES), 100)
    shuffled = [segments[0]]
    for at in range(1, len(segments), 4):
        shuffled += reversed(segments[at : at + 4])
    wide = _segment(100, b"".join(MESSAGES)[100:450])
    found, omitted = _read([shuffled[0], wide, *shuffled[1:], *segments])
    assert found == MESSAGES
    assert not omitted


@pytest.mark.parametrize("first", [1, 2, 5])
def test_segments_that_overtake_the_beginning_are_held(first: int):
    """A connection whose first segments arrive after later ones gives every message, and nothing is omitted."""
    segments = _cut(b"".join(MESSAGES[:3]), 40)
    found, omitted = _read([*segments[1 : 1 + first], segments[0], *segments[1 + first :]])
    assert found == MESSAGES[:3]
    assert not omitted


def test_held_segments_are_bounded_and_counted():
    """Bytes that never become SIP are held in part, and each segment is counted in the end."""
    omitted: Counter[Omission] = Counter()
    streams = SipStreams(8, omitted)
    for number in range(1_000):
        source = Endpoint("10.0.0.1", number % 100)
        streams.add(_segment(number * 100, b"z" * 100)._replace(source=source), number)
        assert sum(map(len, streams._early.values())) <= 8 * 8
    assert streams.rest() == []
    assert omitted == {Omission.OTHER_PROTOCOL: 1_000}


def test_a_message_without_its_end_is_told():
    """When the capture ends within a message, its beginning is handed on as cut, and counted."""
    omitted: Counter[Omission] = Counter()
    streams = SipStreams(8, omitted)
    assert streams.add(_segment(0, MESSAGES[3][:200]), 0) == []
    (cut,) = streams.rest()
    assert cut.data == MESSAGES[3][:200]
    assert cut.original_length > 200
    assert omitted == {Omission.STREAM_GAP: 1}


def test_a_lost_segment_costs_its_own_message():
    """When bytes never come, reading goes on with the next message that begins a segment."""
    found, omitted = _read([_segment(0, MESSAGES[0]), _segment(len(MESSAGES[0]) + 500, MESSAGES[2])])
    assert found == [MESSAGES[0], MESSAGES[2]]
    assert omitted == {Omission.STREAM_GAP: 1}


def test_a_masked_segment_ends_its_message():
    """A segment whose end was cut hands on what there is, and does not swallow the next message."""
    cut_short = _segment(0, MESSAGES[1][:-6], len(MESSAGES[1]))
    found, omitted = _read([cut_short, _segment(len(MESSAGES[1]), MESSAGES[2])])
    assert found == [MESSAGES[1][:-6], MESSAGES[2]]
    assert omitted[Omission.STREAM_GAP] == 1


def test_other_protocols_are_left_alone():
    """A connection that does not speak SIP is counted and not followed."""
    found, omitted = _read(_cut(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50, 100))
    assert not found
    assert set(omitted) == {Omission.OTHER_PROTOCOL}


def test_a_new_connection_on_old_ports_starts_again():
    """A SYN forgets the numbers of the connection before it."""
    syn = _segment(0, b"")._replace(opens=True, sequence=77)
    found, _ = _read([_segment(0, MESSAGES[0][:50]), syn, _segment(0, MESSAGES[2])._replace(sequence=78)])
    assert found == [MESSAGES[2]]


def test_noise_behind_a_message_is_dropped():
    """Bytes that are no message are counted, and the next segment with a start line is read."""
    noise = b"\x00\x01\r\n\r\n" * 20
    data = MESSAGES[0] + noise
    found, omitted = _read([_segment(0, data), _segment(len(data), MESSAGES[2])])
    assert found == [MESSAGES[0], MESSAGES[2]]
    assert omitted[Omission.SIP_UNREADABLE] == 1


def test_one_byte_segments_cost_no_more_than_large_ones():
    """A header section in 60,000 segments is searched once, not 60,000 times."""
    head = b"OPTIONS sip:b SIP/2.0\r\nX: " + b"y" * 60_000
    with bounded_work():
        _read([_segment(0, head[:40]), *(_segment(at, head[at : at + 1]) for at in range(40, len(head)))])


def test_open_streams_and_waiting_segments_are_bounded():
    """Thousands of half-open messages and of segments before their turn hold a fixed amount of memory."""
    omitted: Counter[Omission] = Counter()
    streams = SipStreams(8, omitted)
    for port in range(1_000):
        streams.add(_segment(0, MESSAGES[3][:100])._replace(source=Endpoint("10.0.0.1", port)), port)
    assert omitted[Omission.STREAM_OVER_LIMIT] == 992
    for at in range(1_000):
        streams.add(_segment(10_000 + 2_000 * at, b"z" * 1_000)._replace(source=Endpoint("10.0.0.1", 999)), at)
    held = sum(each.waiting_bytes + len(each.buffer) for each in streams._streams.values())
    assert held < 8 * 200_000


def test_random_segments_never_raise():
    """Whatever order, overlap and loss, nothing but messages comes out."""
    chance = random.Random(5)
    data = b"".join(MESSAGES) * 3
    for _ in range(200):
        segments = []
        for _ in range(60):
            at = chance.randrange(len(data))
            piece = data[at : at + chance.randrange(400)]
            segments.append(_segment(at, piece[: chance.randrange(500)], len(piece)))
        found, _ = _read([_segment(0, data[:60]), *segments])
        assert all(each.startswith(b"MESSAGE") for each in found)

"""From frames to datagrams: link types, IPv4 and IPv6, fragments whole, cut, missing and hostile."""

import struct
from collections import Counter

import pytest

from linewarden.diagnostics.analysis.fragments import Fragments
from linewarden.diagnostics.analysis.link_layer import ip_offset
from linewarden.diagnostics.analysis.model import Omission
from linewarden.diagnostics.analysis.network import TCP, IpPacket, read_ip, read_tcp, read_udp

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
A6, B6 = bytes(15) + b"\x01", bytes(15) + b"\x02"


def _udp(data: bytes) -> bytes:
    return struct.pack("!4H", 5060, 5080, 8 + len(data), 0) + data


def _ipv4(payload: bytes, *, ident: int = 7, offset: int = 0, more: bool = False, protocol: int = 17) -> bytes:
    place = offset // 8 | more << 13
    return struct.pack("!2B3H2BH", 0x45, 0, 20 + len(payload), ident, place, 64, protocol, 0) + A + B + payload


def _ipv6(payload: bytes, following: int = 17) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + A6 + B6 + payload


@pytest.mark.parametrize(
    ("link_type", "head"),
    [
        pytest.param(1, bytes(12) + b"\x08\x00", id="ethernet"),
        pytest.param(1, bytes(12) + b"\x81\x00\x00\x05\x08\x00", id="vlan"),
        pytest.param(1, bytes(12) + b"\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00", id="two vlan tags"),
        pytest.param(113, bytes(14) + b"\x08\x00", id="linux cooked"),
        pytest.param(276, b"\x08\x00" + bytes(18), id="linux cooked v2"),
        pytest.param(101, b"", id="raw"),
        pytest.param(0, b"\x02\x00\x00\x00", id="loopback"),
    ],
)
def test_the_datagram_is_found_behind_each_link_layer(link_type: int, head: bytes):
    """Where the packet begins does not depend on the kind of interface."""
    frame = head + _ipv4(_udp(b"hello"))
    offset = ip_offset(link_type, frame)
    assert offset == len(head)
    packet = read_ip(frame, offset)
    assert packet is not None
    source, destination, data, length = read_udp(packet) or pytest.fail("no datagram")
    assert (str(source), str(destination), data, length) == ("10.0.0.1:5060", "10.0.0.2:5080", b"hello", 5)


def test_a_frame_without_ip_names_its_type():
    """ARP, an unknown link type and endless VLAN tags carry no packet, and are named."""
    assert ip_offset(1, bytes(12) + b"\x08\x06" + bytes(28)) == "ARP"
    assert ip_offset(999, _ipv4(_udp(b"x"))) == "link type 999"
    assert ip_offset(1, bytes(12) + b"\x81\x00\x00\x01" * 50 + b"\x08\x00") == "VLAN"


def test_padding_behind_the_packet_is_no_data():
    """What Ethernet adds to reach its shortest frame is not read as payload."""
    packet = read_ip(_ipv4(_udp(b"hi")) + bytes(18), 0)
    assert packet is not None
    assert read_udp(packet) == (("10.0.0.1", 5060), ("10.0.0.2", 5080), b"hi", 2)


def test_a_cut_datagram_keeps_its_length():
    """A payload that was cut by masking still says how long it was."""
    packet = read_ip(_ipv4(_udp(b"x" * 160))[: 20 + 8 + 12], 0)
    assert packet is not None
    _, _, data, length = read_udp(packet) or pytest.fail("no datagram")
    assert (len(data), length) == (12, 160)


def test_ipv6_options_are_stepped_over():
    """Hop-by-hop and destination options do not hide the datagram."""
    packet = read_ip(_ipv6(bytes([60, 0]) + bytes(6) + bytes([17, 1]) + bytes(14) + _udp(b"six"), following=0), 0)
    assert packet is not None
    source, _, data, _ = read_udp(packet) or pytest.fail("no datagram")
    assert (str(source), data) == ("[::1]:5060", b"six")


def test_tcp_data_begins_behind_the_options():
    """The data offset is obeyed, and flags are told."""
    head = struct.pack("!2H2I2B3H", 1, 2, 99, 0, 6 << 4, 0x18, 0, 0, 0) + b"\x01" * 4
    segment = read_tcp(IpPacket(A, B, TCP, head + b"data", 28))
    assert segment is not None
    assert (segment.sequence, segment.data, segment.opens, segment.ends) == (99, b"data", False, False)


def _pieces(payload: bytes, size: int = 16) -> list[IpPacket]:
    cuts = range(0, len(payload), size)
    frames = [_ipv4(payload[at : at + size], offset=at, more=at + size < len(payload)) for at in cuts]
    return [packet for frame in frames if (packet := read_ip(frame, 0))]


def _whole(packets: list[IpPacket]) -> tuple[list[IpPacket], Counter[Omission]]:
    omitted: Counter[Omission] = Counter()
    fragments = Fragments(4, omitted)
    done = [packet for each in packets for _, packet in fragments.add(each, 0)]
    return done + [packet for _, packet in fragments.rest()], omitted


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "reversed"])
def test_fragments_become_the_packet_they_were(order: int):
    """In whatever order fragments come, and though each is seen twice, the payload is whole."""
    payload = bytes(range(100))
    packets = [packet for packet in _pieces(payload)[::order] for _ in range(2)][: 2 * 7 - 1]
    (packet, *_), _ = _whole(packets)
    assert (packet.payload, packet.length, packet.fragment) == (payload, 100, None)


def test_a_missing_fragment_leaves_the_beginning():
    """Without the third piece, the first two are handed on, with the length of the whole."""
    packets = _pieces(bytes(range(100)))
    (packet,), omitted = _whole(packets[:2] + packets[3:])
    assert (packet.payload, packet.length) == (bytes(range(32)), 100)
    assert omitted == {Omission.DATAGRAM_INCOMPLETE: 1}


def test_a_masked_fragment_leaves_the_beginning():
    """Later pieces whose bytes were cut are known to have been there, and nothing stands in for them."""
    first, *rest = _pieces(bytes(range(100)))
    (packet,), omitted = _whole([first, *(piece._replace(payload=b"") for piece in rest)])
    assert (packet.payload, packet.length) == (bytes(range(16)), 100)
    assert omitted == {Omission.DATAGRAM_INCOMPLETE: 1}


def test_overlapping_fragments_are_refused():
    """A piece that would write over another is counted and not used."""
    first, *rest = _pieces(bytes(100))
    evil = read_ip(_ipv4(b"evil" * 4, offset=8, more=True), 0)
    assert evil is not None
    (packet,), omitted = _whole([first, evil, *rest])
    assert packet.payload == bytes(100)
    assert omitted == {Omission.FRAGMENT_UNREADABLE: 1}


def test_unfinished_packets_are_bounded():
    """A flood of first fragments holds no more than the limit, and each one given up is counted."""
    omitted: Counter[Omission] = Counter()
    fragments = Fragments(4, omitted)
    for ident in range(100):
        packet = read_ip(_ipv4(bytes(16), ident=ident, more=True), 0)
        assert packet is not None
        fragments.add(packet, ident)
    assert omitted[Omission.DATAGRAM_INCOMPLETE] == 96
    assert len(fragments.rest()) == 4

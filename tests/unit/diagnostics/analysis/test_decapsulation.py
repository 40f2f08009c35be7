"""Packets in tunnels are read, packets captured twice are read once, and what stays unread is named."""

import struct
import zlib
from collections.abc import Sequence

import pytest

from linewarden.diagnostics.analysis.engine import Analyser
from linewarden.diagnostics.analysis.hep import read_hep
from linewarden.diagnostics.analysis.model import Endpoint, Frame, InterfaceCount, Limits, Omission
from linewarden.diagnostics.analysis.report import Report
from linewarden.diagnostics.analysis.tables import render_report

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
MACS = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01"
SIP = b"OPTIONS sip:b SIP/2.0\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
MS = 1_000_000


def _udp(data: bytes, ports: tuple[int, int] = (5060, 5060)) -> bytes:
    return struct.pack("!4H", *ports, 8 + len(data), 0) + data


def _ipv4(payload: bytes, protocol: int = 17, *, ident: int = 0, ttl: int = 64, place: int = 0) -> bytes:
    return struct.pack("!2B3H2BH", 0x45, 0, 20 + len(payload), ident, place, ttl, protocol, 0) + A + B + payload


def _ipv6(payload: bytes, protocol: int) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + payload


def _ether(kind: int, payload: bytes) -> bytes:
    return MACS + struct.pack("!H", kind) + payload


PACKET = _ipv4(_udp(SIP))
ETHERNET = _ether(0x0800, PACKET)
LABELS = struct.pack("!2I", 100 << 12 | 64, 200 << 12 | 1 << 8 | 64)


def _report(*frames: Frame) -> Report:
    analyser = Analyser(Limits())
    for frame in frames:
        analyser.add(frame)
    return analyser.finish([InterfaceCount("eth0", dropped=0)])


def _frame(data: bytes, at_ms: float = 0, link_type: int = 1) -> Frame:
    return Frame(int(at_ms * MS), link_type, data, len(data))


@pytest.mark.parametrize(
    ("data", "link_type"),
    [
        pytest.param(_ether(0x88A8, b"\0\1\x81\0" + b"\0\2\x81\0" + b"\0\3\x08\0" + PACKET), 1, id="three VLAN tags"),
        pytest.param(_ether(0x8864, b"\x11\0\0\1" + struct.pack("!2H", 2 + len(PACKET), 0x21) + PACKET), 1, id="PPPoE"),
        pytest.param(_ether(0x8100, b"\0\7\x88\x64\x11\0\0\1\0\0\0\x21" + PACKET), 1, id="PPPoE in a VLAN"),
        pytest.param(b"\xff\x03\x21" + PACKET, 9, id="PPP with a compressed protocol"),
        pytest.param(b"\x11\0\0\1\0\0\0\x21" + PACKET, 51, id="PPPoE as link"),
        pytest.param(_ether(0x8847, LABELS + PACKET), 1, id="MPLS"),
        pytest.param(_ether(0x8847, LABELS + bytes(4) + ETHERNET), 1, id="Ethernet over MPLS, control word"),
        pytest.param(_ether(0x8847, LABELS + ETHERNET), 1, id="Ethernet over MPLS"),
        pytest.param(_ether(len(PACKET) + 8, b"\xaa\xaa\x03\0\0\0\x08\0" + PACKET), 1, id="SNAP"),
        pytest.param(_ipv4(PACKET, 4), 101, id="IP in IP"),
        pytest.param(_ipv6(PACKET, 4), 101, id="IPv4 in IPv6"),
        pytest.param(_ipv4(_ipv6(_udp(SIP), 17), 41), 101, id="IPv6 in IPv4"),
        pytest.param(_ipv4(b"\0\0\x08\0" + PACKET, 47), 101, id="GRE"),
        pytest.param(_ipv4(b"\xb0\0\x08\0" + bytes(12) + PACKET, 47), 101, id="GRE with all options"),
        pytest.param(_ipv4(b"\0\0\x65\x58" + ETHERNET, 47), 101, id="Ethernet in GRE"),
        pytest.param(_ipv4(b"\x10\0\x88\xbe" + bytes(12) + ETHERNET, 47), 101, id="ERSPAN II"),
        pytest.param(_ipv4(b"\x10\0\x22\xeb" + bytes(4 + 12) + ETHERNET, 47), 101, id="ERSPAN III"),
        pytest.param(_ipv4(LABELS + PACKET, 137), 101, id="MPLS in IP"),
        pytest.param(_ipv4(_udp(b"\x08\0\0\0\0\0\1\0" + ETHERNET, (9, 4789))), 101, id="VXLAN"),
        pytest.param(_ipv4(b"\0\0\x08\0" + _ipv4(_ipv4(PACKET, 4), 4), 47), 101, id="three tunnels"),
    ],
)
def test_a_message_in_a_tunnel_is_read(data: bytes, link_type: int):
    """SIP within each encapsulation is in the report, and nothing is called unread."""
    report = _report(_frame(data, link_type=link_type))
    assert report.sip_requests == (("OPTIONS", 1),)
    assert (report.unread, report.warnings) == ((), ())


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(_ether(0x88E5, bytes(60)), "MACsec", id="MACsec"),
        pytest.param(_ether(0x1234, bytes(60)), "EtherType 0x1234", id="unknown EtherType"),
        pytest.param(_ether(0x8864, b""), "PPPoE", id="PPPoE whose content was masked"),
        pytest.param(_ether(0x8847, LABELS[:4]), "MPLS", id="labels without end"),
        pytest.param(_ether(0x0800, _ipv4(bytes(40), 132)), "SCTP", id="SCTP"),
        pytest.param(_ether(0x0800, _ipv4(bytes(40), 50)), "ESP", id="ESP"),
        pytest.param(_ether(0x0800, _ipv4(b"\x30\x01\x88\x0b" + bytes(40), 47)), "GRE of another version", id="PPTP"),
        pytest.param(_ether(0x0800, _ipv4(_udp(b"\x30" * 40, (9, 2152)))), "GTP-U", id="GTP"),
        pytest.param(_ether(0x0800, _ipv4(_udp(b"\x30" * 40, (9, 9)))), "UDP of another kind", id="unknown UDP"),
    ],
)
def test_what_is_not_read_is_named(data: bytes, kind: str):
    """A type that may carry calls is counted in the report and named in a warning."""
    report = _report(*(_frame(data, at) for at in range(0, 3_000, 1_000)))
    assert report.unread == ((kind, 3),)
    assert report.warnings == (f"Not read, so calls may be missing: 3 of {kind}.",)
    assert kind in render_report(report).partition("\nNot read\n")[2]


def test_what_every_network_has_is_counted_without_a_warning():
    """ARP, ICMP and keepalives are counted by type, and nothing is suspected of them."""
    report = _report(
        _frame(_ether(0x0806, bytes(28))),
        _frame(_ether(0x0800, _ipv4(bytes(8), 1))),
        _frame(_ether(0x0800, _ipv4(_udp(b"\r\n\r\n")))),
        _frame(_ether(0x26, bytes(40))),
    )
    assert {kind for kind, _ in report.unread} == {"ARP", "ICMP", "keepalive", "LLC"}
    assert report.warnings == ()


def test_types_that_are_not_read_are_bounded():
    """A capture of every EtherType gives no more names than the bound."""
    report = _report(*(_frame(_ether(kind, bytes(40))) for kind in range(0x9101, 0x9501)))
    assert len(report.unread) == 65
    assert dict(report.unread)["other types"] == 1_024 - 64
    assert len(report.warnings[0]) < 300


def test_tunnels_without_end_are_not_followed():
    """A packet in forty tunnels costs four of them, and is named."""
    data = PACKET
    for _ in range(40):
        data = _ipv4(data, 4)
    assert _report(_frame(data, link_type=101)).unread == (("tunnels in tunnels", 1),)


def _hep(payload: bytes, *, kind: int = 1, compressed: bool = False, protocol: int = 17) -> bytes:
    values = [
        (1, b"\x02"), (2, bytes([protocol])), (3, A), (4, B),
        (7, struct.pack("!H", 5070)), (8, struct.pack("!H", 5080)),
        (9, struct.pack("!I", 1_700_000_000)), (10, struct.pack("!I", 250_000)), (11, bytes([kind])), (12, bytes(4)),
        (16 if compressed else 15, zlib.compress(payload) if compressed else payload),
    ]  # fmt: skip
    body = b"".join(struct.pack("!3H", 0, number, 6 + len(value)) + value for number, value in values)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_a_message_in_hep_has_the_time_and_the_addresses_of_its_agent(compressed: bool):
    """What a capture agent saw counts, and not its own packet to the collector."""
    data = _ipv4(_udp(_hep(SIP, compressed=compressed), (40_000, 9060)))
    (probe,) = _report(_frame(data, link_type=101)).probes
    assert (probe.source, probe.destination) == (Endpoint("10.0.0.1", 5070), Endpoint("10.0.0.2", 5080))
    message = read_hep(_hep(SIP), 5)
    assert message is not None
    assert message.datagram.time_ns == 1_700_000_000_250_000_000


def _tcp(sequence: int, data: bytes, flags: int = 0x18) -> bytes:
    return _ipv4(struct.pack("!2H2I2B3H", 40_000, 9060, sequence, 0, 5 << 4, flags, 0, 0, 0) + data, 6, ident=sequence)


@pytest.mark.parametrize("size", [50, 100, 5_000])
def test_hep_over_tcp_is_cut_by_its_own_length(size: int):
    """Messages of several agents in one connection are read, wherever TCP cuts it."""
    stream = _hep(SIP) + _hep(SIP.replace(b"Call-ID: c", b"Call-ID: d"), protocol=6) + _hep(b"{}", kind=5)
    pieces = [_tcp(1 + at, stream[at : at + size]) for at in range(0, len(stream), size)]
    report = _report(*(_frame(piece, at, 101) for at, piece in enumerate(pieces)))
    assert report.sip_requests == (("OPTIONS", 2),)
    assert [ladder.arrows[0].transport.value for ladder in report.ladders] == ["udp", "tcp"]
    assert report.unread == (("HEP with RTCP in JSON", 1),)


def test_malformed_hep_is_counted():
    """A packet cut within a chunk, or without addresses, gives no message."""
    for data in (_hep(SIP)[:40], b"HEP3", b"HEP3\xff\xff" + bytes(40)):
        report = _report(_frame(_ipv4(_udp(data)), link_type=101))
        assert dict(report.omitted) == {Omission.PACKET_UNREADABLE: 1}
    assert read_hep(_hep(b"", compressed=True)[:-3] + b"xxx", 0) is None


def _rtp(number: int, ident: int, ttl: int = 64) -> bytes:
    data = struct.pack("!2BHII", 0x80, 0, number, 160 * number, 7) + bytes(160)
    return _ether(0x0800, _ipv4(_udp(data, (4000, 5000)), ident=ident, ttl=ttl))


def _mirrored(*, ttl: int = 64, every: int = 1) -> Sequence[Frame]:
    frames = [_frame(_rtp(at, 100 + at), 20 * at) for at in range(100)]
    copies = [_frame(_rtp(at, 100 + at, ttl), 20 * at + 0.3) for at in range(every // 2, 100, every)]
    return sorted([*frames, *copies], key=lambda frame: frame.time_ns)


@pytest.mark.parametrize(("ttl", "cause"), [(64, "a mirror port shows them twice"), (63, "before and after a router")])
def test_packets_captured_twice_are_analysed_once(ttl: int, cause: str):
    """Copies change no figure of a stream, and the report says at its head that there are copies, and why."""
    report = _report(*_mirrored(ttl=ttl))
    (stream,), (warning,) = report.streams, report.warnings
    assert (stream.packets, stream.duplicates, stream.lost) == (100, 0, 0)
    assert warning.startswith("Packets captured twice: 100 are copies of others")
    assert cause in warning


def test_a_message_captured_twice_was_not_sent_again():
    """A copy of SIP is no repetition; the same message with another identification is one."""
    packets = [_ipv4(_udp(SIP), ident=ident) for ident in (7, 7, 8)]
    report = _report(*(_frame(packet, at, 101) for at, packet in enumerate(packets)))
    assert (report.sip_requests, report.sip_resent) == ((("OPTIONS", 2),), 1)


def test_packets_that_the_network_repeats_are_duplicates():
    """A few copies among many packets belong to the network, and stand in the figures of the stream."""
    report = _report(*_mirrored(every=20))
    assert (report.streams[0].packets, report.streams[0].duplicates) == (105, 5)
    assert report.warnings == ()


def test_repeated_acknowledgements_are_no_copies():
    """Equal bare segments of TCP, which a receiver sends after a loss, do not make a capture one that shows twice."""
    bare = _ipv4(struct.pack("!2H2I2B3H", 1, 2, 3, 4, 5 << 4, 0x10, 0, 0, 0), 6)
    report = _report(*(_frame(bare, at, 101) for at in range(10)))
    assert (report.warnings, report.omitted) == ((), ())


def test_headers_without_identification_are_no_copies():
    """Packets cut to their headers, whose sender gives no identification, cannot be told apart and are kept."""
    cut = [frame._replace(data=frame.data[:42]) for frame in (_frame(_rtp(at, 0), 20 * at) for at in range(10))]
    assert dict(_report(*cut).omitted) == {Omission.PAYLOAD_CUT: 10}


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "the last first"])
def test_fragments_of_a_message_are_read_in_any_order(order: int):
    """SIP with a session description is whole, though its last fragment comes first."""
    body = b"v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n"
    head = b"INVITE sip:b SIP/2.0\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nX: " + b"y" * 2_000 + b"\r\n"
    whole = _udp(head + b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    cuts = range(0, len(whole), 800)
    pieces = [_ipv4(whole[at : at + 800], ident=9, place=at // 8 | (at + 800 < len(whole)) << 13) for at in cuts][
        ::order
    ]
    report = _report(*(_frame(piece, at, 101) for at, piece in enumerate(pieces)))
    assert [str(session) for session in report.ladders[0].arrows[0].sessions] == ["audio PCMU, at 10.0.0.1:4000"]
    assert report.omitted == ()

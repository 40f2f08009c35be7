"""Frames under the mask: what may be stored of them, by profile."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewarden.diagnostics.packets.dissect import (
    LINKTYPE_ETHERNET,
    LINKTYPE_LOOP,
    LINKTYPE_NULL,
    LINKTYPE_RAW,
    LINKTYPE_SLL,
    LINKTYPE_SLL2,
)
from linewarden.diagnostics.packets.mask import Masker
from linewarden.diagnostics.packets.model import Profile, Rule, Selector

pytest.importorskip("scapy", reason="install linewarden[capture]: scapy makes the packets")
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
    RouterAlert,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

SNAPLEN = 262_144
SECRET = b"SECRETSPEECH" * 12
RTP_PORTS: Any = {"sport": 30_000, "dport": 40_000}
SDP = "v=0\r\nc=IN IP4 192.0.2.2\r\nm=audio 40000 RTP/AVP 0 101\r\n"
FAX = "v=0\r\nc=IN IP4 192.0.2.2\r\nm=image 40000 udptl t38\r\n"
#: Addresses are given, or scapy would ask the network for them.
MACS: Any = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
SPLIT: Any = fragment
ETHER: Any = Ether(**MACS)
V4: Any = IP(src="192.0.2.1", dst="192.0.2.2")
V6: Any = IPv6(src="2001:db8::1", dst="2001:db8::2")


def invite(body: str, call: str = "1@h", *, user: str = "bob") -> bytes:
    """A request with a description."""
    return (
        f"INVITE sip:{user}@h SIP/2.0\r\nFrom: <sip:alice@h>\r\nTo: <sip:{user}@h>\r\nCall-ID: {call}\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def rtp(number: int, *, source: int = 7, kind: int = 0, payload: bytes = SECRET) -> bytes:
    """A packet of media."""
    return struct.pack("!BBHII", 0x80, kind, number & 0xFFFF, 160 * number & 0xFFFFFFFF, source) + payload


def udp(payload: bytes, network: Any = V4, **ports: Any) -> Any:
    """A datagram, without its link."""
    return network / UDP(**(ports or RTP_PORTS), chksum=0) / Raw(payload)


def masker(profile: Profile = Profile.SIGNALLING, selector: Selector | None = None, snaplen: int = SNAPLEN) -> Masker:
    """A mask for one capture."""
    return Masker(profile, selector or Selector(), snaplen)


def _ethernet(packet: Any) -> bytes:
    return bytes(ETHER / packet)


LINKS: dict[str, tuple[int, Any]] = {
    "ethernet": (LINKTYPE_ETHERNET, _ethernet),
    "vlan": (LINKTYPE_ETHERNET, lambda packet: bytes(ETHER / Dot1Q(vlan=5) / packet)),
    "two tags": (LINKTYPE_ETHERNET, lambda packet: bytes(ETHER / Dot1AD(vlan=5) / Dot1Q(vlan=6) / packet)),
    "raw": (LINKTYPE_RAW, bytes),
    "cooked": (LINKTYPE_SLL, lambda packet: bytes(14) + _ethernet(packet)[12:]),
    "cooked 2": (LINKTYPE_SLL2, lambda packet: _ethernet(packet)[12:14] + bytes(18) + bytes(packet)),
    "null": (LINKTYPE_NULL, lambda packet: struct.pack("<I", 2 if packet.version == 4 else 30) + bytes(packet)),
    "loop": (LINKTYPE_LOOP, lambda packet: struct.pack(">I", 2 if packet.version == 4 else 24) + bytes(packet)),
}


@pytest.mark.parametrize("network", [V4, V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("link", LINKS)
def test_media_loses_its_payload(link: str, network: Any):
    """On every link and in both families a stream keeps its twelve header bytes and nothing more."""
    kind, frame = LINKS[link]
    mask = masker()
    for number in range(1, 5):
        raw = frame(udp(rtp(number), network))
        masked = mask.mask(kind, raw)
        header = 12 if number > 1 else 0
        assert masked == raw[: len(raw) - len(SECRET) - 12 + header]
    assert mask.rules == {Rule.RTP_UNPROVEN: 1, Rule.RTP_PAYLOAD: 3}
    assert mask.unparsed == 1


@pytest.mark.parametrize("network", [V4, V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("link", LINKS)
def test_profiles(link: str, network: Any):
    """HEADERS keeps up to the ports, MEDIA keeps everything."""
    kind, frame = LINKS[link]
    raw = frame(udp(invite(SDP), network))
    assert masker(Profile.HEADERS).mask(kind, raw) == raw[: -len(invite(SDP))]
    assert masker(Profile.MEDIA).mask(kind, raw) == raw
    assert masker(Profile.SIGNALLING).mask(kind, raw) == raw


def test_bundled_streams_are_told_apart():
    """Two sources between the same ports are two streams, in whatever order their packets come."""
    mask = masker()
    lengths = [
        len(mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(rtp(number, source=source, kind=kind)))) or b"")
        for number in range(5)
        for source, kind in ((7, 0), (8, 96))
    ]
    assert lengths == [42, 42] + [54] * 8


def test_stream_goes_on_after_a_jump():
    """A source whose numbers jump loses one header, repeats and late packets lose none."""
    mask = masker()
    numbers = [1, 2, 2, 3, 1, 5_000, 5_001, 65_535, 0, 1]
    lengths = [len(mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(rtp(number)))) or b"") - 42 for number in numbers]
    assert lengths == [0, 12, 12, 12, 12, 0, 12, 0, 12, 12]


@pytest.mark.parametrize("profile", [Profile.HEADERS, Profile.SIGNALLING])
@pytest.mark.parametrize("link", LINKS)
def test_digit_cannot_be_summed_up(link: str, profile: Profile):
    """Packets that differ in a digit only, and in the checksum over it, are stored alike: whatever carries it."""
    kind, frame = LINKS[link]
    stored = set()
    info = b"INFO sip:b@h SIP/2.0\r\nContent-Type: application/dtmf-relay\r\nContent-Length: 8\r\n\r\nSignal=%d"
    for digit in range(10):
        mask = masker(profile)
        event = V4 / UDP(**RTP_PORTS) / Raw(rtp(2, kind=101, payload=bytes([digit, 10, 0, 160])))
        error = V4 / ICMP(type=3, code=3) / event
        packets = [
            udp(rtp(1, kind=101)),
            event,
            error,
            V6 / UDP(**RTP_PORTS) / Raw(b"\0" * 20 + bytes([digit])),
            V4 / UDP(sport=5060, dport=5060) / Raw(info % digit),
            V4 / TCP(seq=1, flags="PA") / Raw(info % digit),
            V4 / TCP(sport=9, seq=1, flags="PA") / Raw(b"%d" % digit),
            SPLIT(V4 / UDP() / Raw(info.replace(b"8", b"1000") % digit + b" " * 990), fragsize=64)[0],
        ]
        clipped = frame(V4 / UDP(**RTP_PORTS) / Raw(b"\r\n%d" % digit))[:-1]
        stored.add((*(mask.mask(kind, frame(packet)) for packet in packets), mask.mask(kind, clipped)))
    assert len(stored) == 1


def test_checksum_of_what_is_stored_whole():
    """A packet of which nothing was taken keeps its checksum, so that faults in it can be found."""
    raw = _ethernet(V4 / UDP(sport=5060, dport=5060) / Raw(invite(SDP)))
    assert masker().mask(LINKTYPE_ETHERNET, raw) == raw


def test_events_lose_their_digits():
    """An RFC 4733 event keeps its RTP header and loses the digit."""
    mask = masker()
    for number in range(3):
        masked = mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(rtp(number, kind=101, payload=b"\x05\x0a\x00\xa0"))))
    assert masked is not None
    assert len(masked) == 54


@pytest.mark.slow
def test_fax_is_never_taken_for_media():
    """UDPTL, which counts up where RTP has its version, keeps no byte: announced as fax or not."""
    for announced in (SDP, FAX, None):
        mask = masker()
        if announced:
            mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(invite(announced), sport=5060, dport=5060)))
        for number in range(0x8000, 0x8000 + 600):
            udptl = struct.pack("!HBB", number, 20, 0xC0) + b"FAXDATA" * 4
            masked = mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(udptl)))
            assert masked is not None
            assert len(masked) == 42, f"{announced!r} {number:#x}"


def test_fax_on_a_port_that_carried_speech():
    """A call that changes from speech to fax on the same ports shows nothing of the fax."""
    mask = masker()
    mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(invite(SDP), sport=5060, dport=5060)))
    for number in range(50):
        mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(rtp(number))))
    mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(invite(FAX), sport=5060, dport=5060)))
    for number in range(0x8000, 0x8200):
        masked = mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(struct.pack("!HB", number, 40) + b"FAXDATA" * 4)))
        assert masked is not None
        assert len(masked) == 42
    assert mask.rules[Rule.T38] == 0x200


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        (b"\x00\x01\x00\x08\x21\x12\xa4\x42" + b"s" * 20, Rule.STUN),
        (b"\x40\x00\x00\x20" + b"s" * 32, Rule.STUN),
        (b"\x16\xfe\xfd" + b"s" * 40, Rule.DTLS),
        (b"MSRP secret", Rule.UDP_OTHER),
        (b"\x12\x34\x01\x00\x00\x01" + b"secret", Rule.UDP_OTHER),
        (b"\x80\xc8" + b"s" * 40, Rule.UDP_OTHER),
        (b"INVITE sip:secret@h", Rule.UDP_OTHER),
        (b"\x80\x00" + b"s" * 6, Rule.UDP_OTHER),
    ],
)
def test_everything_else_loses_its_payload(payload: bytes, rule: Rule):
    """A datagram that is neither SIP nor media is cut behind the ports and counted."""
    mask = masker()
    masked = mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(payload)))
    assert masked is not None
    assert len(masked) == 42
    assert mask.rules == {rule: 1}


def test_keepalives_stay():
    """Blank lines that only keep a path open are kept."""
    for payload in (b"\r\n", b"\r\n\r\n", b"\0"):
        raw = _ethernet(udp(payload))
        assert masker().mask(LINKTYPE_ETHERNET, raw) == raw


def test_rtcp_keeps_reports_and_loses_names():
    """Of RTCP the reception reports stay; names, and whatever is encrypted, go."""
    report = struct.pack("!BBHI5I", 0x81, 200, 12, 7, 1, 2, 3, 4, 5) + b"R" * 24
    names = struct.pack("!BBHI", 0x81, 202, 3, 7) + b"\x01\x06secret\0\0"[:8]
    names = names[:2] + struct.pack("!H", len(names) // 4 - 1) + names[4:]
    raw = _ethernet(udp(report + names))
    assert masker().mask(LINKTYPE_ETHERNET, raw) == raw[: 42 + len(report)]
    encrypted = _ethernet(udp(report + b"\x80\0\0\1" + b"T" * 10))
    assert masker().mask(LINKTYPE_ETHERNET, encrypted) == encrypted[:50]


def test_link_padding_is_cut():
    """Bytes behind the packet, which may be left over from another, are not stored."""
    raw = _ethernet(V4 / TCP(chksum=0, flags="A"))
    mask = masker()
    assert mask.mask(LINKTYPE_ETHERNET, raw + b"leftover") == raw
    assert mask.rules == {Rule.TRAILER: 1}


def test_bytes_behind_the_datagram_are_cut():
    """Bytes that are in the packet but not in the datagram are not stored, and counted."""
    mask = masker()
    raw = bytes(V4 / UDP(len=10, chksum=0) / Raw(b"\r\nleftover"))
    assert mask.mask(LINKTYPE_RAW, raw) == raw[:30]
    assert mask.rules == {Rule.TRAILER: 1}


def test_icmp_error_quotes_ports_only():
    """An ICMP error keeps the quoted headers, so that one-way audio can be found, and no quoted speech."""
    quoted = bytes(udp(rtp(1)))
    raw = _ethernet(V4 / ICMP(chksum=0, type=3, code=3) / Raw(quoted))
    assert masker().mask(LINKTYPE_ETHERNET, raw) == raw[: 14 + 20 + 8 + 28]
    echo = _ethernet(V4 / ICMP(chksum=0, type=8) / Raw(SECRET))
    assert masker().mask(LINKTYPE_ETHERNET, echo) == echo[: 14 + 20 + 8]


def test_fragments_of_sip_keep_their_length():
    """The later fragments of a SIP message are covered, so that a reader can still put the message together."""
    message = invite(SDP + "a=x-long:" + "l" * 3000 + "\r\n")
    pieces = SPLIT(udp(message, sport=5060, dport=5060), fragsize=800)
    mask = masker()
    masked = [mask.mask(LINKTYPE_ETHERNET, _ethernet(piece)) for piece in pieces]
    assert [len(m or b"") for m in masked] == [len(_ethernet(piece)) for piece in pieces]
    assert all(m is not None and set(m[34:]) == {ord("x")} for m in masked[1:])
    assert mask.rules[Rule.FRAGMENT] == len(pieces) - 1


def test_fragments_of_anything_else_are_cut():
    """A later fragment whose first is unknown, or no SIP, keeps its network header only; in IPv6 too."""
    pieces = SPLIT(udp(SECRET * 20), fragsize=800)
    for piece in reversed(pieces):
        masked = masker().mask(LINKTYPE_ETHERNET, _ethernet(piece))
        assert masked is not None
        assert b"SECRET" not in masked
    later = V6 / IPv6ExtHdrFragment(offset=100, m=0, id=9, nh=17) / Raw(SECRET)
    assert masker().mask(LINKTYPE_RAW, bytes(later)) == bytes(later)[:48]


def test_tcp_sip_is_masked_and_other_streams_are_cut():
    """SIP over TCP is masked in place; TLS, on whatever port, keeps its TCP header."""
    sip = b"MESSAGE sip:b@h SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 6\r\n\r\nsecret"
    mask = masker()
    raw = _ethernet(V4 / TCP(chksum=0, sport=5060, dport=5060, seq=1, flags="PA") / Raw(sip))
    assert mask.mask(LINKTYPE_ETHERNET, raw) == raw[:-6] + b"xxxxxx"
    tls = _ethernet(V4 / TCP(chksum=0, sport=5061, dport=5061, seq=1, flags="PA") / Raw(b"\x16\x03\x01" + SECRET))
    assert mask.mask(LINKTYPE_ETHERNET, tls) == tls[:54]
    assert mask.rules == {Rule.SIP_BODY: 1, Rule.TCP_OTHER: 1}


def test_reopened_connection_starts_anew():
    """After a SYN the same ports are another stream."""
    sip = b"OPTIONS sip:b@h SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n"
    mask = masker()
    first = _ethernet(V4 / TCP(chksum=0, sport=5060, dport=5060, seq=9000, flags="PA") / Raw(sip))
    again = _ethernet(V4 / TCP(chksum=0, sport=5060, dport=5060, seq=1001, flags="PA") / Raw(sip))
    assert mask.mask(LINKTYPE_ETHERNET, first) == first
    mask.mask(LINKTYPE_ETHERNET, _ethernet(V4 / TCP(chksum=0, sport=5060, dport=5060, seq=1000, flags="S")))
    assert mask.mask(LINKTYPE_ETHERNET, again) == again


@pytest.mark.parametrize(
    "raw",
    [
        _ethernet(ARP()),
        _ethernet(V4)[:30],
        _ethernet(V4 / UDP())[:38],
        _ethernet(V4 / TCP(chksum=0))[:50],
        b"",
        b"\x02",
        _ethernet(IP(ihl=4) / UDP() / Raw(SECRET)),
        _ethernet(IP(len=10) / UDP() / Raw(SECRET)),
        _ethernet(V4 / TCP(chksum=0, dataofs=2) / Raw(SECRET)),
        _ethernet(V4 / TCP(chksum=0, dataofs=15) / Raw(b"SECRET")),
        _ethernet(IP(proto=47) / Raw(SECRET)),
        _ethernet(V6 / Raw(SECRET)),
        bytes(Ether(**MACS, type=0x88CC) / Raw(SECRET)),
    ],
)
def test_broken_and_foreign_frames(raw: bytes):
    """A frame that cannot be read to its transport header shows nothing behind that, and is counted."""
    mask = masker()
    masked = mask.mask(LINKTYPE_ETHERNET, raw)
    assert masked is not None
    assert raw.startswith(masked)
    assert b"SECRET" not in masked
    assert mask.unparsed == 1


def test_unknown_link_type_keeps_nothing():
    """A frame of a link type that is not known is stored empty, with its time and length."""
    assert masker().mask(9_999, _ethernet(udp(SECRET))) == b""


def test_snaplen_cuts_after_masking():
    """The snapshot length bounds what is stored, not what is understood."""
    raw = _ethernet(udp(invite(SDP), sport=5060, dport=5060))
    mask = masker(snaplen=100)
    assert mask.mask(LINKTYPE_ETHERNET, raw) == raw[:100]
    assert mask.rules == {Rule.SNAPLEN: 1}


@pytest.mark.parametrize("profile", list(Profile))
def test_selected_dialogs(profile: Profile):
    """A capture by extension stores the calls of that extension with their media, and nothing else."""
    mask = masker(profile, Selector(extensions=("bob",)))
    other = "v=0\r\nc=IN IP4 192.0.2.2\r\nm=audio 50000 RTP/AVP 0\r\n"
    wanted = [udp(invite(SDP), sport=5060, dport=5060), udp(rtp(1)), udp(rtp(2))]
    unwanted = [
        udp(invite(other, "2@h", user="carol"), sport=5060, dport=5060),
        udp(rtp(1), sport=1000, dport=50_000),
        udp(b"dns", sport=53, dport=53),
        V4 / TCP(chksum=0),
        ARP(),
    ]
    later = udp(b"BYE sip:x@h SIP/2.0\r\nCall-ID: 1@h\r\n\r\n", sport=5060, dport=5060)
    assert all(mask.mask(LINKTYPE_ETHERNET, _ethernet(packet)) is not None for packet in wanted)
    assert all(mask.mask(LINKTYPE_ETHERNET, _ethernet(packet)) is None for packet in unwanted)
    assert mask.mask(LINKTYPE_ETHERNET, _ethernet(later)) is not None


def test_selected_dialogs_in_one_segment():
    """Of several messages in a TCP segment only those of a selected call can be read."""
    mask = masker(selector=Selector(call_ids=("1@h",)))
    wanted, unwanted = invite(SDP), invite(SDP, "2@h", user="carol")
    raw = _ethernet(V4 / TCP(chksum=0, seq=1, flags="PA") / Raw(wanted + unwanted))
    assert mask.mask(LINKTYPE_ETHERNET, raw) == raw[: -len(unwanted)] + b"x" * len(unwanted)
    assert mask.rules == {Rule.SIP_HEADER: 1}
    alone = _ethernet(V4 / TCP(chksum=0, sport=9, seq=1, flags="PA") / Raw(unwanted))
    assert mask.mask(LINKTYPE_ETHERNET, alone) is None


def test_streams_that_are_lost_are_stored():
    """Unreadable parts of a TCP stream are stored covered and counted, when no call was selected; blank lines too."""
    mask = masker()
    sip = b"OPTIONS sip:b@h SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n"
    number = 1
    lost = b"\n" + SECRET + b"\n"
    for payload, stored in ((sip, sip), (b"\r\n\r\n", b"\r\n\r\n"), (lost, b"\n" + b"x" * (len(lost) - 1))):
        raw = _ethernet(V4 / TCP(chksum=0, seq=number, flags="PA") / Raw(payload))
        assert mask.mask(LINKTYPE_ETHERNET, raw) == raw[:54] + stored
        number += len(payload)
    assert mask.rules == {Rule.SIP_LOST: 1}


def test_repetition_of_another_call_is_not_stored():
    """A segment of a call that was not selected is not stored when it comes again, either."""
    mask = masker(selector=Selector(call_ids=("1@h",)))
    wanted, unwanted = invite(SDP), invite(SDP, "2@h", user="carol")
    first = _ethernet(V4 / TCP(chksum=0, seq=1, flags="PA") / Raw(wanted))
    other = _ethernet(V4 / TCP(chksum=0, seq=1 + len(wanted), flags="PA") / Raw(unwanted))
    assert [mask.mask(LINKTYPE_ETHERNET, raw) for raw in (first, other, other, first)] == [first, None, None, first]


def test_media_of_a_call_that_ended():
    """When a selected call has ended, what its ports are used for next is not stored."""
    mask = masker(Profile.MEDIA, Selector(extensions=("bob",)))
    speech = _ethernet(udp(rtp(1)))
    agreed = b"SIP/2.0 200 OK\r\nCall-ID: %b\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n"
    signals = [invite(SDP), invite(SDP.replace("40000", "50000"), "2@h"), agreed % b"2@h", agreed % b"1@h"]
    stored = []
    for signal in signals:
        assert mask.mask(LINKTYPE_ETHERNET, _ethernet(udp(signal, sport=5060, dport=5060))) is not None
        stored.append(mask.mask(LINKTYPE_ETHERNET, speech) is not None)
    assert stored == [True, True, True, False]


@pytest.mark.parametrize(
    ("packet", "kept"),
    [
        (IP(src="192.0.2.1", dst="192.0.2.2", options=b"\x94\x04\0\0") / UDP() / Raw(b"\r\n"), 24 + 8 + 2),
        (IP(src="192.0.2.1", dst="192.0.2.2", options=b"\x1e\x08secret") / UDP() / Raw(b"\r\n"), 20),
        (
            V4
            / TCP(chksum=0, flags="S", options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2)), ("WScale", 7)]),
            20 + 40,
        ),
        (V4 / TCP(chksum=0, flags="A", options=[("NOP", None), ("NOP", None), ("SAck", (1, 2))]), 20 + 32),
        (V4 / TCP(chksum=0, flags="S", options=[("MSS", 1460), (34, b"cookie"), ("NOP", None)]) / Raw(SECRET), 20 + 20),
        (
            V6 / IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"\0\0")]) / UDP() / Raw(b"\r\n"),
            40 + 16 + 8 + 2,
        ),
        (V6 / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"secret")]) / UDP() / Raw(b"\r\n"), 40),
    ],
)
def test_options(packet: Any, kept: int):
    """Headers stay with the options that are known; of others neither value nor what they precede is stored."""
    raw = bytes(packet)
    mask = masker()
    assert mask.mask(LINKTYPE_RAW, raw) == raw[:kept]
    assert mask.rules == ({Rule.MALFORMED: 1} if kept < len(raw) else {})


@pytest.mark.slow
def test_floods_fill_no_memory():
    """However many streams, calls, fragments and announcements come, the tables stay within their bounds."""
    mask = masker(selector=Selector(extensions=("bob",)))
    message = invite(SDP, "CALL")
    for number in range(10_000):
        ends = struct.pack("!II", number, number)
        source = b"\x45\0\0\0" + struct.pack("!HHBBH", number & 0xFFFF, 0x2000, 64, 17, 0) + ends
        sip = message.replace(b"CALL", b"%d" % number).replace(b"192.0.2.2", b"192.0.%d.%d" % divmod(number, 256))
        mask.mask(LINKTYPE_RAW, source + struct.pack("!HHHH", 5060, 5060, 0, 0) + sip)
        mask.mask(LINKTYPE_RAW, source + struct.pack("!HHHH", 5060, 5060, 0, 0) + rtp(1, source=number))
        segment = struct.pack("!HHIIBBHHH", 1, 2, 0, 0, 0x50, 0x18, 0, 0, 0)
        mask.mask(LINKTYPE_RAW, b"\x45\0\0\0\0\0\0\0\x40\6\0\0" + ends + segment + sip)
    assert len(mask._fragmented) == 1_024
    assert len(mask._streams._streams) == 512
    assert len(mask._media._candidates) <= 4_096
    assert len(mask._media._rtp_announced) <= 8_192
    assert len(mask._dialogs._calls) == 4_096
    assert len(mask._dialogs._media) == 8_192


class _LongWay(Masker):
    """The mask without its short cut."""

    def __init__(self) -> None:
        super().__init__(Profile.SIGNALLING, Selector(), SNAPLEN)
        self._short_cut = False


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 400),
            st.sampled_from([7, 7, 7, 8]),
            st.sampled_from([0, 0, 8, 101, 72, 200, 0x80, 0xE0]),
            st.sampled_from([b"", b"s", SECRET]),
            st.binary(max_size=6),
            st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=2),
        ),
        max_size=12,
    )
)
def test_short_cut_agrees_with_the_long_way(packets: list[tuple[int, int, int, bytes, bytes, list[tuple[int, int]]]]):
    """The short cut for RTP keeps exactly what the long way keeps, also of packets that are a little wrong."""
    short, long = masker(), _LongWay()
    for number, source, kind, payload, trailer, flips in packets:
        raw = bytearray(_ethernet(V4 / UDP(**RTP_PORTS) / Raw(rtp(number, source=source, kind=kind, payload=payload))))
        raw += trailer
        for at, value in flips:
            raw[at % len(raw)] = value
        assert short.mask(LINKTYPE_ETHERNET, bytes(raw)) == long.mask(LINKTYPE_ETHERNET, bytes(raw))
    assert short.rules == long.rules


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([LINKTYPE_ETHERNET, LINKTYPE_RAW, LINKTYPE_SLL, LINKTYPE_SLL2, LINKTYPE_NULL, 12345]),
    st.binary(max_size=120),
    st.sampled_from(list(Profile)),
)
def test_noise_harms_nothing(kind: int, raw: bytes, profile: Profile):
    """Random bytes are masked without an exception, and never grow."""
    masked = masker(profile).mask(kind, raw)
    assert masked is not None
    assert len(masked) <= len(raw)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_packets_harm_nothing(data: st.DataObject):
    """Real packets with bytes changed or cut off are masked without an exception."""
    mask = masker(data.draw(st.sampled_from(list(Profile))))
    templates = [
        _ethernet(udp(invite(SDP), sport=5060, dport=5060)),
        _ethernet(V4 / TCP(chksum=0, seq=1, flags="PA") / Raw(invite(SDP))),
        bytes(ETHER / V6 / IPv6ExtHdrFragment(m=1, id=9, nh=17) / UDP() / Raw(invite(SDP))),
        _ethernet(V4 / ICMP(chksum=0, type=3) / Raw(bytes(udp(rtp(1))))),
        _ethernet(udp(rtp(1))),
    ]
    for _ in range(6):
        raw = bytearray(data.draw(st.sampled_from(templates)))
        for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=6)):
            raw[at] = data.draw(st.integers(0, 255))
        mask.mask(LINKTYPE_ETHERNET, bytes(raw[: data.draw(st.integers(0, len(raw)))]))

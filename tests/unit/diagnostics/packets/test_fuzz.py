"""The oracle: packets with unique tokens wherever nothing may survive go through the mask, and none comes out.

Packets are built by hand, so that they may be as wrong as packets get. A token counts as shown when any six bytes of it
in a row are.
"""

import base64
import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewarden.diagnostics.packets.mask import Masker
from linewarden.diagnostics.packets.model import Profile, Selector
from linewarden.diagnostics.packets.source_file import open_capture

REAL = sorted((Path(__file__).parents[5] / "shared" / "data" / "pcap").glob("*.pcap*"))
V4, V6 = (b"\xc0\0\2\1", b"\xc0\0\2\2"), (b"\x20\1\x0d\xb8" + bytes(11) + b"\1", b"\x20\1\x0d\xb8" + bytes(11) + b"\2")
UDP, TCP = 17, 6


@dataclass(slots=True)
class Tokens:
    """Gives out tokens and finds them again."""

    given: list[bytes] = field(default_factory=list)

    def next(self) -> bytes:
        """A token that nothing else looks like."""
        token = base64.b32encode(hashlib.sha256(b"%d" % len(self.given)).digest())[:16]
        self.given.append(token)
        return token

    def fill(self, template: str) -> bytes:
        """The template with a token in each place."""
        parts = template.encode().split(b"{}")
        return parts[0] + b"".join(self.next() + part for part in parts[1:])

    def shown(self, stored: bytes) -> list[bytes]:
        """The tokens of which enough can be read."""
        return [t for t in self.given if any(t[at : at + 6] in stored for at in range(len(t) - 5))]


def ipv4(protocol: int, content: bytes, *, options: bytes = b"", fragment: int = 0, identity: int = 7) -> bytes:
    """A packet, without checksums."""
    first = 0x45 + len(options) // 4
    total = 20 + len(options) + len(content)
    return (
        struct.pack("!BBHHHBBH", first, 0, total, identity, fragment, 64, protocol, 0)
        + b"".join(V4)
        + options
        + content
    )


def ipv6(protocol: int, content: bytes, *, extensions: bytes = b"") -> bytes:
    """A packet; `protocol` is that of the first extension, when there are any."""
    return (
        struct.pack("!IHBB", 6 << 28, len(extensions) + len(content), protocol, 64)
        + b"".join(V6)
        + extensions
        + content
    )


def udp(payload: bytes, source: int = 5060, destination: int = 5060) -> bytes:
    """A datagram, without its network header."""
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def tcp(number: int, payload: bytes, *, options: bytes = b"", port: int = 5060) -> bytes:
    """A segment, without its network header."""
    offset = (5 + len(options) // 4) << 4
    return struct.pack("!HHIIBBHHH", port, port, number % 2**32, 0, offset, 0x18, 1_000, 0, 0) + options + payload


LINKS: dict[str, tuple[int, Callable[[bytes, bytes], bytes]]] = {
    "ethernet": (1, lambda kind, packet: bytes(12) + kind + packet),
    "vlan": (1, lambda kind, packet: bytes(12) + b"\x81\0\0\5" + kind + packet),
    "two tags": (1, lambda kind, packet: bytes(12) + b"\x88\xa8\0\5\x81\0\0\6" + kind + packet),
    "cooked": (113, lambda kind, packet: bytes(14) + kind + packet),
    "cooked 2": (276, lambda kind, packet: kind + bytes(18) + packet),
    "raw": (101, lambda _, packet: packet),
    "loop": (108, lambda kind, packet: bytes(3) + (b"\2" if kind == b"\x08\0" else b"\x18") + packet),
}


def masked(link: str, packets: list[bytes]) -> bytes:
    """Return the stored bytes of IP packets of a link; lengths and the packets themselves must stay."""
    mask, (link_type, frame) = Masker(Profile.SIGNALLING, Selector(), 262_144), LINKS[link]
    stored = b""
    for packet in packets:
        raw = frame(b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd", packet)
        out = mask.mask(link_type, raw)
        assert out is not None
        assert len(out) <= len(raw)
        stored += b"|" + out
    return stored


def rtp(number: int, payload: bytes, *, first: int = 0x80, kind: int = 0) -> bytes:
    """A packet of media."""
    return struct.pack("!BBHII", first, kind, number & 0xFFFF, 160 * number & 0xFFFFFFFF, 7) + payload


def _option(kind: int, token: bytes) -> bytes:
    return bytes([kind, 2 + len(token)]) + token + b"\1\1"


#: What is in a packet when its secret is anything but SIP. Each takes a running number and a token.
CARRIERS: dict[str, Callable[[int, bytes], bytes]] = {
    "speech": lambda n, t: ipv4(UDP, udp(rtp(n, t * 10), 30_000, 40_000)),
    "speech, IPv6": lambda n, t: ipv6(UDP, udp(rtp(n, t * 10), 30_000, 40_000)),
    "digits": lambda n, t: ipv4(UDP, udp(rtp(n, b"\5\x0a\0\xa0" + t, kind=0xE5 if n % 3 else 0x65), 30_000, 40_000)),
    "redundant": lambda n, t: ipv4(UDP, udp(rtp(n, b"\xe5\0\0\4\0" + t, kind=121), 30_000, 40_000)),
    "extended": lambda n, t: ipv4(UDP, udp(rtp(n, b"\xbe\xde\0\4" + t + t, first=0x90), 30_000, 40_000)),
    "sources": lambda n, t: ipv4(UDP, udp(rtp(n, t + t, first=0x84), 30_000, 40_000)),
    "padded": lambda n, t: ipv4(UDP, udp(rtp(n, t + bytes(3) + b"\4", first=0xA0), 30_000, 40_000)),
    "fax": lambda n, t: ipv4(UDP, udp(struct.pack("!HBB", 0x8000 + 32 * n, len(t) + n, 0xC0) + t, 30_000, 40_000)),
    "fax, odd": lambda n, t: ipv4(UDP, udp(struct.pack("!HH", 0x8080 + 128 * n, n) + t, 30_000, 40_000)),
    "report": lambda n, t: ipv4(
        UDP, udp(struct.pack("!BBHIIIIII", 0x80, 200, 6, 7, n, n, n, n, n) + b"\x81\xca\0\5" + t, 1, 2)
    ),
    "goodbye": lambda n, t: ipv4(UDP, udp(struct.pack("!BBHI", 0x81, 203, 5, n) + t, 1, 2)),
    "encrypted report": lambda n, t: ipv4(UDP, udp(struct.pack("!BBHI", 0x80, 201, 1, n) + t, 1, 2)),
    "names": lambda n, t: ipv4(UDP, udp(struct.pack("!HHHHHH", 0x8000 + n, 0x100, 1, 0, 0, 0) + b"\x10" + t, 53, 53)),
    "STUN": lambda n, t: ipv4(
        UDP, udp(struct.pack("!HHI", 1, 20, 0x2112A442) + bytes([n]) * 12 + b"\0\6\0\x10" + t, 1, 2)
    ),
    "TURN": lambda n, t: ipv4(UDP, udp(b"\x40\0\0\x1c" + rtp(n, t), 1, 2)),
    "DTLS": lambda n, t: ipv4(UDP, udp(b"\x16\xfe\xfd" + bytes([n]) * 10 + t, 1, 2)),
    "blank": lambda n, t: ipv4(UDP, udp(b"\r\n\r\n" + t, 1, n)),
    "UDP that lies": lambda n, t: ipv4(UDP, struct.pack("!HHHH", 1, 2, n, 0) + t),
    "TLS": lambda n, t: ipv4(TCP, tcp(16 * n, t, port=5061)),
    "WebSocket": lambda n, t: ipv4(
        TCP, tcp(60 * n, b"\x81\x3a" + b"MESSAGE sip:b@h SIP/2.0\r\nl: 16\r\n\r\n" + t, port=80)
    ),
    "quoted": lambda n, t: ipv4(1, b"\3\3\0\0" + bytes(4) + ipv4(UDP, udp(rtp(n, t)))),
    "quoted, IPv6": lambda n, t: ipv6(58, b"\1\4\0\0" + bytes(4) + ipv6(UDP, udp(rtp(n, t)))),
    "quoted option": lambda n, t: ipv4(1, b"\3\3\0\0" + bytes(4) + ipv4(UDP, udp(rtp(n, t)), options=_option(30, t))),
    "echo": lambda n, t: ipv4(1, b"\x08\0\0\0\0\1\0" + bytes([n]) + t),
    "GRE": lambda n, t: ipv4(47, b"\0\0\x08\0" + ipv4(UDP, udp(rtp(n, t)))),
    "IP in IP": lambda n, t: ipv4(4, ipv4(UDP, udp(rtp(n, t)))),
    "SCTP": lambda n, t: ipv4(132, struct.pack("!HHII", 5060, 5060, n, 0) + t),
    "IPv4 option": lambda n, t: ipv4(UDP, udp(rtp(n, t)), options=_option(30, t)),
    "IPv4 option's end": lambda n, t: ipv4(UDP, udp(rtp(n, t)), options=b"\0" + t + b"\0\0\0"),
    "TCP option": lambda n, t: ipv4(TCP, tcp(n, t, options=_option(34, t))),
    "TCP option's end": lambda n, t: ipv4(TCP, tcp(n, t, options=b"\1\0" + t + b"\0\0")),
    "TCP option too short": lambda n, t: ipv4(TCP, tcp(n, t, options=b"\x08\0" + t + b"\0\0")),
    "IPv6 option": lambda n, t: ipv6(60, udp(rtp(n, t)), extensions=b"\x11\2\x1e\x10" + t + b"\1\2\0\0"),
    "IPv6 filling": lambda n, t: ipv6(0, udp(rtp(n, t)), extensions=b"\x11\2\1\x14" + t + bytes(4)),
    "IPv6 routing": lambda n, t: ipv6(43, udp(rtp(n, t)), extensions=b"\x11\2\4\0\0\0\0\0" + t),
    "IPv6 authentication": lambda n, t: ipv6(51, udp(rtp(n, t)), extensions=b"\x11\5\0\0" + bytes(8) + t),
    "behind the packet": lambda n, t: ipv4(UDP, udp(rtp(n, b""))) + t,
    "behind the datagram": lambda n, t: ipv4(UDP, udp(b"\r\n\r\n", 1, n) + t),
    "later fragment": lambda n, t: (
        ipv4(UDP, b"INVITE sip:b@h SIP/2.0\r\nFrom: " + t, fragment=n, identity=n) if n else b"\x45"
    ),
}


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_everything_that_is_not_sip(data: st.DataObject):
    """No packet that is not SIP shows what it carries, whatever it is and whatever came before it."""
    tokens = Tokens()
    numbers = data.draw(st.lists(st.integers(0, 8), min_size=1, max_size=12))
    kinds = data.draw(st.lists(st.sampled_from(list(CARRIERS)), min_size=1, max_size=3))
    packets = [CARRIERS[kinds[at % len(kinds)]](number, tokens.next()) for at, number in enumerate(numbers)]
    stored = masked(data.draw(st.sampled_from(list(LINKS))), packets)
    assert not tokens.shown(stored), stored


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("kind", CARRIERS)
def test_runs_of_what_is_not_sip(kind: str, link: str):
    """A long run of one kind shows nothing either: not when it counts up, repeats, or counts where RTP does."""
    tokens = Tokens()
    numbers = [*range(20), *range(20, 0, -1), 7, 7, 7]
    assert not tokens.shown(masked(link, [CARRIERS[kind](number, tokens.next()) for number in numbers]))


def test_fax_that_comes_again_after_128_packets():
    """UDPTL packets 128 apart differ by what RTP has as its marker, and in nothing else: they are no sequence."""
    mask, (link_type, frame) = Masker(Profile.SIGNALLING, Selector(), 262_144), LINKS["ethernet"]
    for number, length in ((0x8001, 20), (0x8081, 21), (0x8101, 22), (0x8181, 23)):
        fax = struct.pack("!HBB", number, 0, length) + bytes(20)
        assert len(mask.mask(link_type, frame(b"\x08\0", ipv4(UDP, udp(fax, 30_000, 40_000)))) or b"") == 42


def _planted(frames: list[bytes], tokens: Tokens) -> Iterator[bytes]:
    """Real frames with a secret in each: a header and a line of SDP in messages, other bytes in all else."""
    for raw in frames:
        start = max(raw.find(b"SIP/2.0 "), 0) or raw.find(b" SIP/2.0\r\n")
        if start > 0 and (at := raw.find(b"\r\n", start)) > 0:
            yield raw[:at] + tokens.fill('\r\nX-A: {}\r\nAuthorization: Digest response="{}"\r\nX-B: {}') + raw[at:]
        else:
            token = tokens.next()
            yield raw[:70] + (token * 99)[: len(raw) - 70]


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="lay the published captures in ../shared/data/pcap")
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_real_frames_changed_at_random(data: st.DataObject):
    """Frames of real captures with changed bytes, in any order, cut or lengthened, show no secret planted in them."""
    tokens, (kind, frames) = Tokens(), data.draw(st.sampled_from(_real_frames()))
    begin = data.draw(st.integers(0, max(0, len(frames) - 12)))
    mask = Masker(Profile.SIGNALLING, Selector(), 262_144)
    for frame in data.draw(st.permutations(list(_planted(frames[begin : begin + 12], tokens)))):
        raw = bytearray(frame)
        for at in data.draw(st.lists(st.integers(0, min(120, len(raw) - 1)), max_size=3)):
            raw[at] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(raw))) if data.draw(st.booleans()) else len(raw)
        out = mask.mask(kind, bytes(raw[:cut]) + data.draw(st.sampled_from([b"", b"\0", b"trailer"])))
        assert out is not None
        assert not tokens.shown(out), out


def _real_frames() -> list[tuple[int, list[bytes]]]:
    found = []
    for path in REAL:
        with path.open("rb") as file:
            reader = open_capture(file)
            frames = [frame.data for frame, _ in zip(reader, range(200), strict=False)]
        found.append((reader.interfaces[0].link_type, frames))
    return found

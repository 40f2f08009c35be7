"""Where the headers of a frame end: link, network, transport. Nothing is copied, nothing is believed.

Every length in a packet is clipped to the bytes at hand. Link types: Ethernet with up to three VLAN tags, Linux cooked
v1 and v2, raw IP, BSD loopback. Tunnels are not opened: what they carry is payload.
"""

from typing import NamedTuple

LINKTYPE_NULL = 0
LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101
LINKTYPE_LOOP = 108
LINKTYPE_SLL = 113
LINKTYPE_IPV4 = 228
LINKTYPE_IPV6 = 229
LINKTYPE_SLL2 = 276

UDP = 17
TCP = 6
ICMP = 1
ICMP6 = 58

_VLAN_TAGS = frozenset({b"\x81\x00", b"\x88\xa8", b"\x91\x00"})
_IPV4 = b"\x08\x00"
_IPV6 = b"\x86\xdd"
_MAX_TAGS = 3
_MAX_EXTENSIONS = 8
_FRAGMENT_HEADER = 44
_AUTHENTICATION_HEADER = 51
_EXTENSIONS = frozenset({0, 43, 60, _FRAGMENT_HEADER, _AUTHENTICATION_HEADER})
#: Address families of BSD loopback: AF_INET is 2 everywhere; AF_INET6 is 10, 24, 28 or 30.
_FAMILIES = {2: _IPV4, 10: _IPV6, 24: _IPV6, 28: _IPV6, 30: _IPV6}
#: Where the type of the payload stands in a link header, and where the header ends.
_LINK_HEADERS = {LINKTYPE_ETHERNET: (12, 14), LINKTYPE_SLL: (14, 16), LINKTYPE_SLL2: (0, 20)}
_RAW_TYPES = frozenset({12, 14, LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6})


class Packet(NamedTuple):
    """An IP packet in a frame. Offsets count from the start of the frame.

    `transport` is where the transport header starts, `end` where the packet ends; both lie within the frame.
    `datagram` names the whole that a fragment belongs to, and is empty when there are no others.
    """

    protocol: int
    transport: int
    end: int
    source: bytes
    destination: bytes
    datagram: bytes = b""
    first: bool = True


class Cut(NamedTuple):
    """A frame that could be read up to `at` only. `malformed` tells a broken IP packet from something else."""

    at: int
    malformed: bool


def find_packet(link_type: int, data: bytes) -> Packet | Cut:
    """The IP packet in a frame, or how far the frame could be read."""
    kind, start = _network(link_type, data)
    if kind == _IPV4:
        return _ipv4(data, start)
    if kind == _IPV6:
        return _ipv6(data, start)
    return Cut(min(start, len(data)), malformed=False)


def quoted_packet(data: bytes, start: int) -> Packet | Cut:
    """The IP packet that an ICMP error quotes at `start`."""
    return _ipv6(data, start) if data[start : start + 1] >= b"\x60" else _ipv4(data, start)


def header_end(packet: Packet, data: bytes) -> int:
    """Where the transport header ends; 0 when it is broken or not all at hand. A later fragment has none."""
    if not packet.first:
        return packet.transport
    length = {UDP: 8, TCP: 20, ICMP: 8, ICMP6: 8}.get(packet.protocol, 0)
    if packet.transport + length > packet.end:
        return 0
    if packet.protocol == TCP:
        stated = 4 * (data[packet.transport + 12] >> 4)
        return packet.transport + stated if stated >= length and packet.transport + stated <= packet.end else 0
    return packet.transport + length


def _network(link_type: int, data: bytes) -> tuple[bytes, int]:
    if link_type in _LINK_HEADERS:
        return _tagged(data, *_LINK_HEADERS[link_type])
    if link_type in _RAW_TYPES:
        return {4: _IPV4, 6: _IPV6}.get(data[0] >> 4 if data else 0, b""), 0
    if link_type in {LINKTYPE_NULL, LINKTYPE_LOOP} and len(data) >= 4:
        # The word is in the order of the machine that captured; a family fits in one byte, so both ends are tried.
        little, big = int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big")
        return _FAMILIES.get(little) or _FAMILIES.get(big, b""), 4
    return b"", 0


def _tagged(data: bytes, type_at: int, start: int) -> tuple[bytes, int]:
    kind = data[type_at : type_at + 2]
    for _ in range(_MAX_TAGS):
        if kind not in _VLAN_TAGS:
            break
        kind = data[start + 2 : start + 4]
        start += 4
    return kind, start


def _ipv4(data: bytes, start: int) -> Packet | Cut:
    if len(data) < start + 20 or data[start] >> 4 != 4:
        return Cut(min(start, len(data)), malformed=True)
    header = 4 * (data[start] & 0x0F)
    # Offloading leaves a length of zero on packets that are too long for the field.
    total = int.from_bytes(data[start + 2 : start + 4], "big") or len(data) - start
    if header < 20 or total < header or len(data) < start + header:
        return Cut(start, malformed=True)
    flags = int.from_bytes(data[start + 6 : start + 8], "big")
    identity = b""
    if flags & 0x3FFF:
        identity = data[start + 4 : start + 6] + data[start + 9 : start + 10] + data[start + 12 : start + 20]
    return Packet(
        data[start + 9],
        start + header,
        min(start + total, len(data)),
        data[start + 12 : start + 16],
        data[start + 16 : start + 20],
        identity,
        not flags & 0x1FFF,
    )


def _ipv6(data: bytes, start: int) -> Packet | Cut:
    at = start + 40
    if len(data) < at or data[start] >> 4 != 6:
        return Cut(min(start, len(data)), malformed=True)
    length = int.from_bytes(data[start + 4 : start + 6], "big")
    end = min(at + length, len(data)) if length else len(data)
    source, destination = data[start + 8 : start + 24], data[start + 24 : start + 40]
    protocol, identity, first = data[start + 6], b"", True
    for _ in range(_MAX_EXTENSIONS):
        if protocol not in _EXTENSIONS or not first:
            break
        if at + 8 > end:
            return Cut(at, malformed=True)
        if protocol == _FRAGMENT_HEADER:
            offset = int.from_bytes(data[at + 2 : at + 4], "big")
            first = offset < 8
            # RFC 8200, 4.5: the next header is not part of what fragments have in common.
            identity = data[at + 4 : at + 8] + source + destination if offset & 0xFFF9 else b""
        protocol, at = data[at], at + _extension_length(protocol, data[at + 1])
        if at > end:
            return Cut(end, malformed=True)
    return Packet(protocol, at, end, source, destination, identity, first)


def _extension_length(kind: int, length: int) -> int:
    if kind == _FRAGMENT_HEADER:
        return 8
    return 4 * (length + 2) if kind == _AUTHENTICATION_HEADER else 8 * (length + 1)

"""Dissection: the ends of the link, network and transport headers of a frame. No bytes are copied or trusted.

Every length in a packet is clipped to the available bytes. Link types: Ethernet with up to three VLAN tags, Linux
cooked v1 and v2, raw IP, BSD loopback. The content of a tunnel is payload. All bytes behind an unknown option are
payload too, because an option can hold keys or cookies and would be kept as part of a header.
"""

from collections.abc import Container, Mapping
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
_TRANSPORT_HEADERS = {UDP: 8, TCP: 20, ICMP: 8, ICMP6: 8}
_CHECKSUMS = {UDP: 6, TCP: 16, ICMP: 2, ICMP6: 2}
_FRAGMENT_HEADER = 44
_EXTENSIONS = frozenset({0, 60, _FRAGMENT_HEADER})
#: Options by kind, with the lengths they may have: router alert; segment size, window, selective acks, timestamps.
_IPV4_OPTIONS = {148: frozenset({4})}
_TCP_OPTIONS = {2: {4}, 3: {3}, 4: {2}, 5: {10, 18, 26, 34}, 8: {10}}
#: Router alert and jumbo length, without the two bytes of kind and length.
_IPV6_OPTIONS = {5: 2, 194: 4}
#: Address families of BSD loopback: AF_INET is 2 everywhere; AF_INET6 is 10, 24, 28 or 30.
_FAMILIES = {2: _IPV4, 10: _IPV6, 24: _IPV6, 28: _IPV6, 30: _IPV6}
#: The offset of the payload type in a link header, and the end of the header.
_LINK_HEADERS = {LINKTYPE_ETHERNET: (12, 14), LINKTYPE_SLL: (14, 16), LINKTYPE_SLL2: (0, 20)}
_RAW_TYPES = frozenset({12, 14, LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6})


class Packet(NamedTuple):
    """An IP packet in a frame. Offsets count from the start of the frame.

    `transport` is where the transport header starts, `end` where the packet ends; both lie within the frame.
    `datagram` identifies the datagram of a fragment; empty without fragments. `clipped` is true if the frame ends
    before the packet.
    """

    protocol: int
    transport: int
    end: int
    source: bytes
    destination: bytes
    datagram: bytes = b""
    first: bool = True
    clipped: bool = False


class Cut(NamedTuple):
    """A frame that could be read up to `at` only. `malformed` is true for a broken IP packet, false for another."""

    at: int
    malformed: bool


def find_packet(link_type: int, data: bytes) -> Packet | Cut:
    """Return the IP packet in a frame, or how far the frame could be read."""
    kind, start = _network(link_type, data)
    if kind == _IPV4:
        return _ipv4(data, start)
    if kind == _IPV6:
        return _ipv6(data, start)
    return Cut(min(start, len(data)), malformed=False)


def quoted_packet(data: bytes, start: int) -> Packet | Cut:
    """Return the IP packet that an ICMP error quotes at `start`."""
    return _ipv6(data, start) if data[start : start + 1] >= b"\x60" else _ipv4(data, start)


def header_end(packet: Packet, data: bytes) -> int | Cut:
    """Return the end of the transport header, or how far it could be read. A later fragment has no header."""
    if not packet.first:
        return packet.transport
    end = packet.transport + _TRANSPORT_HEADERS.get(packet.protocol, 0)
    if end > packet.end:
        return Cut(packet.transport, malformed=True)
    if packet.protocol != TCP:
        return end
    stated = packet.transport + 4 * (data[packet.transport + 12] >> 4)
    if not end <= stated <= packet.end:
        return Cut(packet.transport, malformed=True)
    return stated if _knows(_TCP_OPTIONS, data, end, stated) else Cut(end, malformed=True)


def without_checksum(packet: Packet, data: bytes, end: int) -> bytes:
    """Return the frame up to `end`, with zeros for the checksum of the transport.

    The checksum covers the payload too. With all other bytes known, it would reveal a digit or a letter of the payload.
    """
    at = packet.transport + _CHECKSUMS.get(packet.protocol, end)
    return data[:end] if not packet.first or at + 2 > end else data[:at] + b"\0\0" + data[at + 2 : end]


def _network(link_type: int, data: bytes) -> tuple[bytes, int]:
    if link_type in _LINK_HEADERS:
        return _tagged(data, *_LINK_HEADERS[link_type])
    if link_type in _RAW_TYPES:
        return {4: _IPV4, 6: _IPV6}.get(data[0] >> 4 if data else 0, b""), 0
    if link_type in {LINKTYPE_NULL, LINKTYPE_LOOP} and len(data) >= 4:
        # The word has the byte order of the capturing machine. A family fits in one byte, so both ends are tried.
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
    # Offloading leaves a length of zero in packets that are too long for the field.
    total = int.from_bytes(data[start + 2 : start + 4], "big") or len(data) - start
    if header < 20 or total < header or len(data) < start + header:
        return Cut(start, malformed=True)
    if not _knows(_IPV4_OPTIONS, data, start + 20, start + header):
        return Cut(start + 20, malformed=True)
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
        start + total > len(data),
    )


def _ipv6(data: bytes, start: int) -> Packet | Cut:
    at = start + 40
    if len(data) < at or data[start] >> 4 != 6:
        return Cut(min(start, len(data)), malformed=True)
    length = int.from_bytes(data[start + 4 : start + 6], "big")
    end = min(at + length, len(data)) if length else len(data)
    clipped = at + length > len(data)
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
            protocol, at = data[at], at + 8
            continue
        following = at + 8 * (data[at + 1] + 1)
        if following > end or not _knows_ipv6(data, at + 2, following):
            return Cut(at, malformed=True)
        protocol, at = data[at], following
    return Packet(protocol, at, end, source, destination, identity, first, clipped)


def _knows(known: Mapping[int, Container[int]], data: bytes, at: int, end: int) -> bool:
    """Return whether all options of IPv4 or TCP are known. Kind 0 ends them, 1 is padding."""
    while at < end:
        kind = data[at]
        if kind == 0:
            return not any(data[at:end])
        length = 1 if kind == 1 else data[at + 1] if at + 1 < end else 0
        if kind != 1 and length not in known.get(kind, ()):
            return False
        at += length
    return at == end


def _knows_ipv6(data: bytes, at: int, end: int) -> bool:
    """Return whether all options of an extension header are known. Kind 0 is one byte; 1 is padding with zeros."""
    while at < end:
        kind, length = data[at], data[at + 1] if at + 1 < end else 0
        if kind == 1 and any(data[at + 2 : at + 2 + length]):
            return False
        if kind > 1 and _IPV6_OPTIONS.get(kind) != length:
            return False
        at += 2 + length if kind else 1
    return at == end

"""IPv4 (RFC 791) and IPv6 (RFC 8200) headers, and the UDP and TCP headers behind them."""

import socket
from functools import lru_cache
from typing import NamedTuple

from linewarden.diagnostics.analysis.model import Endpoint

UDP = 17
TCP = 6

_FRAGMENT_HEADER = 44
_AUTHENTICATION_HEADER = 51
_OPTION_HEADERS = frozenset({0, 43, 60, 135, 139, 140})
_MAX_EXTENSION_HEADERS = 8


class Fragment(NamedTuple):
    """The place of a fragment in its packet; `offset` in bytes."""

    ident: int
    offset: int
    more: bool


class IpPacket(NamedTuple):
    """The content of an IP packet. `length` is the value of the header; `payload` may be shorter.

    `ident` is the identification of IPv4 (RFC 6864), 0 for IPv6. `hops` is TTL or hop limit.
    """

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes
    length: int
    fragment: Fragment | None = None
    ident: int = 0
    hops: int = 0


class Segment(NamedTuple):
    """One TCP segment (RFC 9293). `original_length` counts its data as it was on the wire."""

    source: Endpoint
    destination: Endpoint
    sequence: int
    opens: bool
    ends: bool
    data: bytes
    original_length: int


@lru_cache(maxsize=4096)
def address_text(packed: bytes) -> str:
    """An address as it is written."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def packed(address: str) -> bytes:
    """The address that `address_text` wrote, as it stands in a packet."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def read_ip(data: bytes, offset: int) -> IpPacket | None:
    """The IP packet that begins at `offset`, or None where its headers are cut or wrong."""
    if offset >= len(data):
        return None
    version = data[offset] >> 4
    if version == 4:
        return _read_ipv4(data, offset)
    return _read_ipv6(data, offset) if version == 6 else None


def _read_ipv4(data: bytes, offset: int) -> IpPacket | None:
    header = (data[offset] & 15) * 4
    if header < 20 or len(data) < offset + header:
        return None
    # Zero is written by senders that leave cutting into packets to the network card.
    total = int.from_bytes(data[offset + 2 : offset + 4]) or len(data) - offset
    if total < header:
        return None
    place = int.from_bytes(data[offset + 6 : offset + 8])
    ident = int.from_bytes(data[offset + 4 : offset + 6])
    fragment = None
    if place & 0x3FFF:
        fragment = Fragment(ident, (place & 0x1FFF) * 8, bool(place & 0x2000))
    return IpPacket(
        data[offset + 12 : offset + 16],
        data[offset + 16 : offset + 20],
        data[offset + 9],
        data[offset + header : offset + total],
        total - header,
        fragment,
        ident,
        data[offset + 8],
    )


def _read_ipv6(data: bytes, offset: int) -> IpPacket | None:
    if len(data) < offset + 40:
        return None
    length = int.from_bytes(data[offset + 4 : offset + 6]) or len(data) - offset - 40
    end = offset + 40 + length
    protocol, at, fragment = data[offset + 6], offset + 40, None
    for _ in range(_MAX_EXTENSION_HEADERS):
        if protocol not in _OPTION_HEADERS and protocol not in {_FRAGMENT_HEADER, _AUTHENTICATION_HEADER}:
            break
        if len(data) < at + 8:
            return None
        if protocol == _FRAGMENT_HEADER:
            place = int.from_bytes(data[at + 2 : at + 4])
            fragment = Fragment(int.from_bytes(data[at + 4 : at + 8]), place & 0xFFF8, bool(place & 1))
        protocol, at = data[at], at + _extension_length(protocol, data[at + 1])
        if fragment is not None and fragment.offset:
            break
    if at > end:
        return None
    source, destination = data[offset + 8 : offset + 24], data[offset + 24 : offset + 40]
    return IpPacket(source, destination, protocol, data[at:end], end - at, fragment, hops=data[offset + 7])


def _extension_length(protocol: int, length: int) -> int:
    if protocol == _FRAGMENT_HEADER:
        return 8
    return (length + 2) * 4 if protocol == _AUTHENTICATION_HEADER else (length + 1) * 8


def read_udp(packet: IpPacket) -> tuple[Endpoint, Endpoint, bytes, int] | None:
    """Source, destination, data and original length of the datagram, or None where the header is cut or wrong."""
    head = packet.payload
    if len(head) < 8:
        return None
    length = min(int.from_bytes(head[4:6]) or packet.length, packet.length)
    if length < 8:
        return None
    source = Endpoint(address_text(packet.source), int.from_bytes(head[0:2]))
    destination = Endpoint(address_text(packet.destination), int.from_bytes(head[2:4]))
    return source, destination, head[8:length], length - 8


def read_tcp(packet: IpPacket) -> Segment | None:
    """The segment, or None where the header is cut or wrong."""
    head = packet.payload
    if len(head) < 20:
        return None
    start = (head[12] >> 4) * 4
    if start < 20 or start > packet.length:
        return None
    return Segment(
        Endpoint(address_text(packet.source), int.from_bytes(head[0:2])),
        Endpoint(address_text(packet.destination), int.from_bytes(head[2:4])),
        int.from_bytes(head[4:8]),
        bool(head[13] & 0x02),
        bool(head[13] & 0x05),
        head[start:],
        packet.length - start,
    )

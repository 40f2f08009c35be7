"""Packets within packets: IP in IP (RFC 2003, 2473), GRE (RFC 2784, 2890) with ERSPAN, MPLS in IP, and VXLAN."""

from linewarden.diagnostics.analysis import unread
from linewarden.diagnostics.analysis.link_layer import BRIDGED, after_type

#: Tunnels in a tunnel.
MAX_DEPTH = 4

_IP_IN_IP = frozenset({4, 41})
_GRE = 47
_MPLS_IN_IP = 137
_VXLAN_PORTS = frozenset(port.to_bytes(2) for port in (4789, 8472))
_ERSPAN_2 = 0x88BE
_ERSPAN_3 = 0x22EB


def inner_offset(protocol: int, payload: bytes) -> int | str:
    """Return where in the payload of an IP packet another one begins, or the type of what it carries instead."""
    if protocol in _IP_IN_IP:
        return 0
    if protocol == _GRE:
        return _after_gre(payload)
    return after_type(payload, 0x8847, 0) if protocol == _MPLS_IN_IP else unread.ip_protocol(protocol)


def vxlan_offset(data: bytes) -> int | str | None:
    """Return the same for a UDP datagram to a port of VXLAN (RFC 7348); None if it is something else."""
    if data[2:4] not in _VXLAN_PORTS or data[8:12] != b"\x08\0\0\0":
        return None
    return after_type(data, BRIDGED, 16)


def _after_gre(data: bytes) -> int | str:
    if len(data) < 4:
        return unread.ip_protocol(_GRE)
    flags, kind = data[0], int.from_bytes(data[2:4])
    if data[1] & 7:
        return "GRE of another version"
    # Checksum or routing, key, sequence number.
    offset = 4 + 4 * (bool(flags & 0xC0) + bool(flags & 0x20) + bool(flags & 0x10))
    if flags & 0x40:
        return "GRE with source routes"
    if kind == _ERSPAN_2:
        # Type I has no sequence number, and no header of its own.
        return after_type(data, BRIDGED, offset + 8 * bool(flags & 0x10))
    if kind == _ERSPAN_3:
        more = 8 * (data[offset + 11] & 1) if len(data) > offset + 11 else 0
        return after_type(data, BRIDGED, offset + 12 + more)
    return after_type(data, kind, offset)

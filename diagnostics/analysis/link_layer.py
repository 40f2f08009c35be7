"""The beginning of the IP packet in a frame, by LINKTYPE (https://www.tcpdump.org/linktypes.html).

Read in any order and depth up to a bound: VLAN tags (IEEE 802.1Q), PPPoE (RFC 2516), PPP (RFC 1661), MPLS (RFC 3032)
with IP or Ethernet (RFC 4448), LLC with SNAP. A result is an index into the frame, or the name of what is not read.
"""

from linewarden.diagnostics.analysis import unread

#: The place of the IP packet: raw IP, and loopback of BSD.
_IP_AT = {12: 0, 14: 0, 101: 0, 228: 0, 229: 0, 0: 4, 108: 4}
#: The place of the EtherType and of what follows: Ethernet, Linux cooked v1 and v2.
_TYPE_AT = {1: (12, 14), 113: (14, 16), 276: (0, 20)}
_PPP = frozenset({9, 50})
_PPPOE = 51

_IP_TYPES = frozenset({0x0800, 0x86DD})
_VLAN_TYPES = frozenset({0x8100, 0x88A8, 0x9100})
_MPLS_TYPES = frozenset({0x8847, 0x8848})
_PPPOE_SESSION = 0x8864
#: EtherTypes for the protocols of PPP: IPv4, IPv6, MPLS.
_PPP_TYPES = {0x0021: 0x0800, 0x0057: 0x86DD, 0x0281: 0x8847, 0x0283: 0x8848}
_SNAP = b"\xaa\xaa\x03\0\0\0"
#: Ethernet within Ethernet: GRE (RFC 1701), and a wire over MPLS.
BRIDGED = 0x6558
_MAX_LAYERS = 16


def ip_offset(link_type: int, data: bytes) -> int | str:
    """Return the index at which an IPv4 or IPv6 header begins, or the type of what the frame carries instead."""
    if link_type in _IP_AT:
        return _IP_AT[link_type]
    if link_type in _TYPE_AT:
        type_at, offset = _TYPE_AT[link_type]
        return after_type(data, _number(data, type_at), offset)
    if link_type in _PPP:
        return _after_ppp(data, 2 if data[:1] in {b"\xff", b"\x0f", b"\x8f"} else 0)
    return after_type(data, _PPPOE_SESSION, 0) if link_type == _PPPOE else unread.link_type(link_type)


def after_type(data: bytes, kind: int, offset: int) -> int | str:
    """Return the same for what stands at `offset`, by its EtherType."""
    if kind in _IP_TYPES:
        return offset
    name = unread.ethertype(kind)
    for _ in range(_MAX_LAYERS):
        if kind in _IP_TYPES:
            return offset
        name = unread.ethertype(kind)
        if len(data) < offset + 4:
            return name
        if kind in _VLAN_TYPES:
            kind, offset = _number(data, offset + 2), offset + 4
        elif kind == _PPPOE_SESSION:
            return _after_ppp(data, offset + 6) if len(data) >= offset + 8 else name
        elif kind in _MPLS_TYPES:
            kind, offset = _after_labels(data, offset)
        elif kind == BRIDGED:
            kind, offset = _number(data, offset + 12), offset + 14
        elif kind < 0x600 and data[offset : offset + 6] == _SNAP:
            kind, offset = _number(data, offset + 6), offset + 8
        else:
            return name
    return name


def _after_ppp(data: bytes, offset: int) -> int | str:
    """Read the protocol, which may be compressed to one odd byte (RFC 1661 section 6.5)."""
    short = bool(data[offset : offset + 1]) and bool(data[offset] & 1)
    protocol = data[offset] if short else _number(data, offset)
    kind = _PPP_TYPES.get(protocol)
    return unread.ppp(protocol) if kind is None else after_type(data, kind, offset + (1 if short else 2))


def _after_labels(data: bytes, offset: int) -> tuple[int, int]:
    """Return type and place of what follows the label stack; MPLS itself where the stack does not end."""
    for at in range(offset, min(len(data) - 3, offset + 4 * _MAX_LAYERS), 4):
        if data[at + 2] & 1:
            following = data[at + 4] >> 4 if at + 4 < len(data) else -1
            if following in {4, 6}:
                return (0x0800 if following == 4 else 0x86DD), at + 4
            # A control word begins with four zero bits (RFC 4385), and so do many addresses.
            worded = following == 0 and _number(data, at + 20) in _IP_TYPES | _VLAN_TYPES
            return BRIDGED, at + (8 if worded else 4)
    return 0x8847, len(data)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2])

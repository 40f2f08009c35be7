"""The beginning of the IP packet in a frame, by LINKTYPE (https://www.tcpdump.org/linktypes.html)."""

_ETHERNET = 1
_IP_ONLY = frozenset({12, 14, 101, 228, 229})
_LOOPBACK = frozenset({0, 108})
_COOKED_V1 = 113
_COOKED_V2 = 276

_IP_TYPES = frozenset({0x0800, 0x86DD})
_VLAN_TYPES = frozenset({0x8100, 0x88A8, 0x9100})
_MAX_VLAN_TAGS = 4


def ip_offset(link_type: int, data: bytes) -> int | None:
    """The index at which an IPv4 or IPv6 header begins, or None where the frame carries something else."""
    if link_type == _ETHERNET:
        return _after_type(data, 12, 14)
    if link_type in _IP_ONLY:
        return 0
    if link_type in _LOOPBACK:
        return 4
    if link_type == _COOKED_V1:
        return _after_type(data, 14, 16)
    if link_type == _COOKED_V2:
        return _after_type(data, 0, 20)
    return None


def _after_type(data: bytes, type_at: int, offset: int) -> int | None:
    kind = int.from_bytes(data[type_at : type_at + 2])
    tags = 0
    while kind in _VLAN_TYPES and tags < _MAX_VLAN_TAGS:
        kind = int.from_bytes(data[offset + 2 : offset + 4])
        offset += 4
        tags += 1
    return offset if kind in _IP_TYPES else None

"""From a frame to the innermost IP packets in it, whole and without copies."""

from collections import Counter
from typing import NamedTuple

from linewarden.diagnostics.analysis import unread
from linewarden.diagnostics.analysis.copies import Copies
from linewarden.diagnostics.analysis.fragments import Fragments
from linewarden.diagnostics.analysis.link_layer import ip_offset
from linewarden.diagnostics.analysis.model import Frame, Omission
from linewarden.diagnostics.analysis.network import TCP, UDP, IpPacket, read_ip
from linewarden.diagnostics.analysis.tunnels import MAX_DEPTH, inner_offset, vxlan_offset
from linewarden.diagnostics.analysis.unread import Unread


class Arrived(NamedTuple):
    """A whole packet of UDP or TCP. `copy` is true for a copy of one before, which is to be counted only."""

    time_ns: int
    packet: IpPacket
    copy: bool = False


class Decapsulation:
    """The layers below the transport. At most `fragmented` packets are held in pieces."""

    def __init__(self, fragmented: int, omitted: Counter[Omission], not_read: Unread) -> None:
        self.copies = Copies()
        self._omitted = omitted
        self._unread = not_read
        self._fragments = Fragments(fragmented, omitted)

    def read(self, frame: Frame) -> list[Arrived]:
        """Take the next frame; return the packets that it carries or completes."""
        offset = ip_offset(frame.link_type, frame.data)
        if isinstance(offset, int):
            return self._ip(frame.time_ns, frame.data, offset, 0)
        self._omitted[Omission.FRAME_NOT_IP] += 1
        self._unread.count(offset)
        return []

    def rest(self) -> list[Arrived]:
        """Return the beginnings of packets that never became whole."""
        return [arrived for each in self._fragments.rest() for arrived in self._content(*each, 0)]

    def _ip(self, time_ns: int, data: bytes, offset: int, depth: int) -> list[Arrived]:
        packet = read_ip(data, offset)
        if packet is None:
            self._omitted[Omission.PACKET_UNREADABLE] += 1
            return []
        if self.copies.is_copy(packet, time_ns):
            self._omitted[Omission.COPY] += 1
            counted = packet.fragment is None and packet.protocol == UDP
            return [Arrived(time_ns, packet, copy=True)] if counted else []
        if packet.fragment is None:
            return self._content(time_ns, packet, depth)
        whole = self._fragments.add(packet, time_ns)
        return [arrived for each in whole for arrived in self._content(*each, depth)]

    def _content(self, time_ns: int, packet: IpPacket, depth: int) -> list[Arrived]:
        """Return the packet itself, or those in a tunnel."""
        data, offset = packet.payload, self._tunnel(packet)
        if offset is None:
            return [Arrived(time_ns, packet)]
        if isinstance(offset, int) and depth < MAX_DEPTH:
            return self._ip(time_ns, data, offset, depth + 1)
        self._omitted[Omission.OTHER_PROTOCOL] += 1
        self._unread.count(unread.TOO_DEEP if isinstance(offset, int) else offset)
        return []

    def _tunnel(self, packet: IpPacket) -> int | str | None:
        if packet.protocol == UDP:
            return vxlan_offset(packet.payload)
        return None if packet.protocol == TCP else inner_offset(packet.protocol, packet.payload)

"""From a frame to the innermost IP packets in it, whole and without copies."""

from collections import Counter
from collections.abc import Iterator
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

    def read(self, frame: Frame) -> Iterator[Arrived]:
        """Take the next frame; return the packets that it carries or completes."""
        offset = ip_offset(frame.link_type, frame.data)
        if isinstance(offset, str):
            self._omitted[Omission.FRAME_NOT_IP] += 1
            self._unread.count(offset)
        else:
            yield from self._ip(frame.time_ns, frame.data, offset, 0)

    def rest(self) -> Iterator[Arrived]:
        """Return the beginnings of packets that never became whole."""
        for time_ns, packet in self._fragments.rest():
            yield from self._content(time_ns, packet, 0)

    def _ip(self, time_ns: int, data: bytes, offset: int, depth: int) -> Iterator[Arrived]:
        packet = read_ip(data, offset)
        if packet is None:
            self._omitted[Omission.PACKET_UNREADABLE] += 1
        elif self.copies.is_copy(packet, time_ns):
            self._omitted[Omission.COPY] += 1
            if packet.fragment is None and packet.protocol == UDP:
                yield Arrived(time_ns, packet, copy=True)
        elif packet.fragment is None:
            yield from self._content(time_ns, packet, depth)
        else:
            for first_ns, whole in self._fragments.add(packet, time_ns):
                yield from self._content(first_ns, whole, depth)

    def _content(self, time_ns: int, packet: IpPacket, depth: int) -> Iterator[Arrived]:
        """Return the packet itself, or those in a tunnel."""
        data, offset = packet.payload, self._tunnel(packet)
        if offset is None:
            yield Arrived(time_ns, packet)
        elif isinstance(offset, int) and depth < MAX_DEPTH:
            yield from self._ip(time_ns, data, offset, depth + 1)
        else:
            self._omitted[Omission.OTHER_PROTOCOL] += 1
            self._unread.count(unread.TOO_DEEP if isinstance(offset, int) else offset)

    def _tunnel(self, packet: IpPacket) -> int | str | None:
        if packet.protocol == UDP:
            port, inner = int.from_bytes(packet.payload[2:4]), packet.payload[8:]
            offset = vxlan_offset(port, inner)
            return offset + 8 if isinstance(offset, int) else offset
        return None if packet.protocol == TCP else inner_offset(packet.protocol, packet.payload)

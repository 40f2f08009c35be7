"""Packet ring: the packets of an interface in memory that is shared with the kernel (TPACKET_V3, packet_mmap).

The kernel fills 64 blocks of 1 MiB. It closes a block when it is full or after RETIRE_MS; this process then reads it
and returns it. One system call serves thousands of packets. A loop over `recvmsg` needs a call for each packet. A
mapped ring costs one or two microseconds per packet, which makes 50,000 packets a second with masking possible in
Python.
"""

import mmap
import os
import select
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from linewarden.diagnostics.packets.errors import FailureCode, SourceUnusable

BLOCK_BYTES = 1 << 20
BLOCKS = 64
RETIRE_MS = 50

PACKET_OUTGOING = 4

_SOL_PACKET = 263
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_TPACKET_V3 = 2
_FRAME_BYTES = 2_048
_STATUS_USER = 1
_STATUS_VLAN_VALID = 1 << 4
_STATUS_VLAN_TPID_VALID = 1 << 6

#: Block header: version, offset to private data, then status, packets, offset of the first packet.
_block_head = struct.Struct("=3I").unpack_from
_BLOCK_HEAD_AT = 8
#: tpacket3_hdr: next offset, seconds, nanoseconds, captured, length, status, mac, net, rxhash, vlan tci, vlan tpid.
_packet_head = struct.Struct("=6I2H2IH").unpack_from
#: sockaddr_ll follows the header, aligned to 16: family, protocol, interface, hardware type, packet type, address.
_ADDRESS_AT = 48
_address = struct.Struct("=H2siHBB8s").unpack_from


class RingPacket(NamedTuple):
    """A packet in the ring, at `at`. `vlan` is the tag that the kernel removed from it: four bytes, or empty."""

    time_ns: int
    data: bytes
    original_length: int
    vlan: bytes
    at: int


class LinkAddress(NamedTuple):
    """The origin of a packet, as the kernel states it."""

    protocol: bytes
    interface: int
    hardware: int
    direction: int
    address: bytes


class PacketRing:
    """The ring of one packet socket. The caller closes the socket, and must not have bound it yet."""

    def __init__(self, packet_socket: socket.socket) -> None:
        """Raise OSError if the kernel does not provide a ring."""
        packet_socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        frames = BLOCK_BYTES // _FRAME_BYTES * BLOCKS
        request = struct.pack("=7I", BLOCK_BYTES, BLOCKS, _FRAME_BYTES, frames, RETIRE_MS, 0, 0)
        packet_socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
        self._map = mmap.mmap(packet_socket.fileno(), BLOCK_BYTES * BLOCKS)
        self._socket = packet_socket
        self._poll = select.poll()
        self._poll.register(packet_socket, select.POLLIN | select.POLLERR)
        self._block = 0

    def read(self, timeout: float) -> Iterator[RingPacket]:
        """Yield the packets of the next closed block. Wait up to `timeout` seconds for one. Exhaust the iterator.

        Raise SourceUnusable if the interface disappeared.
        """
        base = self._block * BLOCK_BYTES
        if not _block_head(self._map, base + _BLOCK_HEAD_AT)[0] & _STATUS_USER:
            self._check(self._poll.poll(timeout * 1_000))
        status, count, first = _block_head(self._map, base + _BLOCK_HEAD_AT)
        if status & _STATUS_USER:
            yield from self._packets(base + first, count)
            struct.pack_into("=I", self._map, base + _BLOCK_HEAD_AT, 0)
            self._block = (self._block + 1) % BLOCKS

    def _check(self, events: list[tuple[int, int]]) -> None:
        """Raise the error of the socket, because `poll` would report it again and again without waiting."""
        if any(what & select.POLLERR for _, what in events):
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            text = f"the interface can no longer be captured from: {os.strerror(code)}"
            raise SourceUnusable(text, FailureCode.INTERFACE)

    def _packets(self, at: int, count: int) -> Iterator[RingPacket]:
        memory = self._map
        for _ in range(count):
            following, seconds, nanoseconds, size, length, status, mac, _, _, tci, tpid = _packet_head(memory, at)
            vlan = b""
            if status & _STATUS_VLAN_VALID:
                vlan = struct.pack("!HH", tpid if status & _STATUS_VLAN_TPID_VALID else 0x8100, tci & 0xFFFF)
            start = at + mac
            time_ns = seconds * 1_000_000_000 + nanoseconds
            yield RingPacket(time_ns, memory[start : start + size], length, vlan, at)
            at += following

    def address(self, packet: RingPacket) -> LinkAddress:
        """Return the origin of a packet. Call it only while its block is being read."""
        _, protocol, interface, hardware, direction, size, address = _address(self._map, packet.at + _ADDRESS_AT)
        return LinkAddress(protocol, interface, hardware, direction, address[:size])

    def statistics(self) -> tuple[int, int]:
        """Return how many packets passed the filter since the last call, and how many of them were dropped."""
        received, dropped, _ = struct.unpack("=3I", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12))
        return received, dropped

    def close(self) -> None:
        """Unmap the ring."""
        self._map.close()

"""An interface as a source: a packet socket that receives no packet before its filter is set.

Order of opening: socket with protocol 0 (it receives nothing), a filter that drops all, the ring, the real filter, and
then bind. Promiscuous mode is never set. Every packet of `lo` passes twice, out and in; the first is skipped.
Interfaces other than Ethernet, and `any`, are read "cooked": their link header is replaced by a Linux cooked header
(LINKTYPE_LINUX_SLL2).
"""

import ctypes
import os
import socket
import struct
from collections.abc import Sequence

from linewarden.diagnostics.packets.dissect import LINKTYPE_ETHERNET, LINKTYPE_RAW, LINKTYPE_SLL2
from linewarden.diagnostics.packets.errors import FailureCode, SourceUnusable
from linewarden.diagnostics.packets.libpcap import compile_filter, compile_on_ethernet
from linewarden.diagnostics.packets.model import Frame, Interface, SourceCounters
from linewarden.diagnostics.packets.ring import PACKET_OUTGOING, PacketRing, RingPacket

_ETH_P_ALL = 3
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_ARPHRD_ETHER = 1
_ARPHRD_LOOPBACK = 772
_DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)
_ANY = "any"
_LOOPBACK = "lo"


class LiveSource:
    """The packets of one interface, or of all interfaces."""

    def __init__(self, name: str, filter_text: str) -> None:
        """Open the interface. Raise SourceUnusable if it or the right to read it is missing; FilterRefused."""
        self._received = self._dropped = self._skipped = 0
        self._socket = _packet_socket()
        try:
            self._open(name, filter_text)
        except OSError as error:
            self._socket.close()
            text = f"the interface cannot be captured from: {error.strerror}"
            raise SourceUnusable(text, FailureCode.INTERFACE) from None
        except BaseException:
            self._socket.close()
            raise

    @property
    def interfaces(self) -> Sequence[Interface]:
        """The one interface."""
        return (self._interface,)

    def read(self, timeout: float) -> list[Frame] | None:
        """Return the packets of the next block of the ring."""
        if self._cooked:
            frames = [self._cook(packet) for packet in self._ring.read(timeout)]
            return [frame for frame in frames if frame is not None]
        return [_frame(packet) for packet in self._ring.read(timeout)]

    def pause(self) -> None:
        """Drop all packets. The kernel closes the last block within ring.RETIRE_MS."""
        _attach(self._socket, _DROP_ALL)

    def resume(self) -> None:
        """Set the filter again."""
        self._open_filter()

    def stop(self) -> None:
        """Drop all packets for good; see `pause`."""
        self.pause()

    def counters(self) -> list[SourceCounters]:
        """Return the counters of the kernel, without the skipped duplicates of loopback."""
        received, dropped = self._ring.statistics()
        self._received += received
        self._dropped += dropped
        return [SourceCounters(self._received - self._skipped, self._dropped)]

    def close(self) -> None:
        """Close ring and socket."""
        self._ring.close()
        self._socket.close()

    def _open(self, name: str, filter_text: str) -> None:
        hardware = _hardware(self._socket, name)
        self._cooked = hardware not in {_ARPHRD_ETHER, _ARPHRD_LOOPBACK}
        if self._cooked:
            self._socket.close()
            self._socket = _packet_socket(socket.SOCK_DGRAM)
        self._interface = Interface(name, LINKTYPE_SLL2 if self._cooked else LINKTYPE_ETHERNET)
        self._loopback = socket.if_nametoindex(_LOOPBACK) if name == _ANY else 0
        self._filter = self._program(filter_text)
        _attach(self._socket, _DROP_ALL)
        if name == _LOOPBACK:
            self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._ring = PacketRing(self._socket)
        self._open_filter()
        _bind(self._socket, 0 if name == _ANY else socket.if_nametoindex(name))

    def _open_filter(self) -> None:
        if self._filter:
            _attach(self._socket, self._filter)
        else:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)

    def _program(self, filter_text: str) -> bytes:
        """Compile the filter. On a cooked socket it sees the packet from its network header on."""
        if not filter_text:
            return b""
        if self._cooked:
            return compile_filter(filter_text, LINKTYPE_RAW)
        return compile_on_ethernet(filter_text)

    def _cook(self, packet: RingPacket) -> Frame | None:
        address = self._ring.address(packet)
        if address.direction == PACKET_OUTGOING and address.interface == self._loopback:
            self._skipped += 1
            return None
        header = struct.pack(
            "!2sHiHBB8s",
            address.protocol,
            0,
            address.interface,
            address.hardware,
            address.direction,
            len(address.address),
            address.address,
        )
        return Frame(packet.time_ns, header + packet.data, len(header) + packet.original_length)


def _frame(packet: RingPacket) -> Frame:
    if packet.vlan:
        data = packet.data[:12] + packet.vlan + packet.data[12:]
        return Frame(packet.time_ns, data, packet.original_length + 4)
    return Frame(packet.time_ns, packet.data, packet.original_length)


def _packet_socket(kind: int = socket.SOCK_RAW) -> socket.socket:
    try:
        return socket.socket(socket.AF_PACKET, kind, 0)
    except PermissionError:
        raise SourceUnusable("a live capture needs root or CAP_NET_RAW", FailureCode.RIGHTS) from None


def _hardware(probe: socket.socket, name: str) -> int:
    """Return the hardware type of an interface; 0 for `any`. Raise OSError if the interface does not exist."""
    if name == _ANY:
        return 0
    # The address of a socket that is bound with protocol 0 has the type, and no packet is received.
    probe.bind((name, 0))
    kind: int = probe.getsockname()[3]
    return kind


def _bind(packet_socket: socket.socket, interface: int) -> None:
    """Bind to an interface by number, because Python's `bind` cannot name all interfaces, which is number 0."""
    address = struct.pack("=H2siHBB8s", socket.AF_PACKET, struct.pack("!H", _ETH_P_ALL), interface, 0, 0, 0, b"")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(packet_socket.fileno(), address, len(address)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _attach(packet_socket: socket.socket, instructions: bytes) -> None:
    """Set the filter of a socket. The kernel replaces it atomically."""
    program = ctypes.create_string_buffer(instructions, len(instructions))
    packet_socket.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(instructions) // 8, ctypes.addressof(program))
    )

"""Reader of pcapng files (draft-ietf-opsawg-pcapng): several sections, interfaces, resolutions.

Comments, resolved names and decryption secrets of the file are dropped, because they are not masked. The name of an
interface is kept only if it has the form of an interface name.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from linewarden.diagnostics.packets.errors import SourceUnusable
from linewarden.diagnostics.packets.model import Frame, Interface, SourceCounters
from linewarden.diagnostics.packets.pcap_file import MAX_PACKET, MAX_TIME_NS, Readable, read_exactly
from linewarden.diagnostics.packets.pcapng import PAUSED

MAGIC = b"\x0a\x0d\x0d\x0a"

_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_MAX_BLOCK = 16 * 1024 * 1024
_MAX_INTERFACES = 256
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _STATISTICS, _PACKET = 1, 2, 3, 5, 6
_COMMENT, _NAME, _RESOLUTION, _OFFSET = 1, 2, 9, 14
_INTERFACE_DROPS, _SYSTEM_DROPS = 5, 7
_MAX_OPTIONS = 1_024
#: The forms of Linux and of Windows.
_INTERFACE_NAME = re.compile(rb"[A-Za-z0-9_.:@-]{1,15}|\\Device\\NPF_(?:Loopback|\{[0-9A-Fa-f-]{36}\})")


@dataclass(slots=True)
class _Seen:
    """An interface of the current section. `number` counts over all sections; a tick is `1 / resolution` s."""

    number: int
    snaplen: int
    resolution: int
    offset_ns: int


class PcapngReader:
    """The packets of one file. Iterate once."""

    def __init__(self, file: Readable) -> None:
        """Read the first section. The four bytes of MAGIC are already read. Raise SourceUnusable."""
        self.interfaces: list[Interface] = []
        self._file = file
        self._order = "<"
        self._section: list[_Seen] = []
        self._received: list[int] = []
        self._dropped: list[int] = []
        self._pauses: list[int] = []
        self._time_ns = 0
        self._begin_section()

    def counters(self) -> list[SourceCounters]:
        """Return the numbers of packets read, and of packets that the file records as lost."""
        return [SourceCounters(read + lost, lost) for read, lost in zip(self._received, self._dropped, strict=True)]

    def pauses(self) -> list[int]:
        """Return the number of pauses, by interface, as evidence of Linewarden records them."""
        return list(self._pauses)

    def __iter__(self) -> Iterator[Frame]:
        while kind := read_exactly(self._file, 4, end_allowed=True):
            if kind == MAGIC:
                self._begin_section()
            elif frame := self._block(kind):
                self._received[frame.interface] += 1
                yield frame

    def _begin_section(self) -> None:
        head = read_exactly(self._file, 8)
        order = _ORDERS.get(head[4:])
        if order is None:
            raise SourceUnusable("a section of the capture file has no byte order")
        self._order = order
        (length,) = struct.unpack(order + "I", head[:4])
        rest = self._rest(length, taken=12)
        if len(rest) < 12 or self._unpack("H", rest)[0] != 1:
            raise SourceUnusable("the capture file has an unknown version")
        self._section = []

    def _rest(self, length: int, taken: int) -> bytes:
        """Return the remaining bytes of a block, without the length that is repeated at its end."""
        if length % 4 or not taken + 4 <= length <= _MAX_BLOCK:
            raise SourceUnusable("a block of the capture file has a wrong length")
        rest = read_exactly(self._file, length - taken)
        if self._unpack("I", rest[-4:])[0] != length:
            raise SourceUnusable("a block of the capture file has two lengths")
        return rest[:-4]

    def _unpack(self, layout: str, data: bytes) -> tuple[int, ...]:
        packed = struct.Struct(self._order + layout)
        if len(data) < packed.size:
            raise SourceUnusable("a block of the capture file is too short")
        return packed.unpack_from(data)

    def _block(self, kind: bytes) -> Frame | None:
        (number,) = self._unpack("I", kind)
        (length,) = self._unpack("I", read_exactly(self._file, 4))
        body = self._rest(length, taken=8)
        if number == _PACKET:
            which, high, low, size, original = self._unpack("5I", body)
            return self._packet(self._interface(which), high << 32 | low, body[20:], size, original)
        if number == _OLD_PACKET:
            which, _, high, low, size, original = self._unpack("HH4I", body)
            return self._packet(self._interface(which), high << 32 | low, body[20:], size, original)
        if number == _SIMPLE_PACKET:
            return self._simple_packet(body)
        if number == _INTERFACE:
            self._describe(body)
        elif number == _STATISTICS:
            self._take_statistics(body)
        return None

    def _packet(self, seen: _Seen, ticks: int, data: bytes, size: int, original: int) -> Frame:
        if size > min(len(data), MAX_PACKET):
            raise SourceUnusable("a packet in the capture file is too long")
        time_ns = ticks * 1_000_000_000 // seen.resolution + seen.offset_ns
        self._time_ns = min(max(0, time_ns), MAX_TIME_NS)
        return Frame(self._time_ns, data[:size], max(original, size), seen.number)

    def _simple_packet(self, body: bytes) -> Frame:
        """Return a simple packet. It has no time, so it gets the time of the packet before."""
        seen = self._interface(0)
        (original,) = self._unpack("I", body)
        size = min(original, seen.snaplen or original)
        if size > min(len(body) - 4, MAX_PACKET):
            raise SourceUnusable("a packet in the capture file is too long")
        return Frame(self._time_ns, body[4 : 4 + size], original, seen.number)

    def _interface(self, which: int) -> _Seen:
        if which >= len(self._section):
            raise SourceUnusable("a packet in the capture file has no interface")
        return self._section[which]

    def _describe(self, body: bytes) -> None:
        if len(self.interfaces) == _MAX_INTERFACES:
            raise SourceUnusable("the capture file has too many interfaces")
        link_type, _, snaplen = self._unpack("HHI", body)
        options = self._options(body[8:])
        number = len(self.interfaces)
        (offset,) = self._unpack("q", options.get(_OFFSET, bytes(8)))
        self._section.append(_Seen(number, snaplen, _resolution(options.get(_RESOLUTION, b"\x06")), offset * 10**9))
        name = _INTERFACE_NAME.fullmatch(options.get(_NAME, b""))
        self.interfaces.append(Interface(name[0].decode() if name else f"interface {number}", link_type))
        self._received.append(0)
        self._dropped.append(0)
        self._pauses.append(0)

    def _take_statistics(self, body: bytes) -> None:
        seen = self._interface(self._unpack("I", body)[0])
        options = self._options(body[12:])
        lost = [self._unpack("Q", options[code])[0] for code in (_INTERFACE_DROPS, _SYSTEM_DROPS) if code in options]
        self._dropped[seen.number] = max([self._dropped[seen.number], *lost])
        self._pauses[seen.number] += options.get(_COMMENT) == PAUSED.encode()

    def _options(self, data: bytes) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        at = 0
        for _ in range(_MAX_OPTIONS):
            if len(data) - at < 4:
                return found
            code, length = self._unpack("HH", data[at : at + 4])
            if code == 0:
                return found
            if length > len(data) - at - 4:
                raise SourceUnusable("an option in the capture file is too long")
            found.setdefault(code, data[at + 4 : at + 4 + length])
            at += 4 + (length + 3 & ~3)
        raise SourceUnusable("a block of the capture file has too many options")


def _resolution(value: bytes) -> int:
    """Return ticks a second: a negative power of ten or, with the high bit, of two."""
    if len(value) != 1:
        raise SourceUnusable("an interface in the capture file has no resolution")
    exponent = value[0] & 0x7F
    return 1 << exponent if value[0] & 0x80 else 10**exponent

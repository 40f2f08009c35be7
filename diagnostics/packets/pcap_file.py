"""Reader of classic pcap files: either byte order, micro- or nanoseconds."""

import struct
from collections.abc import Iterator
from typing import Protocol

from linewarden.diagnostics.packets.errors import SourceUnusable
from linewarden.diagnostics.packets.model import Frame, Interface, SourceCounters

#: The longest packet (the bound of libpcap).
MAX_PACKET = 262_144
#: The latest time: 63 bits.
MAX_TIME_NS = 2**63 - 1

_FORMATS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


class Readable(Protocol):
    """A source of a capture file. It need not be seekable."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; empty at the end. May raise SourceUnusable."""
        ...


def read_exactly(file: Readable, size: int, *, end_allowed: bool = False) -> bytes:
    """Return exactly `size` bytes, or none at the end of the file if `end_allowed`. Raise SourceUnusable otherwise."""
    parts: list[bytes] = []
    missing = size
    while missing and (part := file.read(missing)):
        parts.append(part)
        missing -= len(part)
    if missing and (parts or not end_allowed):
        raise SourceUnusable("the capture file is cut short")
    return b"".join(parts)


class PcapReader:
    """The packets of one file. Iterate once."""

    def __init__(self, file: Readable, magic: bytes) -> None:
        """`magic` is the first four bytes of the file. Raise SourceUnusable."""
        order, self._unit_ns = _FORMATS[magic]
        major, _, _, _, _, kind = struct.unpack(order + "HHiIII", read_exactly(file, 20))
        if major != 2:
            raise SourceUnusable("the capture file has an unknown version")
        self.interfaces = [Interface("file", kind & 0xFFFF)]
        self._file = file
        self._record = struct.Struct(order + "4I")
        self._read = 0

    @staticmethod
    def knows(magic: bytes) -> bool:
        """Return whether a file with these four bytes is a pcap file."""
        return magic in _FORMATS

    def counters(self) -> list[SourceCounters]:
        """Return the number of packets read. A pcap file does not record lost packets."""
        return [SourceCounters(self._read)]

    def __iter__(self) -> Iterator[Frame]:
        while head := read_exactly(self._file, 16, end_allowed=True):
            seconds, fraction, size, original = self._record.unpack(head)
            if size > MAX_PACKET:
                raise SourceUnusable("a packet in the capture file is too long")
            data = read_exactly(self._file, size)
            self._read += 1
            yield Frame(seconds * 1_000_000_000 + fraction * self._unit_ns, data, max(original, size))

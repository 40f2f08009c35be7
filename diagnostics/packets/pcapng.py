"""Blocks of the pcapng file of the evidence (draft-ietf-opsawg-pcapng).

Little-endian, nanosecond times. Texts are cut to the maximum length of an option.
"""

import struct
from collections.abc import Iterable

from linewarden.diagnostics.packets.model import Interface

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_COMMENT = 1
_NANOSECONDS = b"\x09"
_UNKNOWN_LENGTH = 0xFFFFFFFFFFFFFFFF
_MAX_OPTION = 65_532

_packet_head = struct.Struct("<7I").pack
_length = struct.Struct("<I").pack
_PAD = [b"", b"\0\0\0", b"\0\0", b"\0"]


def section(application: str, comments: Iterable[str]) -> bytes:
    """Return the block that begins a file."""
    options = [(_COMMENT, text.encode()) for text in comments]
    return _block(
        _SECTION, struct.pack("<IHHQ", 0x1A2B3C4D, 1, 0, _UNKNOWN_LENGTH), [*options, (4, application.encode())]
    )


def interface(described: Interface, filter_text: str, snaplen: int) -> bytes:
    """Return the block of one interface. Interfaces are numbered in their order in the file."""
    options = [(2, described.name.encode()), (9, _NANOSECONDS)]
    if filter_text:
        options.append((11, b"\0" + filter_text.encode()))
    return _block(_INTERFACE, struct.pack("<HHI", described.link_type, 0, snaplen), options)


def packet(number: int, time_ns: int, data: bytes, original_length: int) -> bytes:
    """Return the block of one packet on interface `number`."""
    size = len(data)
    total = 32 + (size + 3 & ~3)
    return (
        _packet_head(_PACKET, total, number, time_ns >> 32 & 0xFFFFFFFF, time_ns & 0xFFFFFFFF, size, original_length)
        + data
        + _PAD[size & 3]
        + _length(total)
    )


#: The comments of the statistics at the beginning and at the end of a pause.
PAUSED = "paused"
RESUMED = "resumed"


def statistics(number: int, time_ns: int, span: tuple[int, int], counts: tuple[int, int, int], comment: str) -> bytes:
    """Return the block that ends an interface. `span` is start and end; `counts` is received, dropped, written.

    Received are the packets that passed the filter. The others are not counted.
    """
    received, dropped, written = (struct.pack("<Q", count) for count in counts)
    options = [(_COMMENT, comment.encode()), (2, _time(span[0])), (3, _time(span[1]))]
    options += [(4, received), (5, dropped), (6, received), (7, dropped), (8, written)]
    return _block(_STATISTICS, struct.pack("<I", number) + _time(time_ns), options)


def _time(time_ns: int) -> bytes:
    return struct.pack("<II", time_ns >> 32 & 0xFFFFFFFF, time_ns & 0xFFFFFFFF)


def _block(kind: int, body: bytes, options: list[tuple[int, bytes]]) -> bytes:
    content = body + b"".join(_option(code, value[:_MAX_OPTION]) for code, value in options) + b"\0\0\0\0"
    total = 12 + len(content)
    return struct.pack("<II", kind, total) + content + struct.pack("<I", total)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)

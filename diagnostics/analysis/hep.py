"""HEP version 3, in which capture agents send messages to HOMER (https://github.com/sipcapture/HEP).

An agent states the time and the addresses of the message that it saw. These count, and not those of its own packet.
"""

from typing import NamedTuple

from linewarden.diagnostics.analysis.model import Datagram, Endpoint
from linewarden.diagnostics.analysis.network import address_text

MAGIC = b"HEP3"
TCP = 6

SIP = 1
RTP = 4
_NAMES = {
    0: "reserved",
    3: "SDP",
    5: "RTCP in JSON",
    34: "media statistics",
    35: "media quality",
    99: "vq-rtcpxr",
    100: "log",
}

_HEAD = 6
_CHUNK_HEAD = 6
_MAX_CHUNKS = 64
_MAX_MESSAGE = 65_536
_COMPRESSED = 16
_PAYLOAD = 15


class HepMessage(NamedTuple):
    """One message as its agent saw it. `protocol` is that of IP, `kind` is one of HEP's types of content."""

    datagram: Datagram
    protocol: int
    kind: int


def kind_name(kind: int) -> str:
    """Name a type of content that is not read."""
    return f"HEP with {_NAMES.get(kind, f'type {kind}')}"


def message_length(data: bytes | bytearray) -> int:
    """Return the length of the message that begins here; 0 as long as it is not known."""
    return max(_HEAD, int.from_bytes(data[4:6])) if len(data) >= _HEAD else 0


def read_hep(data: bytes, time_ns: int) -> HepMessage | None:
    """Return the message in a HEP packet seen at `time_ns`; None where it is malformed."""
    chunks = _chunks(data)
    version = 4 if 3 in chunks else 6
    packed = (chunks.get(3, b""), chunks.get(4, b"")) if version == 4 else (chunks.get(5, b""), chunks.get(6, b""))
    if any(len(each) != (4 if version == 4 else 16) for each in packed):
        return None
    payload = chunks.get(_PAYLOAD) or _expand(chunks.get(_COMPRESSED, b""))
    if not payload:
        return None
    ends = [Endpoint(address_text(each), _number(chunks, at)) for each, at in zip(packed, (7, 8), strict=True)]
    stated_ns = _number(chunks, 9) * 1_000_000_000 + _number(chunks, 10) * 1_000
    datagram = Datagram(stated_ns or time_ns, ends[0], ends[1], payload, len(payload))
    return HepMessage(datagram, _number(chunks, 2), _number(chunks, 11))


def _chunks(data: bytes) -> dict[int, bytes]:
    """Return the chunks of the generic vendor by type; the first of each type counts."""
    found: dict[int, bytes] = {}
    at, end = _HEAD, min(message_length(data), len(data))
    for _ in range(_MAX_CHUNKS):
        length = int.from_bytes(data[at + 4 : at + 6])
        if at + _CHUNK_HEAD > end or length < _CHUNK_HEAD or at + length > end:
            break
        if data[at : at + 2] == b"\0\0":
            found.setdefault(int.from_bytes(data[at + 2 : at + 4]), data[at + _CHUNK_HEAD : at + length])
        at += length
    return found


def _number(chunks: dict[int, bytes], kind: int) -> int:
    return int.from_bytes(chunks.get(kind, b"")[:4])


def _expand(compressed: bytes) -> bytes:
    """Return the payload out of gzip or zlib; empty where it is damaged."""
    import zlib  # noqa: PLC0415 - few agents compress

    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(compressed, _MAX_MESSAGE)
    except zlib.error:
        return b""

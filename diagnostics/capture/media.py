"""Which datagrams are media, and how much of them is header (RFC 3550, RFC 5764).

A datagram is RTP when it follows a sequence: same addresses, same source, next number. Its shape alone proves nothing:
T.38 over UDPTL starts with a running number, and would show fax data where RTP has its source. So the first packet of
a source that no session description announced loses even its header. Of RTP just the twelve fixed bytes are kept:
contributing sources and extensions could be anything, and an extension may carry how loud someone speaks (RFC 6464).
"""

from collections.abc import Iterable
from typing import TypeVar

from linewarden.diagnostics.capture.sdp import Announcement

_Value = TypeVar("_Value")

#: The fixed part of an RTP header, in bytes.
RTP_HEADER = 12
_RTCP_HEADER = 8
_MAX_STREAMS = 16_384
_MAX_ENDPOINTS = 8_192
_PROOF_GAP = 50
_MAX_GAP = 3_000
_MAX_LATE = 100
_REPORTS = {200: 28, 201: 8}
_STUN_COOKIE = b"\x21\x12\xa4\x42"


class _Stream:
    """What is known of the packets between two endpoints: their last source and number."""

    __slots__ = ("number", "proven", "source")

    def __init__(self, source: bytes, number: int, *, proven: bool) -> None:
        self.source = source
        self.number = number
        self.proven = proven


class MediaStreams:
    """The streams and announcements seen so far. Both are bounded; the oldest are forgotten."""

    def __init__(self) -> None:
        self._streams: dict[bytes, _Stream] = {}
        self._endpoints: dict[bytes, frozenset[int]] = {}

    def announce(self, announced: Iterable[Announcement]) -> None:
        """Remembers what is expected at which address; the latest word counts."""
        for endpoint, formats in announced:
            _remember(self._endpoints, endpoint, formats, _MAX_ENDPOINTS)

    def announced(self, endpoint: bytes) -> bool:
        """Whether media was announced at the address."""
        return endpoint in self._endpoints

    def no_rtp(self, endpoint: bytes) -> bool:
        """Whether something else than RTP, such as T.38, was announced at the address."""
        return self._endpoints.get(endpoint, True) == frozenset()

    def follows(self, path: bytes, header: bytes) -> bool:
        """Whether the datagram continues a stream. `path` is both addresses and ports as they stand in the packet."""
        stream = self._streams.get(path)
        if stream is None or stream.source != header[8:12]:
            return False
        number = header[2] << 8 | header[3]
        ahead = (number - stream.number) & 0xFFFF
        if 0 < ahead < (_MAX_GAP if stream.proven else _PROOF_GAP):
            stream.number = number
            stream.proven = True
            return True
        return stream.proven and (ahead == 0 or ahead > 0xFFFF - _MAX_LATE)

    def begins(self, path: bytes, header: bytes, destination: bytes) -> bool:
        """Takes a datagram that continues nothing as a possible first one; whether it was announced."""
        formats = self._endpoints.get(destination, frozenset())
        proven = path not in self._streams and header[1] & 0x7F in formats
        _remember(self._streams, path, _Stream(header[8:12], header[2] << 8 | header[3], proven=proven), _MAX_STREAMS)
        return proven


def looks_like_rtp(payload: bytes) -> bool:
    """Whether the datagram has the version and length of RTP or RTCP."""
    return len(payload) >= _RTCP_HEADER and payload[0] >> 6 == 2


def looks_like_rtcp(payload: bytes) -> bool:
    """Whether the second byte is a packet type of RTCP (RFC 5761)."""
    return 192 <= payload[1] <= 223


def rtcp_header_length(payload: bytes) -> int:
    """How many bytes of an RTCP datagram are header and reception reports; 0 when it does not hold together.

    In clear, that is the whole of the leading report. Of SRTCP, and of others that only begin well, eight bytes.
    """
    kind, blocks, stated = payload[1], payload[0] & 0x1F, _stated_length(payload, 0)
    fixed = _REPORTS.get(kind)
    if fixed is None or stated != fixed + 24 * blocks or stated > len(payload):
        return 0
    return stated if _compound(payload) else _RTCP_HEADER


def is_stun(payload: bytes) -> bool:
    """Whether the datagram is STUN (RFC 8489) or TURN channel data."""
    return payload[4:8] == _STUN_COOKIE or 64 <= payload[0] <= 79


def is_dtls(payload: bytes) -> bool:
    """Whether the datagram is a DTLS record (RFC 7983)."""
    return 20 <= payload[0] <= 63 and payload[1:2] == b"\xfe"


def _stated_length(payload: bytes, at: int) -> int:
    return 4 * (int.from_bytes(payload[at + 2 : at + 4], "big") + 1)


def _compound(payload: bytes) -> bool:
    """Whether RTCP packets fill the datagram exactly, which ciphertext with its tag does not."""
    at = 0
    while at + 4 <= len(payload):
        if payload[at] >> 6 != 2 or not 192 <= payload[at + 1] <= 223:
            return False
        at += _stated_length(payload, at)
    return at == len(payload)


def _remember(table: dict[bytes, _Value], key: bytes, value: _Value, bound: int) -> None:
    if key not in table and len(table) >= bound:
        del table[next(iter(table))]
    table[key] = value

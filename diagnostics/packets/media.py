"""Media datagrams and the length of their headers (RFC 3550, RFC 5764).

A datagram is RTP if it continues a sequence: same addresses, same source, next number. Its shape alone proves nothing.
Neither does an announcement, because T.38 over UDPTL starts with a running number, may use a port that was announced
for speech, and has fax data where RTP has its source. Therefore the first packet of every source loses even its header.
Only the twelve fixed bytes of RTP are kept, because contributing sources and extensions can hold any data, and an
extension may reveal how loud a person speaks (RFC 6464).
"""

from collections.abc import Iterable
from typing import TypeVar

from linewarden.diagnostics.packets.sdp import Announcement

_Value = TypeVar("_Value")

#: The fixed part of an RTP header, in bytes.
RTP_HEADER = 12
_RTCP_HEADER = 8
_MAX_STREAMS = 16_384
_MAX_CANDIDATES = 4_096
_MAX_ENDPOINTS = 8_192
_PROOF_GAP = 50
_MAX_GAP = 3_000
_MAX_LATE = 100
_REPORTS = {200: 28, 201: 8}
_STUN_COOKIE = b"\x21\x12\xa4\x42"


class MediaStreams:
    """The streams and announcements so far. Both are bounded; the oldest are forgotten."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._candidates: dict[bytes, bytes] = {}
        self._rtp_announced: dict[bytes, bool] = {}

    def announce(self, announced: Iterable[Announcement]) -> None:
        """Remember the announced media of each address. The latest announcement counts."""
        for endpoint, is_rtp in announced:
            _remember(self._rtp_announced, endpoint, is_rtp, _MAX_ENDPOINTS)

    def no_rtp(self, endpoint: bytes) -> bool:
        """Return whether other media than RTP, such as T.38, was announced for the address."""
        return not self._rtp_announced.get(endpoint, True)

    def follows(self, path: bytes, header: bytes) -> bool:
        """Return whether the datagram continues a stream. `path` is both addresses and ports, as in the packet."""
        stream = path + header[8:12]
        last = self._numbers.get(stream)
        if last is not None:
            ahead = ((header[2] << 8 | header[3]) - last) & 0xFFFF
            if 0 < ahead < _MAX_GAP:
                self._numbers[stream] = header[2] << 8 | header[3]
                return True
            if ahead == 0 or ahead > 0xFFFF - _MAX_LATE:
                return True
        return self._proves(stream, header)

    def begin(self, path: bytes, header: bytes) -> None:
        """Remember a datagram that continues no stream as a possible first one."""
        _remember(self._candidates, path + header[8:12], header[:4], _MAX_CANDIDATES)

    def _proves(self, stream: bytes, header: bytes) -> bool:
        """Return whether the datagram and the one before it form a sequence.

        The running number of UDPTL is where RTP has version and packet type, so these would change. The marker
        must not appear either, or UDPTL packets with a distance of 128 would look alike.
        """
        first = self._candidates.get(stream)
        if first is None or _kind(first) != _kind(header) or header[1] > first[1]:
            return False
        if not 0 < (_number(header) - _number(first)) & 0xFFFF < _PROOF_GAP:
            return False
        del self._candidates[stream]
        _remember(self._numbers, stream, _number(header), _MAX_STREAMS)
        return True


def looks_like_rtp(payload: bytes) -> bool:
    """Return whether the datagram has the version and length of RTP, and no packet type of RTCP (RFC 5761)."""
    return len(payload) >= RTP_HEADER and payload[0] >> 6 == 2 and not 192 <= payload[1] <= 223


def rtcp_header_length(payload: bytes) -> int:
    """Return the length of header and reception reports of an RTCP datagram in bytes; 0 if it is malformed.

    In unencrypted RTCP that is the whole first report. In SRTCP, and in datagrams that only begin like RTCP, it is
    eight.
    """
    if len(payload) < _RTCP_HEADER or payload[0] >> 6 != 2:
        return 0
    fixed, blocks, stated = _REPORTS.get(payload[1]), payload[0] & 0x1F, _stated_length(payload, 0)
    if fixed is None or stated != fixed + 24 * blocks or stated > len(payload):
        return 0
    return stated if _compound(payload) else _RTCP_HEADER


def is_stun(payload: bytes) -> bool:
    """Return whether the datagram is STUN (RFC 8489), or TURN channel data (RFC 8656) followed by padding only."""
    if payload[4:8] == _STUN_COOKIE:
        return True
    return 64 <= payload[0] <= 79 and 0 <= len(payload) - 4 - int.from_bytes(payload[2:4], "big") <= 3


def is_dtls(payload: bytes) -> bool:
    """Return whether the datagram is a DTLS record (RFC 7983)."""
    return 20 <= payload[0] <= 63 and payload[1:2] == b"\xfe"


def _kind(header: bytes) -> tuple[int, int]:
    """Return version and flags, and the packet type without the marker."""
    return header[0], header[1] & 0x7F


def _number(header: bytes) -> int:
    return header[2] << 8 | header[3]


def _stated_length(payload: bytes, at: int) -> int:
    return 4 * (int.from_bytes(payload[at + 2 : at + 4], "big") + 1)


def _compound(payload: bytes) -> bool:
    """Return whether RTCP packets fill the datagram exactly. Encrypted RTCP with its tag does not."""
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

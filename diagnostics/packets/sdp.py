"""Session descriptions: their visible lines and their media addresses (RFC 8866).

Lines end at CR, LF or both, because a reader that is laxer than the RFC must not find a line that is missed here.
"""

import re
from ipaddress import ip_address
from itertools import islice
from typing import NamedTuple

from linewarden.diagnostics.packets.overwrite import Veil

LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n|\Z)")

#: The maximum number of lines of a body. Further lines are covered.
MAX_LINES = 2_048

_OPEN_TYPES = frozenset(b"vosbctrzm")
#: Attributes without keys and texts. Left out: crypto, key-mgmt, ice-pwd, acap (may hold crypto, RFC 5939).
_OPEN_ATTRIBUTES = frozenset(
    b"""
    candidate end-of-candidates remote-candidates ice-lite ice-options ice-ufrag setup connection fingerprint group mid
    rtpmap fmtp ptime maxptime sendrecv sendonly recvonly inactive rtcp rtcp-mux rtcp-rsize rtcp-fb rtcp-xr ssrc
    ssrc-group msid msid-semantic extmap extmap-allow-mixed label content silencesupp direction framerate framesize
    imageattr bundle-only curr des conf quality x-nat nortpproxy t38faxversion t38maxbitrate t38faxfillbitremoval
    t38faxtranscodingmmr t38faxtranscodingjbig t38faxratemanagement t38faxmaxbuffer t38faxmaxdatagram
    t38faxmaxifp t38faxudpec t38faxudpecdepth t38faxudpfecmaxspan t38modemtype t38vendorinfo zrtp-hash tcap pcfg
    """.split()
)
_ATTRIBUTE = re.compile(rb"a=([A-Za-z0-9_-]+)(:|\Z)")
_MEDIA = re.compile(rb"m=([a-z]+) (\d{1,5})(?:/\d+)? (\S+).*")
_CONNECTION = re.compile(rb"c=IN IP[46] ([0-9A-Fa-f.:]+)(?:/[\d/]+)? *")
_MAX_MEDIA = 32


class Announcement(NamedTuple):
    """An announced media address: address and port as in a packet, and whether the media is RTP."""

    endpoint: bytes
    is_rtp: bool


def show_sdp(veil: Veil, raw: bytes, begin: int, end: int, *, finished: bool) -> None:
    """Uncover the visible lines of a description. The last line of an unfinished description may be partial.

    A line of another form ends the description, because a wrong length may have included the next message.
    """
    described = True
    for line in islice(LINE.finditer(raw, begin, end), MAX_LINES):
        described = described and line[1][1:2] == b"=" and line[1][:1].islower()
        veil.show(line.end(1), line.end())
        if described:
            veil.show(line.start(), line.start() + _open_length(line[1], whole=finished or bool(line[2])))


def announcements(raw: bytes) -> list[Announcement]:
    """Return the media addresses of a description."""
    session = address = b""
    found: list[tuple[bytes, bytes, bool]] = []
    for line in islice(LINE.finditer(raw), MAX_LINES):
        if (connection := _CONNECTION.fullmatch(line[1])) is not None:
            address = _packed(connection[1])
            if found:
                found[-1] = (address, *found[-1][1:])
            else:
                session = address
        elif (media := _MEDIA.fullmatch(line[1])) is not None and len(found) < _MAX_MEDIA:
            found.append((session, _port(media[2]), b"RTP/" in media[3].upper()))
    return [Announcement(where + port, is_rtp) for where, port, is_rtp in found if where and port]


def _open_length(line: bytes, *, whole: bool) -> int:
    """Return how many bytes at the start of a line are visible."""
    if line[0] in _OPEN_TYPES:
        return len(line)
    attribute = _ATTRIBUTE.match(line)
    if attribute is None or (attribute[2] == b"" and not whole):
        return 2
    return len(line) if attribute[1].lower() in _OPEN_ATTRIBUTES else 2


def _packed(address: bytes) -> bytes:
    try:
        return ip_address(address.decode("ascii")).packed
    except ValueError:
        return b""


def _port(text: bytes) -> bytes:
    port = int(text)
    return port.to_bytes(2, "big") if 0 < port < 65_536 else b""

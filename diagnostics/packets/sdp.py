"""Session descriptions: their visible lines and their media addresses (RFC 8866).

Lines end at CR, LF or both, because a reader that is laxer than the RFC must not find a line that is missed here.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import islice
from typing import NamedTuple

from linewarden.diagnostics.packets.overwrite import Veil
from linewarden.diagnostics.packets.sdp_grammar import ATTRIBUTES, FORMAT_NUMBER, FORMAT_PARAMETER, LINES, ORIGIN

LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n|\Z)")

#: The maximum number of lines of a body. Further lines are covered.
MAX_LINES = 2_048

_ATTRIBUTE = re.compile(rb"a=([A-Za-z0-9_-]++)(?= *[:\n])(:)?")
_MEDIA = re.compile(rb"m=([a-z]+) (\d{1,5})(?:/\d+)? (\S+).*")
_CONNECTION = re.compile(rb"c=IN IP[46] ([0-9A-Fa-f.:]+)(?:/[\d/]+)? *")
_MAX_MEDIA = 32
_ORIGIN = ord("o")


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
            text = line[1] + b"\n" if finished or line[2] else line[1]
            for first, last in _visible(text):
                veil.show(line.start() + first, min(line.start() + last, line.end(1)))


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


def _visible(line: bytes) -> Iterator[tuple[int, int]]:
    """Return the visible parts of a line. A line that has ended ends with a line feed."""
    yield 0, 2
    if (attribute := _ATTRIBUTE.match(line)) is not None:
        yield from _visible_attribute(attribute, line)
    elif line[0] == _ORIGIN and (origin := ORIGIN.match(line, 2)) is not None:
        yield origin.end(1) if origin[1] != b"-" else 2, origin.end()
    elif (rule := LINES.get(line[0])) is not None and (found := rule.match(line, 2)) is not None:
        yield found.span()


def _visible_attribute(attribute: re.Match[bytes], line: bytes) -> Iterator[tuple[int, int]]:
    name = attribute[1].lower()
    rule = ATTRIBUTES.get(name)
    if rule is None and name != b"fmtp":
        return
    yield attribute.span()
    if rule is None:
        yield from _visible_format(line, attribute.end())
    elif attribute[2] and (found := rule.match(line, attribute.end())) is not None:
        yield found.span()


def _visible_format(line: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Return the number of the format and its known parameters, each up to its semicolon."""
    number = FORMAT_NUMBER.match(line, at)
    if number is None:
        return
    yield number.span()
    at = number.end()
    while True:
        if (found := FORMAT_PARAMETER.match(line, at)) is not None:
            yield found.span()
        at = line.find(b";", at)
        if at < 0:
            return
        yield at, at + 1
        at += 1


def _packed(address: bytes) -> bytes:
    try:
        return ip_address(address.decode("ascii")).packed
    except ValueError:
        return b""


def _port(text: bytes) -> bytes:
    port = int(text)
    return port.to_bytes(2, "big") if 0 < port < 65_536 else b""

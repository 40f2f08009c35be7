"""Masking of one SIP message (RFC 3261): start line, headers and body, as far as they have arrived.

The mask of a part never shows more than the mask of the whole message. A message that arrives in pieces therefore shows
nothing that it would not show at once.
"""

import re
from typing import NamedTuple

from linewarden.diagnostics.packets.grammar import METHODS
from linewarden.diagnostics.packets.headers import canonical, known_name, show_phrase, show_request_uri, show_value
from linewarden.diagnostics.packets.model import Rule
from linewarden.diagnostics.packets.multipart import show_multipart
from linewarden.diagnostics.packets.overwrite import Veil
from linewarden.diagnostics.packets.sdp import LINE, Announcement, announcements, show_sdp

#: The maximum number of header lines. Further lines are covered.
MAX_HEADERS = 512

#: Known methods only, because with a wrong length the end of a body could precede any other word.
_REQUEST = re.compile(
    rb"(?:" + "|".join(METHODS.split()).encode() + rb") ([A-Za-z][A-Za-z0-9+.-]*:[^\s]{1,2048}) SIP/2\.0(\r\n|\r|\n)"
)
_RESPONSE = re.compile(rb"SIP/2\.0 [1-6]\d\d ([^\r\n]{0,256})(\r\n|\r|\n)")
_LENGTH = re.compile(rb"[ \t]*(\d{1,9})[ \t]*")
_USER = re.compile(rb"(?:sips?|tel):([^@;>:?\s,\"]+)", re.IGNORECASE)
_STATUS_LINE = re.compile(rb"SIP/2\.0 [1-6]\d\d")
_PARTIES = frozenset({b"from", b"to", b"p-asserted-identity"})


class Header(NamedTuple):
    """One header with its folded lines. `name` is canonical; offsets count from the start of the message.

    `stop` is behind the line end at `end`, as far as it has arrived.
    """

    name: bytes
    begin: int
    value: int
    end: int
    stop: int
    folded: bool = False

    @property
    def finished(self) -> bool:
        """Return whether its line has ended. A folded line may still follow."""
        return self.stop > self.end


class Message(NamedTuple):
    """A message, or the part that has arrived. `body` is the start of the body, -1 while headers still arrive.

    `length` is the stated length of the body: None if it is not stated, -1 if the statements contradict each other.
    """

    raw: bytes
    headers: tuple[Header, ...]
    body: int
    length: int | None

    @property
    def end(self) -> int | None:
        """Return the end of the message; None while it is not known."""
        return None if self.body < 0 or self.length is None or self.length < 0 else self.body + self.length

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all headers of that canonical name."""
        return [self.raw[h.value : h.end].strip() for h in self.headers if h.name == name and h.finished]


class Masked(NamedTuple):
    """A message as it may be stored, and the rules that removed data."""

    data: bytes
    rules: frozenset[Rule]


def starts_message(raw: bytes) -> bool:
    """Return whether the bytes begin with a complete start line of SIP."""
    return bool(_REQUEST.match(raw) or _RESPONSE.match(raw))


def parse_message(raw: bytes) -> Message | None:
    """Return the message at the beginning of `raw`; None if there is no message."""
    start = _REQUEST.match(raw) or _RESPONSE.match(raw)
    if start is None:
        return None
    headers, body = _headers(raw, start.end())
    message = Message(raw, headers, body, None)
    return message._replace(length=_stated_length(message.values(b"content-length")))


def mask_message(message: Message, *, finished: bool) -> Masked:
    """Return the masked message. `finished` is true if no more of it will arrive."""
    raw, veil = message.raw, Veil(message.raw)
    start = _show_start(veil, raw)
    for header in message.headers:
        _show_header(veil, raw, header, finished=finished)
    if message.body >= 0:
        veil.show(message.headers[-1].end if message.headers else start, message.body)
    rules = {Rule.SIP_HEADER} if veil.hidden(0, message.body if message.body >= 0 else len(raw)) else set()
    if message.body >= 0:
        rules |= _show_body(veil, message, finished=finished)
    return Masked(veil.bytes(), frozenset(rules))


def session(message: Message, *, finished: bool = True) -> list[Announcement]:
    """Return the media addresses of the message. The last line of an unfinished message is ignored."""
    kind = _content_type(message)
    if message.body < 0 or message.length == -1 or not kind.startswith((b"application/sdp", b"multipart/")):
        return []
    body = message.raw[message.body : message.end]
    return announcements(body if finished else body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1])


def call_id(message: Message) -> str:
    """Return the Call-ID; empty if it is missing."""
    return next((value.decode("utf-8", "replace") for value in message.values(b"call-id")), "")


def parties(message: Message) -> set[str]:
    """Return the user parts of the caller and the callee."""
    line = LINE.match(message.raw)
    headers = (h for h in message.headers if h.name in _PARTIES and h.finished)
    texts = [line[1] if line else b"", *(message.raw[h.value : h.end] for h in headers)]
    return {user[1].decode("utf-8", "replace") for text in texts for user in _USER.finditer(text)}


def _headers(raw: bytes, at: int) -> tuple[tuple[Header, ...], int]:
    """Return the headers and the start of the body; -1 if the empty line has not arrived, or after too many lines."""
    found: list[Header] = []
    for number, line in enumerate(LINE.finditer(raw, at)):
        if not line[1] and line[2]:
            return tuple(found), line.end()
        if number == MAX_HEADERS or not line[1]:
            break
        if line[1][:1] in {b" ", b"\t"} and found:
            found[-1] = found[-1]._replace(end=line.end(1), stop=line.end(), folded=True)
        else:
            found.append(_header(raw, line))
    return tuple(found), -1


def _header(raw: bytes, line: re.Match[bytes]) -> Header:
    begin, end = line.span(1)
    # An indented line that continues no header has no trustworthy name.
    colon = -1 if line[1][:1] in {b" ", b"\t"} else raw.find(b":", begin, end)
    if colon < 0:
        return Header(b"", begin, end, end, line.end())
    return Header(canonical(raw[begin:colon]), begin, colon + 1, end, line.end())


def _stated_length(values: list[bytes]) -> int | None:
    if not values:
        return None
    match = _LENGTH.fullmatch(values[0])
    return int(match[1]) if match and len(set(values)) == 1 else -1


def _show_start(veil: Veil, raw: bytes) -> int:
    """Uncover the start line; return its end."""
    line = _REQUEST.match(raw) or _RESPONSE.match(raw)
    if line is None:
        return 0
    veil.show(0, line.start(1))
    veil.show(line.end(1), line.end())
    if line.re is _REQUEST:
        show_request_uri(veil, raw, *line.span(1))
    else:
        show_phrase(veil, raw, *line.span(1))
    return line.end()


def _show_header(veil: Veil, raw: bytes, header: Header, *, finished: bool) -> None:
    """Uncover colon, line ends and indents, a known name, and the part of the value that the name permits.

    A header is final once the line behind it has begun, because a folded line may follow.
    """
    if known_name(header.name):
        veil.show(header.begin, header.value)
        final = header.stop < len(raw) or (finished and header.finished)
        show_value(veil, header.name, raw, header.value, header.end, final=final)
    elif header.name:
        veil.show(header.value - 1, header.value)
    veil.show(header.end, header.stop)
    if header.folded:
        for line in LINE.finditer(raw, header.begin, header.end):
            veil.show(line.end(1), line.end() + (line.end() < header.end))


def _content_type(message: Message) -> bytes:
    values = message.values(b"content-type")
    encoded = message.values(b"content-encoding")
    return values[0].lower() if len(values) == 1 and not encoded else b""


def _show_body(veil: Veil, message: Message, *, finished: bool) -> set[Rule]:
    """Uncover the visible parts of the body. A body with contradicting lengths has none."""
    raw, begin = message.raw, message.body
    if begin == len(raw):
        return set()
    if message.length == -1:
        return {Rule.SIP_BODY}
    end = min(len(raw), len(raw) if message.end is None else message.end)
    complete = finished or end < len(raw) or end == message.end
    kind = _content_type(message)
    media_type = kind.split(b";")[0].strip()
    if media_type == b"application/sdp":
        show_sdp(veil, raw, begin, end, finished=complete)
    elif media_type.startswith(b"multipart/"):
        show_multipart(veil, raw, begin, end, kind, finished=complete)
    elif media_type == b"message/sipfrag" and (status := _STATUS_LINE.match(raw, begin, end)):
        veil.show(*status.span())
    return _body_rules(veil, begin, end, len(raw), described=media_type == b"application/sdp")


def _body_rules(veil: Veil, begin: int, end: int, last: int, *, described: bool) -> set[Rule]:
    rules = set()
    if veil.hidden(begin, end):
        rules.add(Rule.SDP_SECRET if described else Rule.SIP_BODY)
    if end < last:
        rules.add(Rule.SIP_BODY)
    return rules

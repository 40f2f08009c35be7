"""Session descriptions (RFC 8866): the addresses and codecs of media."""

from dataclasses import dataclass
from ipaddress import ip_address

from linewarden.diagnostics.analysis.model import Endpoint
from linewarden.diagnostics.analysis.payload_types import STATIC, Codec

_MAX_BODY = 65_536
_MAX_LINES = 1_024
_MAX_MEDIA = 16
_MAX_FORMATS = 32
_MAX_NAME = 24

#: The summaries kept for every message: enough for a call with video, and small in a hostile capture.
_MAX_SESSIONS = 2
_MAX_NAMES = 8

#: Stands behind the names where there are more.
MORE = "…"


@dataclass(frozen=True, slots=True)
class Media:
    """One m= section. `address` is empty where no c= line applies; `port` 0 means that it is refused.

    `formats` are the payload types in the order of preference, `codecs` those that an rtpmap line names.
    """

    kind: str
    address: str
    port: int
    protocol: str
    rtcp_port: int | None = None
    direction: str = "sendrecv"
    codecs: tuple[tuple[int, Codec], ...] = ()
    formats: tuple[int, ...] = ()

    @property
    def encrypted(self) -> bool:
        """Tell whether payload and control reports are SRTP (RFC 3711)."""
        return "SAVP" in self.protocol


@dataclass(frozen=True, slots=True)
class MediaSummary:
    """The summary of an m= section. `codecs` are names in the order of preference, or numbers of unknown ones."""

    kind: str
    address: str
    port: int
    direction: str
    encrypted: bool
    codecs: tuple[str, ...]

    def __str__(self) -> str:
        # Port 0 refuses a medium in an answer, and in an offer does not ask for it (RFC 3264 sections 5.1 and 6).
        where = f"at {Endpoint(self.address, self.port)}" if self.port else "port 0"
        marks = [self.direction] if self.direction != "sendrecv" else []
        marks += ["SRTP"] if self.encrypted else []
        return ", ".join([" ".join([self.kind, *self.codecs]), *marks, where])


class _Section:
    """An m= section while its lines are read."""

    def __init__(self, line: str, address: str) -> None:
        kind, port, protocol, *formats = [*line.split(), "", "", ""][: _MAX_FORMATS + 3]
        self.kind = kind[:16]
        self.port = _number(port.partition("/")[0], 65_535) or 0
        self.protocol = protocol[:32].upper()
        self.formats = [number for text in formats if (number := _number(text, 127)) is not None]
        self.address = address
        self.direction = "sendrecv"
        self.rtcp_port: int | None = None
        self.codecs: dict[int, Codec] = {}

    def attribute(self, text: str) -> None:
        name, _, value = text.partition(":")
        if name == "rtpmap":
            self._rtpmap(value)
        elif name == "rtcp":
            self.rtcp_port = _number(value.split(" ")[0], 65_535)
        elif name == "rtcp-mux":
            self.rtcp_port = self.port
        elif name in {"sendrecv", "sendonly", "recvonly", "inactive"}:
            self.direction = name

    def _rtpmap(self, value: str) -> None:
        payload, _, coding = value.partition(" ")
        name, _, rest = coding.strip().partition("/")
        number, clock = _number(payload, 127), _number(rest.partition("/")[0], 1_000_000)
        # A name is a token (RFC 8866 section 6.6); one of other letters would take four times the memory.
        if number is not None and name and name.isascii() and clock and len(self.codecs) < _MAX_FORMATS:
            self.codecs[number] = Codec(name[:_MAX_NAME].upper(), clock)

    def media(self) -> Media:
        codecs, formats = tuple(self.codecs.items()), tuple(self.formats)
        return Media(self.kind, self.address, self.port, self.protocol, self.rtcp_port, self.direction, codecs, formats)


def read_sdp(body: bytes) -> tuple[Media, ...]:
    """The media sections of a description; empty if the body is not one."""
    if not body.startswith(b"v="):
        return ()
    session, sections = "", list[_Section]()
    for raw in body[:_MAX_BODY].decode("utf-8", "replace").split("\n", _MAX_LINES)[:_MAX_LINES]:
        kind, _, value = raw.strip().partition("=")
        if kind == "m":
            if len(sections) == _MAX_MEDIA:
                break
            sections.append(_Section(value, session))
        elif kind == "c" and sections:
            sections[-1].address = _connection(value)
        elif kind == "c":
            session = _connection(value)
        elif kind == "a" and sections:
            sections[-1].attribute(value)
    return tuple(section.media() for section in sections)


def shorten(media: tuple[Media, ...]) -> tuple[MediaSummary, ...]:
    """The summaries of a description that are kept and shown."""
    return tuple(_session(each) for each in media[:_MAX_SESSIONS])


def _session(media: Media) -> MediaSummary:
    named = {**STATIC, **dict(media.codecs)}
    if media.kind == "image" and "UDPTL" in media.protocol:
        return MediaSummary(media.kind, media.address, media.port, media.direction, media.encrypted, ("T38",))
    names = tuple(dict.fromkeys(named[kind].name if kind in named else str(kind) for kind in media.formats))
    shown = (*names[:_MAX_NAMES], MORE) if len(names) > _MAX_NAMES else names
    return MediaSummary(media.kind, media.address, media.port, media.direction, media.encrypted, shown)


def find_sdp(body: bytes, content_type: str) -> bytes:
    """The description in a message body: all of it, or a part of a multipart body (RFC 2046); empty without one."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/sdp":
        return body
    if not kind.startswith("multipart/"):
        return b""
    for head in (b"\r\n\r\nv=0", b"\n\nv=0"):
        found = body.find(head, 0, _MAX_BODY)
        if found >= 0:
            return body[found + len(head) - 3 :].split(b"\r\n--", 1)[0]
    return b""


def _connection(value: str) -> str:
    """The address of a c= line in the form in which packets are shown; names are not looked up."""
    address = [*value.split(), "", "", ""][2].partition("/")[0][:64]
    try:
        return ip_address(address).compressed
    except ValueError:
        return ""


def _number(text: str, highest: int) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    number = int(text)
    return number if number <= highest else None

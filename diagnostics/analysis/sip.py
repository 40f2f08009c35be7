"""SIP messages (RFC 3261), read with tolerance: an error in one header costs that header, not the message.

Values are clipped, never rejected for their length; no expression here can backtrack.
"""

import re
from dataclasses import dataclass, field

from linewarden.diagnostics.analysis.model import Datagram, Endpoint, SipTransport
from linewarden.diagnostics.analysis.sdp import Media, MediaSummary, find_sdp, read_sdp, shorten
from linewarden.diagnostics.analysis.voice_reports import CONTENT_TYPE, VoiceReport, read_voice_reports

#: A header section longer than this is not read to its end.
MAX_HEAD = 65_536

_MAX_LINES = 512
_MAX_VALUE = 2_048
_MAX_KEPT = 128
_METHODS = frozenset(
    b"SIP/2.0 ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE".split()
)
_BLANK = re.compile(rb"\r?\n\r?\n")
_REQUEST = re.compile(r"([A-Za-z0-9.!%*_+`'~-]{1,32}) (\S{1,2048}) SIP/2\.0\s*", re.ASCII)
_RESPONSE = re.compile(r"SIP/2\.0 (\d{3})(?: (.*))?", re.ASCII)
_PARAMETER = re.compile(r'(?<![\w-])([\w-]+)\s*=\s*(?:"([^"]*)"|([^,;\s"]+))', re.ASCII)
_COMPACT = {
    "i": "call-id",
    "f": "from",
    "t": "to",
    "v": "via",
    "m": "contact",
    "c": "content-type",
    "l": "content-length",
    "o": "event",
    "e": "content-encoding",
    "y": "identity",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A challenge or an answer to one (RFC 3261 section 22). `nonce` is None where it is missing or masked."""

    nonce: str | None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One message as it was seen on one hop. `status` is 0 for a request; `method` of a response is its CSeq's.

    `identity` tells that it has an Identity header (STIR, RFC 8224); its value is not kept.
    """

    time_ns: int
    source: Endpoint
    destination: Endpoint
    transport: SipTransport
    method: str
    status: int
    reason: str
    uri: str
    call_id: str
    from_uri: str
    from_tag: str
    to_uri: str
    to_tag: str
    cseq: int
    branch: str
    event: str = ""
    subscription: str = ""
    expires: int | None = None
    rseq: str = ""
    cause: str = ""
    challenge: Credentials | None = None
    credentials: Credentials | None = None
    described: bool = False
    media: tuple[Media, ...] = ()
    sessions: tuple[MediaSummary, ...] = ()
    identity: bool = False
    voice: tuple[VoiceReport, ...] = ()
    cut: bool = False
    body_mark: int = field(default=0, repr=False)

    @property
    def is_request(self) -> bool:
        """Tell whether this is a request."""
        return not self.status

    @property
    def label(self) -> str:
        """The text on the arrow of a ladder."""
        return f"{self.status} {self.reason}".rstrip() if self.status else self.method


def looks_like_sip(data: bytes) -> bool:
    """Tell whether the first line is a start line, on any port."""
    if data.startswith(b"SIP/2.0 "):
        return True
    if not data[:1].isalpha():
        return False
    line = data[:_MAX_VALUE].split(b"\n", 1)[0]
    return line.rstrip().endswith(b" SIP/2.0")


def begins_message(data: bytes) -> bool:
    """Tell whether a message may begin here in a stream: a start line whose method is registered with IANA.

    In a stream, what looks like an unknown method may be the end of a known one.
    """
    return looks_like_sip(data) and data.split(b" ", 1)[0] in _METHODS


def head_length(data: bytes | bytearray, start: int = 0) -> int | None:
    """The length of the header section with its blank line, or None where it does not end within MAX_HEAD."""
    end = _BLANK.search(data, start, MAX_HEAD)
    return end.end() if end else None


def declared_length(head: bytes) -> int:
    """The body length that the header section declares; 0 if it declares none or an invalid one."""
    _, headers = _read_head(head)
    value = headers.get("content-length", [""])[0]
    return int(value) if value.isascii() and value.isdigit() and len(value) < 8 else 0


def read_message(datagram: Datagram, transport: SipTransport) -> SipMessage | None:
    """The message, or None where start line, Call-ID or CSeq cannot be read."""
    data = datagram.data.lstrip(b"\r\n")
    length = head_length(data)
    start, headers = _read_head(data[: length or MAX_HEAD])
    request, response = _REQUEST.fullmatch(start), _RESPONSE.fullmatch(start)
    number, _, method = _first(headers, "cseq").partition(" ")
    call_id = _first(headers, "call-id")
    if not (request or response) or not call_id or not number.isdecimal() or len(number) > 10:
        return None
    from_uri, from_tag = _address(_first(headers, "from"))
    to_uri, to_tag = _address(_first(headers, "to"))
    body = data[length:] if length else b""
    media = read_sdp(find_sdp(body, _first(headers, "content-type")))
    kind = _first(headers, "content-type").partition(";")[0].strip().lower()
    declared = _first(headers, "content-length")
    missing = declared.isdecimal() and len(declared) < 8 and len(body) < int(declared)
    return SipMessage(
        time_ns=datagram.time_ns,
        source=datagram.source,
        destination=datagram.destination,
        transport=transport,
        method=request[1] if request else method.strip()[:32],
        status=int(response[1]) if response else 0,
        reason=(response[2] or "").strip()[:_MAX_KEPT] if response else "",
        uri=request[2][:_MAX_KEPT] if request else "",
        call_id=call_id[:_MAX_KEPT],
        from_uri=from_uri,
        from_tag=from_tag,
        to_uri=to_uri,
        to_tag=to_tag,
        cseq=int(number),
        branch=_parameter(_first(headers, "via"), "branch"),
        event=_first(headers, "event").split(";")[0].strip()[:_MAX_KEPT],
        subscription=_first(headers, "subscription-state")[:_MAX_KEPT],
        expires=_expires(headers),
        rseq=_first(headers, "rseq")[:16],
        cause=_parameter(_first(headers, "reason"), "cause"),
        challenge=_digest(_first(headers, "www-authenticate") or _first(headers, "proxy-authenticate")),
        credentials=_digest(_first(headers, "authorization") or _first(headers, "proxy-authorization")),
        described=bool(media),
        media=media,
        sessions=shorten(media),
        identity="identity" in headers,
        voice=read_voice_reports(body, datagram.time_ns, datagram.source) if kind == CONTENT_TYPE else (),
        cut=length is None or missing or len(datagram.data) < datagram.original_length,
        body_mark=hash(body),
    )


def _read_head(head: bytes) -> tuple[str, dict[str, list[str]]]:
    """The start line, and each header's values in order, unfolded (RFC 3261 section 7.3.1)."""
    lines = head.decode("utf-8", "replace").split("\n", _MAX_LINES)[:_MAX_LINES]
    headers: dict[str, list[str]] = {}
    values: list[str] | None = None
    for raw in lines[1:]:
        line = raw.rstrip("\r")
        if line[:1] in {" ", "\t"}:
            # A value is clipped here, so that deep folding stays linear.
            if values and len(values[-1]) < _MAX_VALUE:
                values[-1] += " " + line.strip()[:_MAX_VALUE]
            continue
        name, colon, value = line.partition(":")
        if not colon:
            values = None
            continue
        key = name.strip().lower()[:64]
        values = headers.setdefault(_COMPACT.get(key, key), [])
        values.append(value.strip()[:_MAX_VALUE])
    return lines[0].rstrip("\r")[: 2 * _MAX_VALUE], headers


def _first(headers: dict[str, list[str]], name: str) -> str:
    return headers.get(name, [""])[0]


def _address(value: str) -> tuple[str, str]:
    """URI and tag of a From or To value (RFC 3261 section 20.10)."""
    quoted = value.find('"', 1) if value.startswith('"') else -1
    opening = value.find("<", quoted + 1)
    if opening < 0:
        uri, _, parameters = value.partition(";")
    else:
        uri, _, parameters = value[opening + 1 :].partition(">")
    return uri.strip()[:_MAX_KEPT], _parameter(parameters, "tag")


def _parameter(text: str, name: str) -> str:
    for match in _PARAMETER.finditer(text):
        if match[1].lower() == name:
            return (match[2] if match[2] is not None else match[3])[:_MAX_KEPT]
    return ""


def _digest(value: str) -> Credentials | None:
    if not value:
        return None
    nonce = _parameter(value, "nonce")
    masked = len(set(nonce)) <= 1
    return Credentials(None if masked else nonce, _parameter(value, "stale").lower() == "true")


def _expires(headers: dict[str, list[str]]) -> int | None:
    """The lifetime a registration or subscription asks for or is given, in seconds."""
    text = _parameter(_first(headers, "contact"), "expires") or _first(headers, "expires")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else None

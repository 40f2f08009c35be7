"""Which SIP headers may be seen, and which parts of them. A header that is not named here is covered, with its name.

The lists are of what fault finding needs. Left out on purpose: Subject and Organization (free text), Identity and
User-to-User (signed or opaque content), Geolocation, Authentication-Info (digests), every X- header.
"""

import re

from linewarden.diagnostics.capture.overwrite import Veil

_COMPACT = {
    b"a": b"accept-contact",
    b"b": b"referred-by",
    b"c": b"content-type",
    b"d": b"request-disposition",
    b"e": b"content-encoding",
    b"f": b"from",
    b"i": b"call-id",
    b"j": b"reject-contact",
    b"k": b"supported",
    b"l": b"content-length",
    b"m": b"contact",
    b"o": b"event",
    b"r": b"refer-to",
    b"t": b"to",
    b"u": b"allow-events",
    b"v": b"via",
    b"x": b"session-expires",
}

_OPEN = frozenset(
    b"""
    accept accept-contact accept-encoding accept-language alert-info allow allow-events call-id contact
    content-disposition content-encoding content-id content-language content-length content-type cseq date diversion
    event expires feature-caps flow-timer from history-info in-reply-to info-package join max-breadth max-forwards
    mime-version min-expires min-se p-access-network-info p-asserted-identity p-called-party-id p-charging-vector
    p-early-media p-preferred-identity path permission-missing policy-contact priority privacy proxy-require rack
    reason record-route recv-info refer-sub refer-to referred-by reject-contact remote-party-id replaces
    request-disposition require resource-priority retry-after route rseq security-client security-server
    security-verify server service-route session-expires sip-etag sip-if-match subscription-state supported
    target-dialog timestamp to trigger-consent unsupported user-agent via warning
    """.split()
)
_CREDENTIALS = frozenset({b"authorization", b"proxy-authorization"})
_CHALLENGES = frozenset({b"www-authenticate", b"proxy-authenticate"})
_PART = frozenset(
    {b"content-type", b"content-length", b"content-disposition", b"content-id", b"content-transfer-encoding"}
)
#: Names that may be seen though their value may not.
_NAMED = (
    _OPEN
    | _CREDENTIALS
    | _CHALLENGES
    | {
        b"subject",
        b"organization",
        b"identity",
        b"authentication-info",
        b"proxy-authentication-info",
        b"user-to-user",
        b"geolocation",
    }
)
_OPEN_PARAMETERS = frozenset({b"realm", b"algorithm", b"stale", b"qop"})
_NAMED_PARAMETERS = frozenset(
    b"username realm nonce uri response algorithm cnonce opaque qop nc auts domain userhash charset".split()
)

_SCHEME = re.compile(rb"[ \t]*(?:digest|basic|bearer|ntlm)[ \t]+", re.IGNORECASE)
_PARAMETER = re.compile(rb'[\s,]*([A-Za-z0-9_-]+)[ \t]*=[ \t]*("(?:[^"\\\r\n]|\\[^\r\n])*"|[^\s,"]+)')
_SIP_URI = re.compile(rb"sips?:[^\s<>\"]*", re.IGNORECASE)
_PUSH_TOKEN = re.compile(rb"pn-(?:prid|param)[ \t]*=[^\s;>]*", re.IGNORECASE)


def canonical(name: bytes) -> bytes:
    """The long form of a header's name, in lower case."""
    name = name.strip(b" \t").lower()
    return _COMPACT.get(name, name)


def known_name(name: bytes) -> bool:
    """Whether a canonical name is a word that may be seen, though its value may not."""
    return name in _NAMED


def show_value(veil: Veil, name: bytes, raw: bytes, begin: int, end: int, *, finished: bool) -> None:
    """Uncovers what may be seen of the value at `begin` to `end` of `raw`. `name` is canonical."""
    if name in _OPEN:
        veil.show(begin, end)
        hide_uri_secrets(veil, raw, begin, end, finished=finished)
    elif name in _CREDENTIALS | _CHALLENGES and (scheme := _SCHEME.match(raw, begin, end)):
        veil.show(begin, scheme.end())
        _show_parameters(veil, raw, scheme.end(), end, _OPEN_PARAMETERS if name in _CHALLENGES else frozenset())


def show_part_value(veil: Veil, name: bytes, begin: int, end: int) -> None:
    """Uncovers name and value of a header within a multipart body, when it says what the part is."""
    if name in _PART:
        veil.show(begin, end)


def hide_uri_secrets(veil: Veil, raw: bytes, begin: int, end: int, *, finished: bool) -> None:
    """Covers passwords, embedded headers and push tokens of the SIP URIs in a text.

    The end of an unfinished text counts as if a password ended there: the `@` may be still to come.
    """
    for uri in _SIP_URI.finditer(raw, begin, end):
        _hide_in_uri(veil, raw, *uri.span(), finished=finished or uri.end() < end)
    for token in _PUSH_TOKEN.finditer(raw, begin, end):
        veil.hide(raw.index(b"=", *token.span()) + 1, token.end())


def _hide_in_uri(veil: Veil, raw: bytes, begin: int, end: int, *, finished: bool) -> None:
    user = raw.index(b":", begin, end) + 1
    at = raw.rfind(b"@", user, end) if finished else end
    if at >= 0 and (password := raw.find(b":", user, at)) >= 0:
        veil.hide(password + 1, at)
    if (headers := raw.find(b"?", max(at, user) if finished else user, end)) >= 0:
        veil.hide(headers + 1, end)


def _show_parameters(veil: Veil, raw: bytes, begin: int, end: int, readable: frozenset[bytes]) -> None:
    """Uncovers the names of parameters, and the values of readable ones. Stops where the grammar of RFC 7616 ends."""
    while parameter := _PARAMETER.match(raw, begin, end):
        name = parameter[1].lower()
        if name in readable:
            veil.show(*parameter.span())
        elif name in _NAMED_PARAMETERS:
            veil.show(begin, parameter.start(2))
        begin = parameter.end()

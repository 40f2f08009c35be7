"""The visible SIP headers and their visible parts. A header that is not named here is covered, with its name.

The lists have the headers that fault finding needs. Left out on purpose: Subject and Organization (free text), Identity
and User-to-User (signed or opaque content), Geolocation, Authentication-Info (digests), every X- header.

Parameters of headers and URIs are named one by one too. Security-Verify holds a digest, access network information
reveals a person's location, and any device may put a token into a Contact or a Route.
"""

import re

from linewarden.diagnostics.packets.overwrite import Veil

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
#: Headers with a visible name and a covered value.
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

#: Parameters with a visible value, in visible headers and in URIs.
_KNOWN_PARAMETERS = frozenset(
    b"""
    actor alg alias answer-after appearance application audio automata boundary branch call-id cause charset cid class
    comp control counter cpc d-alg d-qop data duplex duration ealg early-only effective-by events expires ext extension
    extensions from-tag gr handling icid-generated-at icid-value id id-type index info isfocus keep language level limit
    lr maddr message message-expires method methods mobility mod model mp noa np npdi ob oc oc-algo oc-seq oc-validity
    oli orig-ioi party phone-context pn-provider port-c port-s priority privacy profile-type prot protocol pub-gruu q rc
    reason received refresher reg-id retry-after rn rport schemes screen sg sigcomp-id spi-c spi-s tag temp-gruu
    term-ioi text tgrp to-tag transit-ioi transport trunk-context ttl user vendor version verstat video
    """.split()
)
_FEATURE_TAGS = (b"+sip.", b"+g.")
#: Schemes of URIs with more than the scheme visible; of URIs with an authority, only the authority.
_KNOWN_SCHEMES = frozenset(b"sip sips tel urn cid im pres mailto xmpp h323".split())

_SCHEME = re.compile(rb"[ \t]*(?:digest|basic|bearer|ntlm)[ \t]+", re.IGNORECASE)
_PARAMETER = re.compile(rb'[\s,]*([A-Za-z0-9_-]+)[ \t]*=[ \t]*("(?:[^"\\\r\n]|\\[^\r\n])*"|[^\s,"]+)')
_URI = re.compile(
    rb"<[^<>:]*:[^>]*>?"
    rb"|\b(?:sips?|tel|im|pres|mailto|xmpp|h323|data):[^\s<>\"]*"
    rb"|://[^\s<>\"]*",
    re.IGNORECASE,
)
_HOST_AND_PORT = re.compile(rb"(?:\[[^\]]*\]|[^:;?>]*)(?::\d{1,5})?(?:[;?,>\s]|\Z)")
_PATH = re.compile(rb"[/?#]")
_NAMED_VALUE = re.compile(rb";([^;=>]*)=")
#: URIs and parameters that are checked in one text.
_MAX_SECRETS = 256
_VALUE = re.compile(rb'\s*("[^"]*"?|[^;>\s]*)')


def canonical(name: bytes) -> bytes:
    """Return the long form of a header's name, in lower case."""
    name = name.strip(b" \t").lower()
    return _COMPACT.get(name, name)


def known_name(name: bytes) -> bool:
    """Return whether a canonical name is visible. Its value may be covered."""
    return name in _NAMED


def show_value(veil: Veil, name: bytes, raw: bytes, begin: int, end: int, *, finished: bool) -> None:
    """Uncover the visible parts of the value at `begin` to `end` of `raw`. `name` is canonical."""
    if name in _OPEN:
        veil.show(begin, end)
        hide_secrets(veil, raw, begin, end, finished=finished)
    elif name in _CREDENTIALS | _CHALLENGES and (scheme := _SCHEME.match(raw, begin, end)):
        veil.show(begin, scheme.end())
        _show_parameters(veil, raw, scheme.end(), end, _OPEN_PARAMETERS if name in _CHALLENGES else frozenset())


def show_part_value(veil: Veil, name: bytes, raw: bytes, begin: int, end: int) -> None:
    """Uncover name and value of a header within a multipart body, if it describes the part."""
    if name in _PART:
        veil.show(begin, end)
        hide_secrets(veil, raw, begin, end, finished=True)


def hide_secrets(veil: Veil, raw: bytes, begin: int, end: int, *, finished: bool) -> None:
    """Cover values of unknown parameters in a text, and passwords, embedded headers and paths of its URIs.

    An unfinished text may end within a password, because the `@` may follow. A URI without its closing bracket may
    too, because a folded line may follow. A text with too many URIs or parameters is covered from there on.
    """
    if raw.find(b":", begin, end) >= 0:
        _hide_in_uris(veil, raw, begin, end, finished=finished)
    if raw.find(b";", begin, end) >= 0:
        _hide_parameters(veil, raw, begin, end)


def hide_in_request_uri(veil: Veil, raw: bytes, begin: int, end: int) -> None:
    """Cover the secrets of the URI that a request is for."""
    _hide_in_uri(veil, raw, begin, end, end, finished=True)
    hide_secrets(veil, raw, begin, end, finished=True)


def _hide_in_uris(veil: Veil, raw: bytes, begin: int, end: int, *, finished: bool) -> None:
    for number, uri in enumerate(_URI.finditer(raw, begin, end)):
        if number == _MAX_SECRETS:
            veil.hide(uri.start(), end)
            break
        closed = uri[0].endswith(b">")
        whole = closed if uri[0].startswith(b"<") else finished or uri.end() < end
        _hide_in_uri(veil, raw, uri.start(), uri.end() - closed, end, finished=whole)


def _hide_parameters(veil: Veil, raw: bytes, begin: int, end: int) -> None:
    for number, named in enumerate(_NAMED_VALUE.finditer(raw, begin, end)):
        if number == _MAX_SECRETS:
            veil.hide(named.start(), end)
            break
        if not _known_parameter(named[1].strip().lower()) and (value := _VALUE.match(raw, named.end(), end)):
            veil.hide(*value.span(1))


def _known_parameter(name: bytes) -> bool:
    return name in _KNOWN_PARAMETERS or name.startswith(_FEATURE_TAGS)


def _hide_in_uri(veil: Veil, raw: bytes, begin: int, end: int, last: int, *, finished: bool) -> None:
    """Cover the secrets of the URI at `begin` to `end`, in a text that goes on to `last`."""
    at = raw.index(b":", begin, end) + 1
    scheme = raw[begin : at - 1].strip(b"< \t\r\n").lower()
    if raw.startswith(b"//", at, end):
        _hide_around_authority(veil, raw, at + 2, end, finished=finished)
    elif scheme not in _KNOWN_SCHEMES:
        veil.hide(at, end)
    else:
        _hide_password(veil, raw, at, end, finished=finished)
        if (
            finished
            and scheme in {b"sip", b"sips"}
            and raw.find(b"@", at, end) < 0
            and not _HOST_AND_PORT.match(raw, at, end)
        ):
            # No port follows the colon: it is a password with a quote or bracket in it, and continues behind that.
            veil.hide(raw.find(b":", at, end) + 1, last)


def _hide_password(veil: Veil, raw: bytes, user: int, end: int, *, finished: bool) -> None:
    """Cover the bytes between the first colon and the last `@`, and all bytes behind the first question mark."""
    headers = raw.find(b"?", user, end)
    if headers >= 0:
        veil.hide(headers + 1, end)
    at = end
    if finished:
        at = raw.rfind(b"@", user, headers) if headers >= 0 else -1
        at = at if at >= 0 else raw.rfind(b"@", user, end)
    if at >= 0 and (password := raw.find(b":", user, at)) >= 0:
        veil.hide(password + 1, at)


def _hide_around_authority(veil: Veil, raw: bytes, begin: int, end: int, *, finished: bool) -> None:
    """Cover all bytes except host and port, because names, passwords and tokens are around them."""
    host = raw.rfind(b"@", begin, end) + 1 if finished else end
    if host:
        veil.hide(begin, host)
    if (path := _PATH.search(raw, max(host, begin), end)) is not None:
        veil.hide(path.start(), end)


def _show_parameters(veil: Veil, raw: bytes, begin: int, end: int, readable: frozenset[bytes]) -> None:
    """Uncover the names of parameters, and the values of readable ones. Stop at the end of the grammar of RFC 7616."""
    while parameter := _PARAMETER.match(raw, begin, end):
        name = parameter[1].lower()
        if name in readable:
            veil.show(*parameter.span())
        elif name in _NAMED_PARAMETERS:
            veil.show(begin, parameter.start(2))
        begin = parameter.end()

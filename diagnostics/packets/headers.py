"""The visible SIP headers and the rules for their values. A header that is not named here is covered, with its name.

The lists have the headers that fault finding needs. Left out on purpose: Subject and Organization (free text), Identity
and User-to-User (signed or opaque content), Geolocation, Authentication-Info (digests), every X- header.

A value is a list of items, each with parameters, or a list of addresses, or a text of its own form. What the grammar of
its header does not derive is covered: in a parameter up to the next delimiter, elsewhere up to the end of the header,
because an indented line that is a header of its own for another reader may follow.
"""

import re
from collections.abc import Callable
from functools import partial

from linewarden.diagnostics.packets.credentials import show_credentials
from linewarden.diagnostics.packets.grammar import HOST, METHODS, QUOTED, TEXT, TOKEN, TRANSPORTS, Value, words
from linewarden.diagnostics.packets.overwrite import Veil
from linewarden.diagnostics.packets.parameters import show_parameters, show_quotable
from linewarden.diagnostics.packets.uris import show_addr_spec, show_uri, starts_uri

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

_CREDENTIALS = frozenset({b"authorization", b"proxy-authorization"})
_CHALLENGES = frozenset({b"www-authenticate", b"proxy-authenticate"})
_PART = frozenset(
    {b"content-type", b"content-length", b"content-disposition", b"content-id", b"content-transfer-encoding"}
)
_ADDRESSES = frozenset(
    b"""
    alert-info contact diversion from history-info p-asserted-identity p-called-party-id p-preferred-identity path
    permission-missing policy-contact record-route refer-to referred-by remote-party-id route service-route to
    trigger-consent
    """.split()
)

_WORD = rb"[A-Za-z0-9.!%*_+`'~()<>:\\\"/\[\]?{}-]++"
_CALL_ID = _WORD + rb"(?:@" + _WORD + rb")?+"
_ICID = TOKEN + rb"(?:@[A-Za-z0-9._:-]++)?+"
_PRODUCTS = re.compile(
    rb"(?:" + TOKEN + rb"(?:/" + TOKEN + rb")*+ *+|\(\d++(?:\.\d++)*+(?: ?\([a-z0-9_]++/[a-z]++\))?\) *+)++"
)
_COMMENT = re.compile(rb"\([^()\n]*+(?:\([^()\n]*+\)[^()\n]*+)*+\)")
_TEXT = re.compile(TEXT)
_AGENT_OF_WARNING = re.compile(rb" *+\d{3} ++(?:" + HOST + rb"|" + TOKEN + rb") ++(?=\")")
_DATE = re.compile(rb" *+[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")

#: The form of an item before its parameters.
_ITEMS = {
    name: re.compile(rb" *+(?:" + head + rb")")
    for head, names in (
        (rb"\*/\*|" + TOKEN + rb"/" + TOKEN, "accept content-type"),
        (rb"\*", "accept-contact reject-contact feature-caps"),
        (
            TOKEN,
            (
                "accept-encoding accept-language allow-events content-disposition content-encoding content-language"
                " content-transfer-encoding event info-package p-access-network-info p-early-media priority privacy"
                " proxy-require reason recv-info refer-sub request-disposition require resource-priority"
                " security-client security-server security-verify sip-etag sip-if-match subscription-state supported"
                " unsupported"
            ),
        ),
        (words(METHODS), "allow"),
        (_CALL_ID, "call-id in-reply-to join replaces target-dialog"),
        (rb"<" + TOKEN + rb"(?:@[A-Za-z0-9._-]++)?>", "content-id"),
        (
            rb"\d++",
            (
                "content-length expires flow-timer max-breadth max-forwards min-expires min-se retry-after rseq"
                " session-expires"
            ),
        ),
        (rb"\d++ ++" + TOKEN, "cseq"),
        (rb"\d++ ++\d++ ++" + TOKEN, "rack"),
        (rb"\d++(?:\.\d++)?+(?: ++\d++(?:\.\d++)?+)?+", "timestamp"),
        (rb"\d++\.\d++", "mime-version"),
        (rb"icid-value *+= *+(?:\"" + _ICID + rb"\"|" + _ICID + rb")", "p-charging-vector"),
        (rb"SIP *+/ *+2\.0 *+/ *+" + words(TRANSPORTS) + rb" ++(?:" + HOST + rb")", "via"),
    )
    for name in map(str.encode, names.split())
}
_ITEM_END = re.compile(rb" *+(?=[;,\n])")
_COMMA = re.compile(rb" *+,")
_DISPLAY_NAME = re.compile(rb"(?:" + TOKEN + rb" *+)++(?=<)")
_OTHER_NAME = re.compile(rb"(?:\\[^<>,;\n]|[^<>\\\",;\n])++(?=<)")
_QUOTED_NAME = re.compile(rb"(" + QUOTED + rb") *+(?=<)")
_BLANKS = re.compile(rb" *+")
_BEHIND_BRACKET = re.compile(rb"> *+[;,\n]")


def canonical(name: bytes) -> bytes:
    """Return the long form of a header's name, in lower case."""
    name = name.strip(b" \t").lower()
    return _COMPACT.get(name, name)


def known_name(name: bytes) -> bool:
    """Return whether a canonical name is visible. Its value may be covered."""
    return name in _NAMED


def show_value(veil: Veil, name: bytes, raw: bytes, begin: int, end: int, *, final: bool) -> None:
    """Uncover the visible parts of the value at `begin` to `end` of `raw`. `name` is canonical.

    `final` is true if no more of the value can arrive.
    """
    if (rule := _RULES.get(name)) is not None:
        value = Value(veil, raw, begin, end, final=final)
        value.show_match(_BLANKS, 0)
        rule(value)


def show_part_header(veil: Veil, name: bytes, raw: bytes, begin: int, end: int) -> None:
    """Uncover name and value of a header within a multipart body, if it describes the part."""
    if name in _PART:
        colon = raw.find(b":", begin, end) + 1
        veil.show(begin, colon)
        show_value(veil, name, raw, colon, end, final=True)


def show_phrase(veil: Veil, raw: bytes, begin: int, end: int) -> None:
    """Uncover the reason phrase of a status line up to the first character that may begin a secret."""
    value = Value(veil, raw, begin, end, final=True)
    value.show_match(_TEXT, 0)


def show_request_uri(veil: Veil, raw: bytes, begin: int, end: int) -> None:
    """Uncover the visible parts of the URI that a request is for."""
    show_uri(Value(veil, raw, begin, end, final=True), 0, end - begin, whole=True)


def _show_addresses(value: Value) -> None:
    """Show name-addr and addr-spec, separated by commas."""
    at = 0
    while True:
        at = _show_address(value, value.show_match(_BLANKS, at))
        at = show_parameters(value, at)
        if value.text[at : at + 1] != b",":
            return
        at = value.show_match(_COMMA, at)


def _show_address(value: Value, at: int) -> int:
    """Show display name and URI; return their end. A text of another form is skipped up to its bracket."""
    text = value.text
    if starts_uri(value, at):
        return show_addr_spec(value, at)
    if text[at : at + 1] == b'"':
        at = _show_quoted_name(value, at)
    elif (found := _DISPLAY_NAME.match(text, at)) is not None:
        value.show(at, found.end())
        at = found.end()
    elif text[at : at + 1] == b"*":
        value.show(at, at + 1)
        return at + 1
    elif (found := _OTHER_NAME.match(text, at)) is not None:
        at = found.end()
    return _show_bracketed(value, at) if text[at : at + 1] == b"<" else at


def _show_quoted_name(value: Value, at: int) -> int:
    """Show a display name in quotes; return the place of the bracket behind it."""
    found = _QUOTED_NAME.match(value.text, at)
    if found is None:
        return at
    value.show(at, at + 1)
    value.show_match(_TEXT, at + 1, found.end(1))
    value.show(found.end(1) - 1, found.end())
    return found.end()


def _show_bracketed(value: Value, at: int) -> int:
    text = value.text
    value.show(at, at + 1)
    end = text.find(b">", at)
    if end < 0:
        show_uri(value, at + 1, len(text), whole=False)
        return len(text)
    # With anything else behind the bracket, the bracket may belong to a password.
    show_uri(value, at + 1, end, whole=_BEHIND_BRACKET.match(text, end) is not None)
    value.show(end, end + 1)
    return end + 1


def _items(head: re.Pattern[bytes], *, resume: bool) -> Callable[[Value], None]:
    """Return the rule for a list of items of that form. `resume` is true if items are told from any other text."""

    def show(value: Value) -> None:
        at = 0
        while (found := head.match(value.text, at)) is not None:
            value.show(at, found.end())
            if _ITEM_END.match(value.text, found.end()) is None and not resume:
                return
            at = show_parameters(value, found.end())
            if value.text[at : at + 1] != b"," or (value.broken and not resume):
                return
            at = value.show_match(_COMMA, at)

    return show


def _show_products(value: Value) -> None:
    """Show the products and versions of a Server or User-Agent. Comments are covered: phones put their owner there."""
    at = value.show_match(_BLANKS, 0)
    while (comment := _COMMENT.match(value.text, value.show_match(_PRODUCTS, at))) is not None:
        at = value.show_match(_BLANKS, comment.end())


def _show_warnings(value: Value) -> None:
    """Show code, agent and text of each warning."""
    at = 0
    while (agent := _AGENT_OF_WARNING.match(value.text, at)) is not None:
        value.show(*agent.span())
        show_quotable(value, agent.end(), _TEXT, _TEXT)
        at = value.show_match(_COMMA, value.skip_item(agent.end()))


def _show_date(value: Value) -> None:
    value.show_match(_DATE, 0)


_RULES: dict[bytes, Callable[[Value], None]] = {
    **{name: _items(head, resume=name in {b"via", b"allow"}) for name, head in _ITEMS.items()},
    **dict.fromkeys(_ADDRESSES, _show_addresses),
    **dict.fromkeys((b"server", b"user-agent"), _show_products),
    **dict.fromkeys(_CREDENTIALS, partial(show_credentials, challenge=False)),
    **dict.fromkeys(_CHALLENGES, partial(show_credentials, challenge=True)),
    b"date": _show_date,
    b"warning": _show_warnings,
}
#: Headers with a visible name and a covered value.
_NAMED = frozenset(_RULES) | frozenset(
    b"""
    subject organization identity authentication-info proxy-authentication-info user-to-user geolocation
    """.split()
)

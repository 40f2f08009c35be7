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

from linewarden.diagnostics.packets.addresses import show_addresses, show_one_address
from linewarden.diagnostics.packets.credentials import show_credentials
from linewarden.diagnostics.packets.grammar import HOST, METHODS, TEXT, TOKEN, TRANSPORTS, Value, words
from linewarden.diagnostics.packets.overwrite import Veil
from linewarden.diagnostics.packets.parameters import show_parameters, show_quotable
from linewarden.diagnostics.packets.uris import show_uri

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
_ADDRESSES = frozenset(b"from p-called-party-id refer-to referred-by to".split())
_ADDRESS_LISTS = frozenset(
    b"""
    alert-info contact diversion history-info p-asserted-identity p-preferred-identity path permission-missing
    policy-contact record-route remote-party-id route service-route trigger-consent
    """.split()
)

_WORD = rb"[A-Za-z0-9.!%*_+`'~()<>:\\\"/\[\]?{}-]++"
_CALL_ID = _WORD + rb"(?:@" + _WORD + rb")?"
_ICID = rb"[A-Za-z0-9.!%*_+`'~/:@=-]++"
_PRODUCTS = re.compile(
    rb"(?:" + TOKEN + rb"(?:/" + TOKEN + rb")* *+|\(\d++(?:\.\d++)*(?: ?\([a-z0-9_]++/[a-z]++\))?\) *+)+"
)
_COMMENT = re.compile(rb"\([^()\n]*+(?:\([^()\n]*+\)[^()\n]*+)*\)")
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
        (rb"\d++(?:\.\d++)?(?: ++\d++(?:\.\d++)?)?", "timestamp"),
        (rb"\d++\.\d++", "mime-version"),
        (rb"icid-value *+= *+(?:\"" + _ICID + rb"\"|" + _ICID + rb")", "p-charging-vector"),
        (rb"SIP *+/ *+2\.0 *+/ *+" + words(TRANSPORTS) + rb" ++(?:" + HOST + rb")", "via"),
    )
    for name in map(str.encode, names.split())
}
#: Items of a list. Further items are covered.
_MAX_ITEMS = 256
_ITEM_END = re.compile(rb" *+(?=[;,\n])")
_COMMA = re.compile(rb" *+,")
_BLANKS = re.compile(rb" *+")


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


def _show_items(value: Value, head: re.Pattern[bytes]) -> None:
    """Show items of that form. The list ends at a text of another form, because tokens are like any other text."""
    at = 0
    for _ in range(_MAX_ITEMS):
        if (found := head.match(value.text, at)) is None:
            return
        value.show(at, found.end())
        if _ITEM_END.match(value.text, found.end()) is None:
            return
        at = show_parameters(value, found.end())
        if value.text[at : at + 1] != b"," or value.broken:
            return
        at = value.show_match(_COMMA, at)


def _show_told_items(value: Value, head: re.Pattern[bytes]) -> None:
    """Show items of that form, which can be told from any other text, between items of other forms."""
    at = 0
    for _ in range(_MAX_ITEMS):
        found = head.match(value.text, at)
        if found is None:
            at = value.skip_item(at)
        else:
            value.show(at, found.end())
            at = show_parameters(value, found.end())
        if value.text[at : at + 1] != b",":
            return
        at = value.show_match(_COMMA, at)


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


_RULES: dict[bytes, Callable[[Value], object]] = {
    **{name: partial(_show_items, head=head) for name, head in _ITEMS.items()},
    **{name: partial(_show_told_items, head=_ITEMS[name]) for name in (b"allow", b"via")},
    **dict.fromkeys(_ADDRESS_LISTS, show_addresses),
    **dict.fromkeys(_ADDRESSES, show_one_address),
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

"""Header parameters with a visible name, and the rules for their values (RFC 3261, 25.1: generic-param, gen-value).

Security-Verify holds a digest, access network information reveals a person's location, and any device may put a token
into a Contact or a Via. Therefore each parameter is listed, with a rule for its value. Of an unlisted one not even the
name is visible, because it may be the value. A value of another form is visible as far as its rule derives it.
"""

import re
from typing import NamedTuple

from linewarden.diagnostics.packets.grammar import (
    CLOSED_QUOTE,
    HOST,
    METHODS,
    NUMBER,
    TEXT,
    TOKEN,
    TOKEN_CHARACTERS,
    TRANSPORTS,
    Value,
    words,
)
from linewarden.diagnostics.packets.uris import show_uri, starts_uri

#: Parameters of one header. Further parameters are covered.
_MAX_PARAMETERS = 256
_PARAMETER = re.compile(rb" *+;(?: *+([" + TOKEN_CHARACTERS + rb"]++)(?= *[=;,\n])( *+= *+)?)?")
_TOKENS = rb"[" + TOKEN_CHARACTERS + rb"/:, <>]++"


class _Rule(NamedTuple):
    """The patterns of a value: without quotes, and within quotes. A URI in quotes has rules of its own."""

    bare: re.Pattern[bytes]
    quoted: re.Pattern[bytes]
    uri: bool = False


def _rule(bare: bytes, quoted: bytes | None = None, *, uri: bool = False) -> _Rule:
    return _Rule(re.compile(bare), re.compile(bare if quoted is None else quoted), uri)


_NOTHING = rb"(?!)"
_PLACE = rb"[0-9A-Fa-f]*+:[0-9A-Fa-f:.]++|" + HOST
_RULES = {
    name: rule
    for rule, names in (
        (
            _rule(words("true false on off yes no 0 1"), _NOTHING),
            (
                "application audio automata control critical data early-only explicit header history isfocus keep lr"
                " message network-provided none npdi ob require session temp text-only video"
                " +sip.ice +sip.rendering +sip.byeless +sip.message +sip.pns +sip.pnsreg +sip.trans-hold"
                " +g.3gpp.cs-voice +g.3gpp.smsip +g.3gpp.mid-call +g.3gpp.srvcc-alerting +g.3gpp.ps2cs-srvcc-alerting"
                " +g.3gpp.ps2cs-srvcc-orig-pre-alerting +g.3gpp.nw-init-ussi +g.3gpp.ics"
            ),
        ),
        (
            _rule(NUMBER),
            (
                "answer-after appearance cause cic counter duration expires index level limit message-expires mp noa np"
                " oc oc-validity oli port-c port-s q rc reg-id retry-after rn rport spi-c spi-s ttl"
            ),
        ),
        (
            _rule(TOKEN),
            (
                "actor alg alias branch charset class comp cpc d-alg d-qop duplex ealg effective-by ext from-tag ftag"
                " handling id id-type info language mobility mod nat oc-algo party pn-provider priority privacy"
                " profile-type prot protocol refresher screen sg tag tgrp to-tag user verstat"
            ),
        ),
        (_rule(words(TRANSPORTS)), "transport"),
        (_rule(words(METHODS)), "method"),
        (
            _rule(TOKEN, _TOKENS),
            (
                "events extension extensions methods model schemes vendor version +g.3gpp.icsi-ref +g.3gpp.iari-ref"
                " +g.3gpp.accesstype +sip.app-subtype +sip.methods +sip.schemes"
            ),
        ),
        (_rule(TOKEN + rb"(?:@[A-Za-z0-9._:-]++)?"), "call-id icid-value"),
        (_rule(_PLACE), "icid-generated-at maddr orig-ioi term-ioi transit-ioi"),
        (_rule(_PLACE, _NOTHING, uri=True), "received"),
        (_rule(rb"\+[0-9().-]++|" + HOST), "phone-context trunk-context"),
        (_rule(_NOTHING, _NOTHING, uri=True), "pub-gruu temp-gruu +sip.instance"),
        (_rule(_NOTHING, rb"urn:[A-Za-z0-9:._-]++"), "sigcomp-id"),
        (_rule(TOKEN, TEXT), "reason text"),
        (_rule(TOKEN, rb"[A-Za-z0-9'()+_,./:=? -]++"), "boundary"),
        (
            _rule(_NOTHING),
            (
                "cgi-3gpp d-ver filename line name opaque pn-param pn-prid pn-purr postd purpose rinstance size"
                " utran-cell-id-3gpp"
            ),
        ),
    )
    for name in map(str.encode, names.split())
}


def show_parameters(value: Value, at: int) -> int:
    """Show the known parameters from `at` on. Return the place of the comma behind them, or the end of the text.

    What is not derived is covered up to the next delimiter.
    """
    for _ in range(_MAX_PARAMETERS):
        at = value.skip_parameter(at)
        found = _PARAMETER.match(value.text, at)
        if found is None:
            return at
        at = _show_parameter(value, found)
    return len(value.text)


def show_quotable(value: Value, at: int, bare: re.Pattern[bytes], quoted: re.Pattern[bytes]) -> None:
    """Show what `bare` derives, or of a closed quoted-string its quotes and what `quoted` derives."""
    if value.text[at : at + 1] != b'"':
        value.show_match(bare, at)
    elif (whole := CLOSED_QUOTE.match(value.text, at)) is not None:
        _show_quotes(value, whole)
        value.show_match(quoted, at + 1, whole.end())


def _show_parameter(value: Value, found: re.Match[bytes]) -> int:
    """Show name and visible value. Return the start of the value, so that the delimiter behind it is looked for."""
    rule = _RULES.get(found[1].lower()) if found[1] else None
    if rule is None:
        value.show(found.start(), found.start(1) if found[1] else found.end())
        return found.end()
    value.show(*found.span())
    if found[2]:
        if rule.uri:
            _show_quoted_uri(value, found.end())
        show_quotable(value, found.end(), rule.bare, rule.quoted)
    return found.end()


def _show_quoted_uri(value: Value, at: int) -> None:
    """Show a URI in quotes, with or without angle brackets."""
    whole = CLOSED_QUOTE.match(value.text, at)
    if whole is None:
        return
    _show_quotes(value, whole)
    begin, end = at + 1, whole.end() - 1
    if value.text[begin : begin + 1] == b"<" and value.text[end - 1 : end] == b">":
        value.show(begin, begin + 1)
        value.show(end - 1, end)
        begin, end = begin + 1, end - 1
    if starts_uri(value, begin):
        show_uri(value, begin, end, whole=True)


def _show_quotes(value: Value, whole: re.Match[bytes]) -> None:
    value.show(whole.start(), whole.start() + 1)
    value.show(whole.end() - 1, whole.end())

"""URIs of SIP messages (RFC 3261, 19.1; RFC 3966; RFC 2141): scheme, user, host, port and known parameters are visible.

Passwords, post-dial digits, embedded headers and paths are covered. A user part is visible up to its first character
that may separate it from something else, written as it is or with a percent sign.
"""

import re

from linewarden.diagnostics.packets.grammar import HOST, METHODS, NUMBER, TOKEN_CHARACTERS, TRANSPORTS, Value, words

_SCHEME = re.compile(rb"(" + words("sip sips tel urn cid im pres mailto xmpp h323 http https ws wss ftp data") + rb"):")
#: Pause and wait (p, w) behind a number, or any character that a dialled number does not have, begin what is dialled
#: after the answer: a PIN.
_USER = re.compile(
    rb"\+?[0-9().*-]{7,}+(?=[pPwW])|(?:[A-Za-z0-9_.!~*'()+-]++|%(?:2[0ABab]|40)|(?:#|%23)(?=@))*",
)
_TEL = re.compile(rb"\+?[0-9().*-]++(?:#(?=[;?>,\" \n]))?")
_URN = re.compile(words("uuid alert service gsma nena urn-7") + rb":[A-Za-z0-9.:_-]++")
_HOST = re.compile(HOST)
#: Characters of userinfo (RFC 3261, 25.1), and the number sign, which people write as they dial it.
_REST_OF_USERINFO = re.compile(rb"[A-Za-z0-9_.!~*'()&=+$,;?/:%#-]*+@")
_USER_OF_AUTHORITY = re.compile(rb"[^/?#@]*+@")
_AUTHORITY_HOST = re.compile(rb"(?:[A-Za-z0-9._-]++|\[[0-9A-Fa-f:.]++\])(?::\d{1,5})?(?=[/?#;>,\" \n])")
#: Schemes without a user and host directly behind them.
_PATHS = frozenset({b"data", b"http", b"https", b"ws", b"wss", b"ftp"})
_PARAMETER = re.compile(rb";(?:([" + TOKEN_CHARACTERS + rb"]++)(?=[=;?@>,\" \n])(=)?)?")
_REST = re.compile(rb"[^;?]*+")

_FLAG = re.compile(words("true false on off yes no 0 1"))
_DIGITS = re.compile(NUMBER)
_NAME = re.compile(rb"[A-Za-z0-9_.!~*'()+-]++")
_PLACE = re.compile(rb'"sips?:' + HOST + rb'"|' + rb"\+[0-9().-]++|" + HOST)
_INSTANCE = re.compile(rb"urn:uuid:[0-9A-Fa-f-]++|[A-Za-z0-9_.~*+-]++")
_TRANSPORT = re.compile(words(TRANSPORTS))
_METHOD = re.compile(words(METHODS))
_HIDDEN = re.compile(rb"(?!)")

_RULES = {
    name: rule
    for rule, names in (
        (_FLAG, "lr ob npdi nat r2 isfocus enumdi"),
        (_DIGITS, "ttl cause oli isup-oli rn-digits expires comp-level delay cic ext"),
        (_NAME, "user comp cpc verstat tgrp ftag alias sigcomp-id pn-provider id tag early-only mobility"),
        (_PLACE, "maddr received phone-context trunk-context rn otg dtg rport"),
        (_INSTANCE, "gr"),
        (_TRANSPORT, "transport"),
        (_METHOD, "method"),
        (_HIDDEN, "postd isub opaque pn-prid pn-param pn-purr line rinstance aai uui"),
    )
    for name in map(str.encode, names.split())
}


def show_uri(value: Value, at: int, end: int, *, whole: bool) -> None:
    """Show the visible parts of the URI at `at` to `end`, which is the place of its delimiter.

    `whole` is true if the URI can not continue at `end`.
    """
    place = _show_before_parameters(value, at, end, whole=whole)
    if place >= 0:
        _show_parameters(value, place, end)


def show_addr_spec(value: Value, at: int) -> int:
    """Show a URI without brackets. Return its end: parameters behind it belong to the header (RFC 3261, 20)."""
    place = _show_before_parameters(value, at, len(value.text), whole=value.final)
    return len(value.text) if place < 0 else place


def starts_uri(value: Value, at: int) -> bool:
    """Return whether a URI of a known scheme begins at the place."""
    return _SCHEME.match(value.text, at) is not None


def _show_before_parameters(value: Value, at: int, end: int, *, whole: bool) -> int:
    """Show scheme, user, host and port. Return their end; -1 if the rest of the URI is not derived or not known."""
    scheme = _SCHEME.match(value.text, at, end)
    if scheme is None:
        return -1
    value.show(*scheme.span())
    name, at = scheme[1].lower(), scheme.end()
    if value.text.startswith(b"//", at, end):
        return _show_authority(value, at + 2, end, whole=whole)
    if name == b"tel":
        return value.show_match(_TEL, at, end + 1)
    if name == b"urn":
        value.show_match(_URN, at, end)
        return -1
    return -1 if name in _PATHS else _show_user_and_host(value, at, end, whole=whole)


def _show_user_and_host(value: Value, at: int, end: int, *, whole: bool) -> int:
    text = value.text
    user = value.show_match(_USER, at, end)
    if text.startswith(b"@", user, end):
        return _show_host(value, user, end)
    if not whole:
        return -1
    if text.find(b"@", user, end) < 0:
        return value.show_match(_HOST, at, end + 1)
    return _show_behind_user(value, user, end)


def _show_behind_user(value: Value, at: int, end: int) -> int:
    """Cover what is between user and host: a password, or dialled digits. Show known parameters of the user."""
    text = value.text
    userinfo = _REST_OF_USERINFO.match(text, at, end)
    if userinfo is None or text.find(b"@", userinfo.end(), end) >= 0:
        return -1
    host = userinfo.end() - 1
    if text[at : at + 1] == b":":
        value.show(at, at + 1)
    else:
        _show_parameters(value, at, host)
    return _show_host(value, host, end)


def _show_host(value: Value, at: int, end: int) -> int:
    """Show the `@` and what follows it."""
    value.show(at, at + 1)
    return value.show_match(_HOST, at + 1, end + 1)


def _show_authority(value: Value, at: int, end: int, *, whole: bool) -> int:
    """Show host and port, because names, passwords, paths and tokens are around them."""
    text = value.text
    if not whole:
        return -1
    value.show(at - 2, at)
    if (host := text.rfind(b"@", at, end)) >= 0:
        user = _USER_OF_AUTHORITY.match(text, at, end)
        if user is None or user.end() != host + 1:
            return -1
        at = host + 1
    value.show_match(_AUTHORITY_HOST, at, end + 1)
    return -1


def _show_parameters(value: Value, at: int, end: int) -> None:
    """Show the known parameters, and a question mark, behind which embedded headers are covered."""
    text = value.text
    while at < end:
        rest = _REST.match(text, at, end)
        at = at if rest is None else rest.end()
        found = _PARAMETER.match(text, at, min(end + 1, len(text)))
        if found is None:
            value.show(at, min(at + 1, end))
            return
        at = _show_parameter(value, found, end)


def _show_parameter(value: Value, found: re.Match[bytes], end: int) -> int:
    rule = _RULES.get(found[1].lower()) if found[1] else None
    if rule is None:
        value.show(found.start(), found.start() + 1)
        return min(found.end(), end)
    value.show(found.start(), min(found.end(), end))
    return value.show_match(rule, found.end(), end + 1) if found[2] else min(found.end(), end)

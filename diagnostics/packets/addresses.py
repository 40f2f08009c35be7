"""Addresses in headers (RFC 3261, 25.1: name-addr, addr-spec): display names, URIs and known parameters are visible.

A display name is visible up to its first character that may begin a secret, because people write URIs there too.
"""

import re

from linewarden.diagnostics.packets.grammar import QUOTED, TEXT, TOKEN, Value
from linewarden.diagnostics.packets.parameters import show_parameters
from linewarden.diagnostics.packets.uris import show_addr_spec, show_uri, starts_uri

_DISPLAY_NAME = re.compile(rb"(?:" + TOKEN + rb" *+)+(?=<)")
_OTHER_NAME = re.compile(rb"(?:\\[^<>,;\n]|[^<>\\\",;\n])+(?=<)")
_QUOTED_NAME = re.compile(rb"(" + QUOTED + rb") *+(?=<)")
_BEHIND_BRACKET = re.compile(rb"> *+[;,\n]")
_TEXT = re.compile(TEXT)
_BLANKS = re.compile(rb" *+")
_COMMA = re.compile(rb" *+,")


def show_one_address(value: Value, at: int = 0) -> int:
    """Show a name-addr or addr-spec with its parameters; return their end."""
    return show_parameters(value, _show_address(value, value.show_match(_BLANKS, at)))


def show_addresses(value: Value) -> None:
    """Show addresses separated by commas. A comma behind a text of another form may separate anything."""
    at = show_one_address(value)
    while value.text[at : at + 1] == b"," and not value.broken:
        at = show_one_address(value, value.show_match(_COMMA, at))


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
    # A bracket that closes behind another one belongs to that.
    if end < 0 or text.find(b"<", at + 1, end) >= 0:
        show_uri(value, at + 1, len(text), whole=False)
        return len(text)
    # With anything else behind the bracket, the bracket may belong to a password.
    show_uri(value, at + 1, end, whole=_BEHIND_BRACKET.match(text, end) is not None)
    value.show(end, end + 1)
    return end + 1

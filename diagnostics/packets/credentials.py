"""Credentials and challenges of HTTP digest in SIP (RFC 3261, 25.1: credentials, challenge; RFC 7616, 3.3 to 3.5).

The names of the standard parameters are visible. Of their values only those of a challenge that are needed to find a
fault are. Parameters end at a comma and at nothing else: a value may hold a semicolon.
"""

import re

from linewarden.diagnostics.packets.grammar import TEXT, TOKEN, Value, words
from linewarden.diagnostics.packets.parameters import show_quotable

_MAX_PARAMETERS = 64
_SCHEME = re.compile(rb" *+" + words("digest basic bearer ntlm") + rb" ++")
_NAMES = frozenset(
    b"username realm nonce uri response algorithm cnonce opaque qop nc auts domain userhash charset stale".split()
)
_PARAMETER = re.compile(rb"[ ,]*+([A-Za-z0-9_-]++) *+= *+")
_TOKEN = re.compile(TOKEN)
_OPEN = {
    b"realm": (_TOKEN, re.compile(TEXT)),
    b"algorithm": (_TOKEN, _TOKEN),
    b"stale": (re.compile(words("true false")),) * 2,
    b"qop": (_TOKEN, re.compile(rb"[A-Za-z0-9_-]++(?:(?: *+, *+)[A-Za-z0-9_-]++)*")),
}


def show_credentials(value: Value, *, challenge: bool) -> None:
    """Show scheme and names of parameters; of a challenge also realm, algorithm, stale and qop."""
    scheme = _SCHEME.match(value.text)
    if scheme is None:
        return
    value.show(*scheme.span())
    at = scheme.end()
    for _ in range(_MAX_PARAMETERS):
        found = _PARAMETER.match(value.text, at)
        if found is not None and (name := found[1].lower()) in _NAMES:
            value.show(*found.span())
            if challenge and name in _OPEN:
                show_quotable(value, found.end(), *_OPEN[name])
        at = value.skip_item(at if found is None else found.end())
        if value.text[at : at + 1] != b",":
            break

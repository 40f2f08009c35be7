"""Words of the grammar of SIP (RFC 3261, 25.1) as patterns, and the values that they are read from.

A pattern matches the longest prefix that its rule derives. The prefix of a part that has arrived is never longer than
the prefix of the whole, so a part shows no more than the whole. Words of a closed set need a delimiter behind them.
Every pattern takes time that is linear in the text: repeated characters are possessive, and repeated groups begin with
different characters. Groups are never possessive, because Python 3.11.0 to 3.11.4 matches too much there (gh-106052).
"""

import re

from linewarden.diagnostics.packets.overwrite import Veil

#: Line ends and tabs of folded lines, read as the blanks that they stand for (LWS).
_BLANKS = bytes.maketrans(b"\r\n\t", b"   ")
_END = b"\n"

METHODS = (
    "ACK BENOTIFY BYE CANCEL INFO INVITE KDMQ MESSAGE NEGOTIATE NOTIFY OPTIONS PING PRACK PUBLISH REFER REGISTER"
    " SERVICE SUBSCRIBE UPDATE"
)
TRANSPORTS = "udp tcp tls sctp ws wss tls-sctp"
TOKEN_CHARACTERS = rb"A-Za-z0-9.!%*_+`'~\-"
TOKEN = rb"[" + TOKEN_CHARACTERS + rb"]++"
#: A quoted-string with quoted-pairs. An unclosed one does not match.
QUOTED = rb'"(?:[^"\\\n]|\\[^\n])*"'
#: A host with its port. The port needs a delimiter behind it, because a password may begin with digits.
HOST = rb"(?:[A-Za-z0-9._-]++|\[[0-9A-Fa-f:.]++\])(?::\d{1,5}(?=[;?>,\" \n]))?"
NUMBER = rb"\d++(?:\.\d++)*"
#: The text of a quoted-string that is displayed to people, up to its first character that may begin a secret.
TEXT = rb"(?:[^\x00-\x1f\x7f\"\\:;=?%]|\\[^\x00-\x1f\x7f:;=?%]|[:;=?%](?=[ \"\n]))+"

CLOSED_QUOTE = re.compile(QUOTED)
#: Text up to the next delimiter. Quoted-strings and bracketed URIs hide the delimiters in them.
_REST_OF_PARAMETER = re.compile(rb"(?:" + QUOTED + rb'|<[^<>"\n]*+>|[^";,<\n]++)*')
_REST_OF_ITEM = re.compile(rb"(?:" + QUOTED + rb'|<[^<>"\n]*+>|[^",<\n]++)*')
_REST_OF_GENERIC_PARAM = re.compile(
    rb"((?: *+=)?(?: *+(?:" + QUOTED + rb"|" + TOKEN + rb"|" + HOST + rb"))?) *+(?=[;,\n])"
)
_DELIMITERS = frozenset({b";", b",", _END})


def words(text: str) -> bytes:
    """Return the pattern for one of the words of a closed set, in upper or lower case."""
    listed = sorted(text.split(), key=len, reverse=True)
    return rb"(?i:" + "|".join(map(re.escape, listed)).encode() + rb")(?=[^" + TOKEN_CHARACTERS + rb"])"


class Value:
    """The text of a value, from which rules show parts. It starts fully covered.

    `text` has a blank for each byte of a fold. The text of a final value ends with a line feed, which no other text
    holds. A value is final if no more of it can arrive.
    """

    __slots__ = ("_begin", "_veil", "broken", "final", "text")

    def __init__(self, veil: Veil, raw: bytes, begin: int, end: int, *, final: bool) -> None:
        text = raw[begin:end].translate(_BLANKS)
        self.text = text + _END if final else text
        self.final = final
        #: Whether a parameter was skipped that generic-param does not derive.
        self.broken = False
        self._veil = veil
        self._begin = begin

    def show(self, begin: int, end: int) -> None:
        """Show a part of the text."""
        self._veil.show(self._begin + begin, self._begin + end)

    def show_match(self, pattern: re.Pattern[bytes], at: int, limit: int | None = None) -> int:
        """Show the bytes that the pattern derives from `at` on; return their end."""
        found = pattern.match(self.text, at) if limit is None else pattern.match(self.text, at, limit)
        if found is None:
            return at
        end = found.end()
        if end > at:
            self._veil.show(self._begin + at, self._begin + end)
        return end

    def skip_parameter(self, at: int) -> int:
        """Return the place of the delimiter that ends the parameter. Show only the blanks before it."""
        return self._skip(at, _REST_OF_PARAMETER)

    def skip_item(self, at: int) -> int:
        """Return the place of the comma that ends the list item. Show only the blanks before it."""
        return self._skip(at, _REST_OF_ITEM)

    def _skip(self, at: int, rest: re.Pattern[bytes]) -> int:
        text = self.text
        if (derived := _REST_OF_GENERIC_PARAM.match(text, at)) is not None:
            end = derived.end()
            if end > derived.end(1):
                self.show(derived.end(1), end)
            return end
        self.broken = True
        found = rest.match(text, at)
        end = at if found is None else found.end()
        # A quote or bracket that does not close hides every delimiter behind it.
        return end if text[end : end + 1] in _DELIMITERS else len(text)

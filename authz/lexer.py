"""Lines of a policy file, cut into fields and words.

Blanks separate the fields of a line, commas the words of a field. `#` at the beginning of a field opens a comment. A
word with a blank, comma, quote or `#` is quoted whole, with the escapes of a JSON string (RFC 8259). Characters one
cannot see (controls, zero width, direction marks, blanks other than the space) are refused everywhere, because a line
must mean what it looks like; a name that really has them is quoted and escaped.
"""

import json
import re

#: A statement, with its comment, is at most this long in UTF-8.
MAX_LINE_BYTES = 2048

_FIELD = re.compile(r'(?:[^\s"#]|"(?:[^"\\]|\\.)*")+')
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[^",]+')
_BARE = re.compile(r'[^\s",#]+')
#: Blank or joining characters that Unicode counts as printable and nobody sees.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_FORBIDDEN = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class Malformed(Exception):
    """A word or line is wrong. The text says how, and never quotes it: it may name a person."""


def fields(line: str) -> list[str]:
    """The fields of a line, quotes kept; empty if the line says nothing.

    Raises:
        Malformed: the line is too long, holds what one cannot see, or a quote or `#` stands where it may not.
    """
    if too_long(line, MAX_LINE_BYTES):
        raise Malformed(f"longer than {MAX_LINE_BYTES} bytes")
    if not line.isprintable():
        line = line.replace("\t", " ")
        if not line.isprintable():
            raise Malformed("holds a control or invisible character")
    if not line.isascii() and _UNSEEN.search(line):
        raise Malformed("holds a control or invisible character")
    if '"' in line or "#" in line:
        return _quoted_fields(line)
    return line.split()


def words(field: str) -> list[str]:
    """The words of a field, without their quotes.

    Raises:
        Malformed: a word is missing or wrongly quoted.
    """
    found = _quoted_words(field) if '"' in field else field.split(",")
    if "" in found:
        raise Malformed("a list has an empty word")
    return found


def spelled(word: str) -> str:
    """The word as it is written in a policy file: `words(spelled(word)) == [word]`."""
    if word.isprintable() and (word.isascii() or not _UNSEEN.search(word)):
        return word if _BARE.fullmatch(word) else json.dumps(word, ensure_ascii=False)
    return json.dumps(word)


def too_long(text: str, limit: int) -> bool:
    """Whether the text has more than `limit` bytes in UTF-8."""
    # A character has one to four bytes: most texts need no encoding to know.
    return len(text) * 4 > limit and (len(text) > limit or len(text.encode(errors="surrogatepass")) > limit)


def _quoted_fields(line: str) -> list[str]:
    found: list[str] = []
    at = 0
    while rest := line[at:].lstrip():
        if rest.startswith("#"):
            break
        match = _FIELD.match(rest)
        end = match.end() if match else 0
        if end < len(rest) and rest[end] != " ":
            raise Malformed("a quote is not closed" if rest[end] == '"' else "a word with # must be quoted")
        found.append(rest[:end])
        at = len(line) - len(rest) + end
    return found


def _quoted_words(field: str) -> list[str]:
    found: list[str] = []
    at = 0
    while match := _WORD.match(field, at):
        found.append(_unquoted(match[0]))
        at = match.end()
        if at == len(field):
            return found
        if field[at] != ",":
            raise Malformed("quotes must enclose the whole word")
        at += 1
    raise Malformed("a list has an empty word")


def _unquoted(word: str) -> str:
    if not word.startswith('"'):
        return word
    try:
        plain: str = json.loads(word)
    except ValueError as error:
        raise Malformed("a backslash in quotes must be one of the escapes of JSON") from error
    if _FORBIDDEN.search(plain):
        raise Malformed("holds a control character")
    return plain

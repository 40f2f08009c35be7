"""The lexer of policy files: a line is split into fields, and a field into words.

Blanks separate the fields of a line, commas the words of a field. `#` at the start of a field opens a comment. A word
with a blank, comma, quote or `#` is quoted as a whole, with the escapes of a JSON string (RFC 8259). Invisible
characters (controls, zero width, direction marks, blanks other than the space) are refused everywhere, because a line
must mean what it looks like. A name that has such a character is quoted, and the character is escaped.
"""

import json
import re

#: Most bytes of a statement with its comment, in UTF-8.
MAX_LINE_BYTES = 2048

_FIELD = re.compile(r'(?:[^\s"#]|"(?:[^"\\]|\\.)*")+')
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[^",]+')
_BARE = re.compile(r'[^\s",#]+')
#: Blank or joining characters that Unicode counts as printable although they are invisible.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_FORBIDDEN = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_INVISIBLE = "the line has a control or invisible character: remove it, or quote the word and write it as \\uXXXX"
_EMPTY_WORD = "a list has an empty word: remove one comma"


class Malformed(Exception):
    """A line of a policy file is invalid. The text never quotes the line, because it may name a person."""


def fields(line: str) -> list[str]:
    """Return the fields of a line with their quotes. A blank line or a comment has none.

    Raises:
        Malformed: the line is too long, has an invisible character, or has a quote or `#` in the wrong place.
    """
    if too_long(line, MAX_LINE_BYTES):
        raise Malformed(f"the line is longer than {MAX_LINE_BYTES} bytes: shorten it or make it several statements")
    if not line.isprintable():
        line = line.replace("\t", " ")
        if not line.isprintable():
            raise Malformed(_INVISIBLE)
    if not line.isascii() and _UNSEEN.search(line):
        raise Malformed(_INVISIBLE)
    if '"' in line or "#" in line:
        return _quoted_fields(line)
    return line.split()


def words(field: str) -> list[str]:
    """Return the words of a field, without their quotes.

    Raises:
        Malformed: a word is empty or wrongly quoted.
    """
    split = _quoted_words(field) if '"' in field else field.split(",")
    if "" in split:
        raise Malformed(_EMPTY_WORD)
    return split


def spelled(word: str) -> str:
    """Return the word as a policy file writes it: `words(spelled(word)) == [word]`."""
    if word.isprintable() and (word.isascii() or not _UNSEEN.search(word)):
        return word if _BARE.fullmatch(word) else json.dumps(word, ensure_ascii=False)
    return json.dumps(word)


def too_long(text: str, limit: int) -> bool:
    """Return whether the text has more than `limit` bytes in UTF-8."""
    # A character has one to four bytes, so most texts need no encoding for this.
    return len(text) * 4 > limit and (len(text) > limit or len(text.encode(errors="surrogatepass")) > limit)


def _quoted_fields(line: str) -> list[str]:
    split: list[str] = []
    at = 0
    while rest := line[at:].lstrip():
        if rest.startswith("#"):
            break
        match = _FIELD.match(rest)
        end = match.end() if match else 0
        if end < len(rest) and rest[end] != " ":
            raise Malformed("a quote is not closed: close it" if rest[end] == '"' else "a word with # must be quoted")
        split.append(rest[:end])
        at = len(line) - len(rest) + end
    return split


def _quoted_words(field: str) -> list[str]:
    split: list[str] = []
    at = 0
    while match := _WORD.match(field, at):
        split.append(_unquoted(match[0]))
        at = match.end()
        if at == len(field):
            return split
        if field[at] != ",":
            raise Malformed("quotes must enclose the whole word")
        at += 1
    raise Malformed(_EMPTY_WORD)


def _unquoted(word: str) -> str:
    if not word.startswith('"'):
        return word
    try:
        plain: str = json.loads(word)
    except ValueError as error:
        raise Malformed("a backslash in quotes must be one of the escapes of JSON") from error
    if _FORBIDDEN.search(plain):
        raise Malformed("the word has a control character: remove it")
    return plain

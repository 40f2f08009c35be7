"""Captured text made safe to show: one cell for each character, and no control sequence."""

import unicodedata

_MARK = "?"


def clean(text: str) -> str:
    """The text with every control, formatting, combining and double-width character replaced."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_plain(char) else _MARK for char in text)


def clip(text: str, width: int) -> str:
    """The text cleaned and, where it is longer than `width` cells, cut and marked."""
    text = clean(text)
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"[:width]


def _is_plain(char: str) -> bool:
    return char.isprintable() and not unicodedata.combining(char) and unicodedata.east_asian_width(char) not in "WF"

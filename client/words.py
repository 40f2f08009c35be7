"""Between the enums of the contract and words: `play` is VERB_PLAY of the enum Verb."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

_WORD_IN_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def word_of(enum: Any, number: int) -> str:
    """Return the word for a number of an enum; empty for 0, and the number itself if this version has no name for it.

    A caller that compares words never takes an unknown number for a known one.
    """
    return _words_of(enum).get(number) or (str(number) if number else "")


def number_of(enum: Any, word: str | None) -> Any:
    """Return the number for a word of an enum; 0 without a word.

    Raises:
        ValueError: the enum has no such word.
    """
    if not word:
        return 0
    number = _numbers_of(enum).get(word)
    if number is None:
        raise ValueError(f"{enum.DESCRIPTOR.name} has no such word")
    return number


@cache
def _words_of(enum: Any) -> Mapping[int, str]:
    prefix = f"{_WORD_IN_NAME.sub('_', enum.DESCRIPTOR.name).upper()}_"
    return {number: name.removeprefix(prefix).lower() for name, number in enum.items() if number}


@cache
def _numbers_of(enum: Any) -> Mapping[str, int]:
    return {word: number for number, word in _words_of(enum).items()}

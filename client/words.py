"""Between the enums of the contract and words: `play` is VERB_PLAY of the enum Verb."""

import re
from typing import Any

_WORD_IN_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def word_of(enum: Any, number: int) -> str:
    """Return the word for a number of an enum; empty for 0, and the number itself if this version has no name for it.

    A caller that compares words never takes an unknown number for a known one.
    """
    if number not in enum.values():
        return str(number)
    return str(enum.Name(number)).removeprefix(prefix_of(enum)).lower() if number else ""


def number_of(enum: Any, word: str | None) -> Any:
    """Return the number for a word of an enum; 0 without a word.

    Raises:
        ValueError: the enum has no such word.
    """
    return enum.Value(f"{prefix_of(enum)}{word.upper()}") if word else 0


def prefix_of(enum: Any) -> str:
    """Return the beginning of the names of the values: `RESOURCE_TYPE_` for ResourceType."""
    return f"{_WORD_IN_NAME.sub('_', enum.DESCRIPTOR.name).upper()}_"

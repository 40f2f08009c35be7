"""Between the enums of the contract and the words of the command line: `play` is VERB_PLAY of the enum Verb.

The words are those of the contract itself, so that a client imports nothing of the server to name them.
"""

import re
from typing import Any

import click

_WORD_IN_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def word_of(enum: Any, number: int) -> str:
    """The word for a number of an enum; empty for 0, and the number itself where this version has no name for it."""
    if number not in enum.values():
        return str(number)
    return str(enum.Name(number)).removeprefix(_prefix(enum)).lower() if number else ""


def number_of(enum: Any, word: str | None) -> Any:
    """The number for a word of an enum; 0 without a word."""
    return enum.Value(f"{_prefix(enum)}{word.upper()}") if word else 0


def choice_of(enum: Any) -> "click.Choice[str]":
    """The type of an option whose values are the words of an enum."""
    return click.Choice([word_of(enum, one.number) for one in enum.DESCRIPTOR.values if one.number])


def _prefix(enum: Any) -> str:
    """The beginning of the names of the values: `RESOURCE_TYPE_` for ResourceType."""
    return f"{_WORD_IN_NAME.sub('_', enum.DESCRIPTOR.name).upper()}_"

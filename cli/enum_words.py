"""Between the enums of the contract and the words of the command line: `play` is VERB_PLAY of the enum Verb.

The words are those of the contract itself, so that a client imports nothing of the server to name them.
"""

from typing import Any

import click

from linewarden.client.words import number_of, word_of

__all__ = ["choice_of", "number_of", "word_of"]


def choice_of(enum: Any) -> "click.Choice[str]":
    """The type of an option whose values are the words of an enum."""
    return click.Choice([word_of(enum, one.number) for one in enum.DESCRIPTOR.values if one.number])

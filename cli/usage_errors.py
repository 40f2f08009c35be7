"""Errors in the words of a command, in two lines: which word is wrong, and where its help is."""

import re
from difflib import get_close_matches

import click

from linewarden.cli.exit_codes import FEW

_CHOSEN = re.compile(r"'(.*)' is not one of ", re.DOTALL)


def explain(error: click.UsageError) -> str:
    """Say which word of a command is wrong, and where its help is, in two lines."""
    text = _parameter_fault(error) if isinstance(error, click.BadParameter) else error.format_message()
    text = " ".join(text.split()).removesuffix(".")
    return text if error.ctx is None else f"{text}\nTry '{error.ctx.command_path} --help'."


def _parameter_fault(error: click.BadParameter) -> str:
    hint = error.param_hint if error.param is None else _name_of(error.param)
    name = " ".join([hint] if isinstance(hint, str) else hint or ())
    if isinstance(error, click.MissingParameter):
        variable = getattr(error.param, "envvar", None) if getattr(error.param, "show_envvar", False) else None
        return f"{name} is missing" + (f"; give it, or set {variable}" if isinstance(variable, str) else "")
    message = error.message
    if isinstance(error.param and error.param.type, click.Choice) and (chosen := _CHOSEN.match(message)):
        message = _not_one_of(chosen[1], [str(one) for one in error.param.type.choices])  # type: ignore[union-attr]
    return f"{name}: {message}" if name else message


def _not_one_of(value: str, choices: list[str]) -> str:
    close = get_close_matches(value, choices, 3)
    if close:
        return f"there is no {value}; did you mean {' or '.join(close)}?"
    few = f": {', '.join(choices)}" if len(choices) <= FEW else ""
    return f"{value} is not one of its values{few}"


def _name_of(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len) if isinstance(parameter, click.Option) else (parameter.name or "").upper()

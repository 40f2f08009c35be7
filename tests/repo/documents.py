"""The generated parts of docs/. `make docs` writes them; the tests compare them."""

import inspect
import re
from collections.abc import Iterator

import click
from contract import elements
from repository import ROOT

from linewarden.cli import main as linewarden
from linewarden.server.settings_text import settings_table

README = ROOT / "README.md"
COMMANDS = ROOT / "docs" / "commands.md"
REFERENCE = ROOT / "docs" / "reference.md"

_WIDTH = 100
_REASON = re.compile(r"ERROR_REASON_(\w+) is ([A-Z_]+): (.+?)(?: \{ \"reason\".*)?$")


def commands() -> Iterator[tuple[click.Context, click.Command]]:
    """Yield all visible commands in the order of their names, each with the context of its help."""
    settings = linewarden.context_settings
    yield from _commands(
        linewarden, click.Context(linewarden, info_name="linewarden", max_content_width=_WIDTH, **settings)
    )


def commands_page() -> str:
    """Return docs/commands.md: the output of `--help`, command by command."""
    parts = ["# The command `linewarden`\n\nWhat `--help` says, command by command. `make docs` writes this page.\n"]
    for context, command in commands():
        context.terminal_width = _WIDTH
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"## {context.command_path}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def commands_table() -> str:
    """Return every command with its subcommands and purpose."""
    rows = ["| command | does |", "|---|---|"]
    for name, command in sorted(linewarden.commands.items()):
        if not command.hidden:
            inner = f" {', '.join(sorted(command.commands))}" if isinstance(command, click.Group) else ""
            words = " ".join(inspect.cleandoc(command.help or "").split())
            rows.append(f"| `linewarden {name}`{inner} | {words} |")
    return "\n".join(rows) + "\n"


def reasons() -> dict[str, tuple[str, str]]:
    """Return status and meaning of every error reason, as the contract states them."""
    stated = {}
    for element in elements():
        if element.name.startswith("ERROR_REASON_") and (match := _REASON.fullmatch(element.comment)):
            stated[match[1]] = (match[2], match[3].strip())
    return stated


def reasons_table() -> str:
    """Return every error reason with its status."""
    rows = ["| reason | status | meaning |", "|---|---|---|"]
    rows += [f"| `{name}` | `{status}` | {meaning} |" for name, (status, meaning) in reasons().items()]
    return "\n".join(rows) + "\n"


def with_made_parts(text: str) -> str:
    """Return the reference with fresh generated parts, each between `<!-- name -->` and `<!-- /name -->`."""
    for name, made in (("settings", settings_table()), ("commands", commands_table()), ("reasons", reasons_table())):
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, found, rest = text.partition(start)
        _old, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"docs/reference.md has no part {name}")
        text = f"{before}{start}\n{made}\n{end}{after}"
    return text


def _commands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Context, click.Command]]:
    if command.hidden:
        return
    yield context, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.commands[name]
            yield from _commands(child, click.Context(child, parent=context, info_name=name))


if __name__ == "__main__":
    REFERENCE.write_text(with_made_parts(REFERENCE.read_text(encoding="utf-8")), encoding="utf-8")
    COMMANDS.write_text(commands_page(), encoding="utf-8")

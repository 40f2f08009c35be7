"""A group of commands that knows their names and first sentences, and imports a command when it is run.

Goal: `linewarden --version` and `linewarden audit verify` import no server. Refused: imports within the functions of
commands, because every module would repeat them and one that is forgotten costs all commands. Consequence: a module
imports at its head what its commands need, and commands with other needs are in other modules.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from linewarden.cli.exit_codes import ReportingGroup


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command in a module of its own or with others.

    `module` is its path below `linewarden.cli`, `name` the object in it, `help` the first sentence of its help.
    """

    module: str
    name: str
    help: str
    hidden: bool = False

    def load(self) -> click.Command:
        """Import the command."""
        found: click.Command = getattr(import_module(f"linewarden.cli.{self.module}"), self.name)
        return found


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A group of commands with its whole help."""

    help: str
    entries: Mapping[str, "Entry"]
    hidden: bool = False


Entry = CommandEntry | GroupEntry


class LazyCommands(MutableMapping[str, click.Command]):
    """The commands of a group by their names, each imported when it is asked for. The table alone adds commands."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            entry = self.entries[name]
            self._loaded[name] = LazyGroup(name, entry) if isinstance(entry, GroupEntry) else entry.load()
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __setitem__(self, name: str, command: click.Command) -> None:
        raise TypeError("a command is added to the table in linewarden.cli.tree")

    def __delitem__(self, name: str) -> None:
        raise TypeError("a command is removed from the table in linewarden.cli.tree")


class LazyGroup(ReportingGroup):
    """A group that lists its commands without importing them."""

    def __init__(self, name: str, entry: GroupEntry, **settings: Any) -> None:
        self._entries = entry.entries
        super().__init__(name, LazyCommands(entry.entries), help=entry.help, hidden=entry.hidden, **settings)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the names with their first sentences, as click does for commands that are imported."""
        shown = [click.Command(name, help=one.help) for name, one in sorted(self._entries.items()) if not one.hidden]
        limit = formatter.width - 6 - max(len(str(one.name)) for one in shown)
        with formatter.section("Commands"):
            formatter.write_dl([(str(one.name), one.get_short_help_str(limit)) for one in shown])

"""Rows as a table for people, or as JSON, JSON lines or CSV for programs."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

#: How a cell begins that a spreadsheet may take for a formula.
_FORMULA = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH HYPHEN-MINUS}",
            "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip
#: What may be unprintable: nothing that is printable ASCII.
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")

FORMATS = ("table", "json", "jsonl", "csv")

output_option = click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="The form of the data."
)


class Forgiving(io.TextIOBase):
    """Stderr, whose failures end no command: what was done is done, whether or not it can be told."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """Those of the stream."""
        return self._stream.errors

    def write(self, text: str) -> int:
        """Write text, or lose it."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or lose what is not written."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person sees it at once."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream."""
        return self._stream.fileno()


def write_rows(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], form: str, *, fields: Iterable[str] = ()
) -> None:
    """Write rows to stdout. A table shows `columns` that hold something; the other forms hold everything.

    Rows need not have the same fields. The header of CSV has the columns, then `fields`, then whatever rows have
    beyond: so it is the same for every answer of a command that states all its fields.
    """
    rows = list(rows)
    if form == "table":
        _write_table(rows, columns or _all_columns(rows))
    elif form == "json":
        click.echo(_json(rows, orjson.OPT_INDENT_2))
    elif form == "jsonl":
        for row in rows:
            click.echo(_json(row))
    else:
        _write_csv(rows, _all_columns(rows, (*columns, *fields)))


def write_block(parts: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Write one thing for people: beside each label its lines, folded where the terminal ends."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, lines in parts:
        table.add_row(label, "\n".join(map(_cell, lines)))
    _console().print(table)


def progress(label: str) -> Progress:
    """A progress bar on stderr, silent off a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _all_columns(rows: Iterable[Mapping[str, Any]], first: Sequence[str] = ()) -> list[str]:
    """The columns that come first, then the others of all rows in the order they are met."""
    return list(dict.fromkeys([*first, *(name for row in rows for name in row)]))


def _write_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    cells = [[_table_cell(column, row.get(column, "")) for column in columns] for row in rows]
    # Room is dear on a terminal: a column without a value in any row has none.
    shown = [n for n in range(len(columns)) if not cells or any(line[n] for line in cells)]
    table = Table(box=None, pad_edge=False)
    for n in shown:
        # An id is what the next command is given: cut in two, nobody could copy it.
        table.add_column(columns[n].replace("_", " "), no_wrap=columns[n] == "id", overflow="fold")
    for line in cells:
        table.add_row(*(line[n] for n in shown))
    _console().print(table)


def _table_cell(column: str, value: Any) -> str:
    """The value for people: yes and no, and times to the second."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _cell(value)[:19].replace("T", " ") if column.endswith("_at") else _cell(value)


class _Console(Console):
    """A console that leaves it to the command what becomes of output that is not read."""

    def on_broken_pipe(self) -> None:
        """Raise the error again; rich would end the process with 1, which means denied."""
        raise BrokenPipeError


def _console() -> Console:
    # What is shown comes from other people: it is text, whatever markup it resembles.
    console = _Console(highlight=False, soft_wrap=False, markup=False, emoji=False)
    if not console.is_terminal:  # a pipe has no width to cut to
        console.width = 10_000
    return console


def _write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _spreadsheet_cell(_cell(value)) for name, value in row.items()})
    click.echo(text.getvalue(), nl=False)


def _spreadsheet_cell(text: str) -> str:
    # A spreadsheet takes these for formulas, and who names an item may choose its name. Some leave blanks before them
    # out, or read signs of full width as the others.
    return f"'{text}" if text.lstrip(" \N{REPLACEMENT CHARACTER}").startswith(_FORMULA) else text


def _json(value: Any, option: int = 0) -> str:
    """JSON that a terminal shows as it is: what is not printable is escaped, as JSON may escape anything."""
    text = orjson.dumps(value, option=option).decode()
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if found == "\n" or found.isprintable():
        return found
    units = found.encode("utf-16-be")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        text = orjson.dumps(value).decode()
    elif isinstance(value, list | tuple):
        nested = any(isinstance(one, Mapping | list | tuple) for one in value)
        text = orjson.dumps(value).decode() if nested else ", ".join(map(str, value))
    else:
        text = str(value)
    # Controls and marks of direction would let a name write over its neighbours on a terminal.
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)

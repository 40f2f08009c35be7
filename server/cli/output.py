"""Rows as a table for people, or as JSON, JSON lines or CSV for programs."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

FORMATS = ("table", "json", "jsonl", "csv")

output_option = click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="The form of the data."
)


def write_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], form: str) -> None:
    """Write rows to stdout. A table shows `columns` that hold something; the other forms hold everything.

    Rows need not have the same fields: the columns are those of all rows together.
    """
    rows = list(rows)
    if form == "table":
        _write_table(rows, columns or _all_columns(rows))
    elif form == "json":
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
    elif form == "jsonl":
        for row in rows:
            click.echo(orjson.dumps(row).decode())
    else:
        _write_csv(rows, _all_columns(rows, columns))


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


def _console() -> Console:
    # What is shown comes from other people: it is text, whatever markup it resembles.
    console = Console(highlight=False, soft_wrap=False, markup=False, emoji=False)
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
    # A spreadsheet takes these for formulas, and who names an item may choose its name.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


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

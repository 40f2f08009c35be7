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
    """Write rows to stdout. A table shows `columns`; the other forms hold everything."""
    if form == "table":
        _write_table(rows, columns)
    elif form == "json":
        click.echo(orjson.dumps(list(rows), option=orjson.OPT_INDENT_2).decode())
    elif form == "jsonl":
        for row in rows:
            click.echo(orjson.dumps(row).decode())
    else:
        _write_csv(rows, columns)


def progress(label: str) -> Progress:
    """A progress bar on stderr, silent off a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _write_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    table = Table(*(column.replace("_", " ") for column in columns), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row.get(column, "")) for column in columns))
    # What is shown comes from other people: it is text, whatever markup it resembles.
    console = Console(highlight=False, soft_wrap=False, markup=False, emoji=False)
    if not console.is_terminal:  # a pipe has no width to cut to
        console.width = 10_000
    console.print(table)


def _write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    writer = None
    text = io.StringIO()
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, fieldnames=[*columns, *(k for k in row if k not in columns)])
            writer.writeheader()
        writer.writerow({name: _spreadsheet_cell(_cell(value)) for name, value in row.items()})
    click.echo(text.getvalue(), nl=False)


def _spreadsheet_cell(text: str) -> str:
    # A spreadsheet takes these for formulas, and who names an item may choose its name.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def _cell(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    # Controls and marks of direction would let a name write over its neighbours on a terminal.
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)

"""Rows as a table for people, or as JSON, JSON lines or CSV for programs.

Standard library and click: a table is drawn by a library only where a terminal shows it, because importing that costs
more than verifying a log.
"""

import csv
import io
import json
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

#: The beginnings of a cell that a spreadsheet may take for a formula.
_FORMULA = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH HYPHEN-MINUS}",
            "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip
#: Characters that may be unprintable: all but printable ASCII.
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")

#: Reports how much of a task is done, and how much there is.
Progress = Callable[[int, int], None]

FORMATS = ("table", "json", "jsonl", "csv")

output_option = click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="The form of the data."
)


class Forgiving(io.TextIOBase):
    """Stderr, whose failures end no command, because the work of the command is done by then."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """The error handler of the stream."""
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
        """Tell whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream."""
        return self._stream.fileno()


def write_rows(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], form: str, *, fields: Iterable[str] = ()
) -> None:
    """Write rows to stdout. A table shows `columns` that hold something; the other forms hold everything.

    Rows need not have the same fields. The header of CSV has the columns, then `fields`, then the other fields of rows.
    So it is the same for every answer of a command that states all its fields.
    """
    rows = list(rows)
    if form == "table":
        _write_table(rows, columns or _all_columns(rows))
    elif form == "json":
        click.echo(_json(rows, indent=2))
    elif form == "jsonl":
        for row in rows:
            click.echo(_json(row))
    else:
        _write_csv(rows, _all_columns(rows, (*columns, *fields)))


def write_block(parts: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Write one thing for people: beside each label its lines, folded where the terminal ends."""
    cells = [(label, [_cell(line) for line in lines]) for label, lines in parts]
    if _on_terminal():
        from linewarden.cli.terminal import draw_block  # noqa: PLC0415 - see the head of this file

        draw_block(cells)
        return
    rows = [(label if n == 0 else "", line) for label, lines in cells for n, line in enumerate(lines or [""])]
    _write_columns(rows)


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Show a progress bar on stderr while the task runs; off a terminal show none."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from linewarden.cli.terminal import progress_bar  # noqa: PLC0415 - see the head of this file

    with progress_bar(label) as report:
        yield report


def _all_columns(rows: Iterable[Mapping[str, Any]], first: Sequence[str] = ()) -> list[str]:
    """The columns that come first, then the others of all rows in the order they are met."""
    return list(dict.fromkeys([*first, *(name for row in rows for name in row)]))


def _write_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    cells = [[_table_cell(column, row.get(column, "")) for column in columns] for row in rows]
    # Room is dear on a terminal: a column without a value in any row has none.
    shown = [n for n in range(len(columns)) if not cells or any(line[n] for line in cells)]
    lines = [[line[n] for n in shown] for line in cells]
    names = [columns[n] for n in shown]
    if _on_terminal():
        from linewarden.cli.terminal import draw_table  # noqa: PLC0415 - see the head of this file

        draw_table(names, lines)
    else:
        _write_columns([[name.replace("_", " ") for name in names], *lines])


def _on_terminal() -> bool:
    """Tell whether a person sees stdout at once; FORCE_COLOR says so where a pipe leads to a terminal."""
    forced = os.environ.get("FORCE_COLOR")
    if forced is not None:
        return bool(forced)
    return sys.stdout is not None and sys.stdout.isatty()


def _write_columns(lines: Sequence[Sequence[str]]) -> None:
    """Write cells below each other, two blanks between columns; a pipe has no width to fold to."""
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _width(text: str) -> int:
    """The cells that a text takes on a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF") for one in text)


def _table_cell(column: str, value: Any) -> str:
    """The value for people: yes and no, and times to the second."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _cell(value)[:19].replace("T", " ") if column.endswith("_at") else _cell(value)


def _write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _spreadsheet_cell(_cell(value)) for name, value in row.items()})
    click.echo(text.getvalue(), nl=False)


def _spreadsheet_cell(text: str) -> str:
    # A spreadsheet takes these for formulas, and a stranger chooses the name of an item. Some spreadsheets leave out
    # blanks before them, or read signs of full width as the others.
    return f"'{text}" if text.lstrip(" \N{REPLACEMENT CHARACTER}").startswith(_FORMULA) else text


def _json(value: Any, indent: int | None = None) -> str:
    """JSON that a terminal shows as it is: what is not printable is escaped, as JSON may escape anything."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=(",", ": " if indent else ":"))
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if found == "\n" or found.isprintable():
        return found
    units = found.encode("utf-16-be")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        text = _compact(value)
    elif isinstance(value, list | tuple):
        nested = any(isinstance(one, Mapping | list | tuple) for one in value)
        text = _compact(value) if nested else ", ".join(map(str, value))
    else:
        text = str(value)
    # Controls and marks of direction would let a name write over its neighbours on a terminal.
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

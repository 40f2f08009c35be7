"""Tables, blocks and progress bars on a terminal, drawn by rich. The one module of the command that imports it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from linewarden.cli.output import Progress


class _Console(Console):
    """A console that leaves it to the command what becomes of output that is not read."""

    def on_broken_pipe(self) -> None:
        """Raise the error again; rich would end the process with 1, which means denied."""
        raise BrokenPipeError


def draw_table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Draw rows below the names of their columns, cells folded to the width of the terminal."""
    table = Table(box=None, pad_edge=False)
    for name in columns:
        # An id is the argument of the next command: cut in two, it could not be copied.
        table.add_column(name.replace("_", " "), no_wrap=name == "id", overflow="fold")
    for line in lines:
        table.add_row(*line)
    _console().print(table)


def draw_block(parts: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Draw beside each label its lines, folded to the width of the terminal."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, lines in parts:
        table.add_row(label, "\n".join(lines))
    _console().print(table)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Draw a progress bar on stderr."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _console() -> _Console:
    # The content comes from other people: it is text, whatever markup it resembles.
    return _Console(highlight=False, soft_wrap=False, markup=False, emoji=False)

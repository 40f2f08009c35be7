"""`linewarden items asterisk`: the files of an Asterisk as items, a line of JSON each."""

from collections.abc import Iterable
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from linewarden.cli.exit_codes import INCOMPLETE, USAGE, Failure
from linewarden.connectors.asterisk.tree import read
from linewarden.connectors.model import Item, Problem


class _Zone(click.ParamType):  # type: ignore[type-arg]
    """A time zone of the IANA database."""

    name = "zone"

    def convert(self, value: object, _param: click.Parameter | None, _ctx: click.Context | None) -> tzinfo:
        """Return the zone of a name."""
        try:
            return value if isinstance(value, tzinfo) else ZoneInfo(str(value))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise click.BadParameter("no such time zone; name one such as Europe/Berlin") from None


@click.command("asterisk")
@click.option("--cdr", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A Master.csv.")
@click.option(
    "--monitor", type=click.Path(exists=True, file_okay=False, path_type=Path), help="The folder of the recordings."
)
@click.option("--tz", "zone", type=_Zone(), help="Zone of the dates in the file, where the unique ids do not tell it.")
@click.pass_context
def asterisk(ctx: click.Context, cdr: Path | None, monitor: Path | None, zone: tzinfo | None) -> None:
    """Print the call records and recordings of an Asterisk.

    Each item is a line of JSON with its participants. Problems go to stderr, a line each; exit code 5: there was one.
    Exit code 2: the file and the folder have no readable item.
    """
    if cdr is None and monitor is None:
        raise click.UsageError("Nothing to read. State --cdr, --monitor, or both.")
    printed, problems = _print(read(cdr, monitor, zone))
    if not printed:
        raise Failure(USAGE, "no readable item in the file and the folder; check that they are those of an Asterisk")
    ctx.exit(INCOMPLETE if problems else 0)


def _print(found: Iterable[Item | Problem]) -> tuple[int, int]:
    printed = problems = 0
    for one in found:
        if isinstance(one, Item):
            click.echo(one.line())
            printed += 1
        else:
            click.echo(f"linewarden: {one.source}: {one.text}", err=True)
            problems += 1
    return printed, problems

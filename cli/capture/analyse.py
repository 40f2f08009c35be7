"""`linewarden capture analyse`: calls, registrations and streams of an opened capture file, without a server."""

from pathlib import Path

import click

from linewarden.cli.exit_codes import DENIED, USAGE, fail
from linewarden.diagnostics.analysis.apart import AnalysisFailed, AnalysisRefused, analyse_apart
from linewarden.diagnostics.analysis.outcome import Form

_COLUMNS = 80


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--ladder", "call_id", default="", metavar="CALL-ID", help="Show the ladder of this call instead of the report."
)
@click.option(
    "--svg",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the ladder into this new file instead of on the terminal.",
)
@click.option(
    "--timeline", is_flag=True, help="Show loss, jitter and MOS of each stream over time too. JSON always has them."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The form of the data.",
)
def analyse(file: Path, call_id: str, picture: Path | None, timeline: bool, output: str) -> None:
    """Report the calls, registrations and streams in the opened FILE. Needs no server. Exit code 1: it broke off.

    The report is as confidential as the file, because it names callers and callees.
    """
    if picture and (not call_id or output == "json"):
        raise click.UsageError("--svg draws a ladder: it needs --ladder, and excludes -o json")
    form = Form.SVG if picture else Form(output)
    try:
        with file.open("rb") as opened:
            width = _columns() if call_id or timeline else _COLUMNS
            shown = analyse_apart(opened, form, call_id=call_id, width=width, timeline=timeline)
    except AnalysisRefused as error:
        fail(USAGE, str(error))
    except AnalysisFailed as error:
        fail(DENIED, str(error))
    if picture is None:
        click.echo(shown, nl=False)
        return
    with picture.open("xb") as target:
        target.write(shown)


def _columns() -> int:
    import shutil  # noqa: PLC0415 - only a ladder and a timeline have a width

    return shutil.get_terminal_size((_COLUMNS, 24)).columns

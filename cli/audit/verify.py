"""`linewarden audit verify`: an exported log, verified offline with the verifier key alone."""

from collections.abc import Iterator
from pathlib import Path

import click

from linewarden.audit.verify import Report, verify_export
from linewarden.cli.output import output_option, progress, write_block, write_rows


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--verifier-key", required=True, help="The text of the key, or a file that holds it.")
@click.option(
    "--old-checkpoint",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="An earlier checkpoint that the log must still contain.",
)
@output_option
def verify(folder: Path, verifier_key: str, old_checkpoint: Path | None, output: str) -> None:
    """Verify the exported log in FOLDER, offline, with the verifier key alone. Exit code 1: it is not intact."""
    if Path(verifier_key).is_file():
        verifier_key = Path(verifier_key).read_text(encoding="utf-8").strip()
    with progress("verifying") as done:
        report = verify_export(
            folder,
            verifier_key,
            old_checkpoint=old_checkpoint.read_text(encoding="utf-8") if old_checkpoint else None,
            progress=done,
        )
    recoveries = _recoveries(report)
    for recovery in recoveries:
        click.echo(f"linewarden: the log was recovered {recovery}", err=True)
    if output == "table":
        write_block(_parts(report, recoveries))
        return
    row = {
        "verified": True,
        "origin": report.origin,
        "entries": report.size,
        "root": report.root.hex(),
        "kinds": dict(report.kinds),
        "recoveries": recoveries,
    }
    write_rows([row], tuple(row), output)


def _recoveries(report: Report) -> list[str]:
    return [
        f"at entry {one.index} by {one.account}, {one.lost} entries of the last checkpoint lost: {one.reason}"
        for one in report.recoveries
    ]


def _parts(report: Report, recoveries: list[str]) -> Iterator[tuple[str, list[str]]]:
    yield "verified", ["yes"]
    yield "origin", [report.origin]
    yield "entries", [f"{report.size:,}"]
    yield "root", [report.root.hex()]
    yield "kinds", [f"{count:,} {kind}" for kind, count in sorted(report.kinds.items())]
    if recoveries:
        yield "recovered", recoveries

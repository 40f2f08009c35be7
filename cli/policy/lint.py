"""`linewarden policy lint`: policy files, checked without a server."""

from typing import BinaryIO

import click

from linewarden.cli.exit_codes import DENIED
from linewarden.cli.policy.policy_file import checked


@click.command("lint")
@click.argument("files", nargs=-1, required=True, type=click.File("rb"))
@click.pass_context
def lint_files(ctx: click.Context, files: tuple[BinaryIO, ...]) -> None:
    """Check policy FILES without a server. Exit code 1: a line has an error."""
    wrong = [file.name for file in files if checked(file.name, file.read()) is None]
    ctx.exit(DENIED if wrong else 0)

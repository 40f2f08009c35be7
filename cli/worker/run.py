"""`linewarden worker run`: a capture worker at its own host, which has no database and no settings of the server."""

import asyncio
import signal
from pathlib import Path

import click

from linewarden.diagnostics.agent import connection_loop
from linewarden.diagnostics.agent.enrolment import read_enrolment
from linewarden.server import log


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Lowest level in the text log.",
)
@click.option(
    "--log-format",
    type=click.Choice(["json", "console"]),
    default="json",
    show_default=True,
    help="Form of the text log.",
)
def run(folder: Path, log_level: str, log_format: str) -> None:
    """Connect to the servers that FOLDER names, and run captures until SIGTERM or SIGINT. Captures need CAP_NET_RAW."""
    log.configure(log_level, log_format)
    enrolment = read_enrolment(folder)

    def connected(server: str) -> None:
        click.echo(f"linewarden: {enrolment.name} is connected to {server}", err=True)

    async def until_signal() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await connection_loop.run(enrolment, connected, stop)

    asyncio.run(until_signal())

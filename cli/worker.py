"""`linewarden worker`: capture workers of other hosts, enrolled by the operator and run at their host."""

import asyncio
import signal
from datetime import datetime
from pathlib import Path

import click

from linewarden.cli.operator import configured, opened_storage, settings_from
from linewarden.diagnostics.agent.connection_loop import attend
from linewarden.diagnostics.agent.enrolment import read_enrolment
from linewarden.server import log
from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import record_enrolment
from linewarden.server.workers.enrolment import enrol


@click.group()
def worker() -> None:
    """Enrol and run capture workers of other hosts."""


@worker.command("enrol")
@configured
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--server", "servers", multiple=True, required=True, metavar="HOST:PORT", help="Whom to attend to; may be repeated."
)
@click.option("--interface", "interfaces", multiple=True, help="What may be captured there; may be repeated.")
@click.option(
    "--server-ca",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What the server's certificate is checked with; otherwise ca.crt beside it.",
)
def enrol_worker(
    config: Path | None,
    name: str,
    folder: Path,
    servers: tuple[str, ...],
    interfaces: tuple[str, ...],
    server_ca: Path | None,
) -> None:
    """Make the FOLDER of a worker called NAME: take it to the worker's host, and run it there."""
    settings = settings_from(config)
    trust = server_ca or settings.tls_certificate.with_name("ca.crt")
    with opened_storage(config) as storage:

        def record(expires: datetime) -> None:
            record_enrolment(storage.log, name, int(expires.timestamp()) * 1_000_000, now_us())

        enrol(settings, name, folder, servers, interfaces, trust, record)
    click.echo(f"linewarden: take {folder} to the worker's host, and there: linewarden worker run FOLDER", err=True)


@worker.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Least level of the text log.",
)
@click.option(
    "--log-format",
    type=click.Choice(["json", "console"]),
    default="json",
    show_default=True,
    help="Form of the text log.",
)
def run(folder: Path, log_level: str, log_format: str) -> None:
    """Attend to the servers that FOLDER names, until told to stop by SIGTERM or SIGINT. Captures need CAP_NET_RAW."""
    log.configure(log_level, log_format)
    enrolment = read_enrolment(folder)

    async def until_told() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await attend(
            enrolment, lambda server: click.echo(f"linewarden: {enrolment.name} attends to {server}", err=True), stop
        )

    asyncio.run(until_told())

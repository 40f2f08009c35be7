"""`linewarden worker enrol`: the folder of a capture worker, made by the operator for another host."""

from datetime import datetime
from pathlib import Path

import click

from linewarden.cli.operator import configured, opened_storage, settings_from
from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import record_enrolment
from linewarden.server.workers.enrolment import enrol


@click.command("enrol")
@configured
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--server",
    "servers",
    multiple=True,
    required=True,
    metavar="HOST:PORT",
    help="A server that the worker connects to; may be repeated.",
)
@click.option(
    "--interface", "interfaces", multiple=True, help="An interface that the worker may capture on; may be repeated."
)
@click.option(
    "--server-ca",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Certificate of the authority of the servers; without one, ca.crt beside the server's certificate.",
)
def enrol_worker(
    config: Path | None,
    name: str,
    folder: Path,
    servers: tuple[str, ...],
    interfaces: tuple[str, ...],
    server_ca: Path | None,
) -> None:
    """Make the FOLDER of a worker called NAME. Take it to the worker's host, and run the worker there."""
    settings = settings_from(config)
    trust = server_ca or settings.tls_certificate.with_name("ca.crt")
    with opened_storage(config) as storage:

        def record(expires: datetime) -> None:
            record_enrolment(storage.log, name, int(expires.timestamp()) * 1_000_000, now_us())

        enrol(settings, name, folder, servers, interfaces, trust, record)
    click.echo(f"linewarden: take {folder} to the worker's host, and there: linewarden worker run FOLDER", err=True)

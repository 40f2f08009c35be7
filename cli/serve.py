"""`linewarden init`, `serve` and `housekeep`."""

from pathlib import Path

import click
import uvloop

from linewarden.cli.operator import configured, settings_from
from linewarden.cli.policy.policy_file import read_policy
from linewarden.server import log
from linewarden.server.addresses import check_free
from linewarden.server.bootstrap import Running, now_us
from linewarden.server.processes import keep_house, serve_worker
from linewarden.server.processes import serve as serve_all
from linewarden.server.scaffold import KEY_FILE, SETTINGS_FILE, initialize, pbx_template
from linewarden.server.settings import Settings


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--keep", is_flag=True, help="Do nothing if FOLDER is a service already.")
@click.option("--tenant", default="example", show_default=True, help="The name of the first tenant.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The first policy; without one, a template for a PBX.",
)
@click.option("--allow-lockout", is_flag=True, help="Accept a policy that lets no person change it any more.")
def init(folder: Path, keep: bool, tenant: str, policy: Path | None, allow_lockout: bool) -> None:
    """Make FOLDER a service of your own: settings, keys, development certificates, a tenant with a first policy."""
    if keep and (folder / SETTINGS_FILE).exists():
        return
    text = read_policy(policy, tenant) if policy else pbx_template()
    initialize(folder, now_us, tenant=tenant, policy=text, allow_lockout=allow_lockout)
    click.echo(f"linewarden: {folder} is ready; its README.txt says what each file is", err=True)


@click.command()
@configured
@click.option("--worker", is_flag=True, hidden=True)
def serve(config: Path | None, worker: bool) -> None:
    """Serve until SIGTERM or SIGINT. Then answer the requests that were received, and record them."""
    settings = settings_from(config)
    log.configure(settings.log_level, settings.log_format)
    if worker:
        uvloop.run(serve_worker(settings))
        return
    check_free((*settings.listen, *([settings.capture_listen] if settings.capture_listen else ())))
    uvloop.run(serve_all(settings, config, lambda running: _greet(settings, config, running)))


@click.command(hidden=True)
@configured
@click.option("--wait", is_flag=True, hidden=True)
def housekeep(config: Path | None, wait: bool) -> None:
    """Index and sign the logs, and write their heartbeats. `serve` starts it."""
    settings = settings_from(config)
    log.configure(settings.log_level, settings.log_format)
    keep_house(settings, wait=wait)


def _greet(settings: Settings, config: Path | None, running: Running) -> None:
    click.echo(f"linewarden: serving on {', '.join(running.addresses)}", err=True)
    if settings.listen_socket:
        click.echo(f"linewarden: serving on unix:{settings.listen_socket}", err=True)
    if running.worker_address:
        click.echo(f"linewarden: capture workers connect to {running.worker_address}", err=True)
    folder = config.parent if config else None
    if folder is None or not (folder / KEY_FILE).exists():
        return
    trust = "--plaintext" if settings.plaintext else f"--ca {folder / 'tls/ca.crt'}"
    port = running.addresses[0].rpartition(":")[2]
    tenant = next(iter(running.tenants()), "TENANT")
    call = (
        f"linewarden check --server localhost:{port} {trust} --key-file {folder / KEY_FILE}"
        f" --tenant {tenant} --as bob play voicemail default/101/msg1 --owner bob"
    )
    click.echo(f"linewarden: the first call:\n  {call}", err=True)

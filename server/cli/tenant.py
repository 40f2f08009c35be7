"""`linewarden tenant`: the customers of this service, in the database itself."""

import asyncio
from pathlib import Path

import click

from linewarden.server.bootstrap import now_us
from linewarden.server.cli.operator import configured, opened_storage
from linewarden.server.cli.output import output_option, write_rows
from linewarden.server.cli.policy import policy_text
from linewarden.server.operating import create_tenant, load_first_policy


@click.group()
def tenant() -> None:
    """Create and list tenants."""


@tenant.command()
@configured
@click.argument("name")
@click.option(
    "--policy",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Its first policy. Later changes go through the server, by those whom this policy lets.",
)
@click.option("--allow-lockout", is_flag=True, help="Accept a policy that lets no person change it any more.")
def create(config: Path | None, name: str, policy: Path | None, allow_lockout: bool) -> None:
    """Create the tenant NAME."""
    text = policy_text(policy) if policy else ""
    with opened_storage(config) as storage:
        log = create_tenant(storage.log, name, now_us())
        if text:
            asyncio.run(load_first_policy(storage, log, text, now_us(), allow_lockout=allow_lockout))
    click.echo(f"linewarden: tenant {name} is log {log}", err=True)


@tenant.command("list")
@configured
@output_option
def list_tenants(config: Path | None, output: str) -> None:
    """List all tenants with the size of their logs and the revision of their policies."""
    with opened_storage(config) as storage:
        rows = [
            {"tenant": head.tenant, "log": head.log, "entries": head.size, "policy_revision": head.revision}
            for head in storage.log.heads()
            if head.tenant
        ]
    write_rows(rows, ("tenant", "log", "entries", "policy_revision"), output)

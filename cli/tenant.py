"""`linewarden tenant`: the tenants of the service and their policies, in the database itself."""

import asyncio
from pathlib import Path

import click

from linewarden.authz.administration import Change
from linewarden.authz.planning import Request, plan_amendment, plan_file
from linewarden.authz.policies import Loaded
from linewarden.cli.operator import configured, opened_storage
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.policy.policy_file import read_policy
from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import change_policy, check_tenant_name, create_tenant, load_first_policy


@click.command()
@configured
@click.argument("name")
@click.option(
    "--policy",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The first policy. Persons whom it permits change it later through the server.",
)
@click.option("--allow-lockout", is_flag=True, help="Accept a policy that lets no person change it any more.")
def create(config: Path | None, name: str, policy: Path | None, allow_lockout: bool) -> None:
    """Create the tenant NAME."""
    check_tenant_name(name)
    text = read_policy(policy, name) if policy else ""
    with opened_storage(config) as storage:
        log = create_tenant(storage.log, name, now_us())
        if text:
            asyncio.run(load_first_policy(storage, log, text, now_us(), allow_lockout=allow_lockout))
    click.echo(f"linewarden: tenant {name} is log {log}", err=True)


@click.command("list")
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


@click.command("policy")
@configured
@click.argument("name")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--add", "added", multiple=True, metavar="STATEMENT", help="A statement to add; may be repeated.")
@click.option("--remove", "removed", multiple=True, metavar="STATEMENT", help="A statement to remove; may be repeated.")
@click.option(
    "--reason", required=True, help="The reason, recorded in the tenant's log and sealed under the tenant's key."
)
@click.option("--allow-lockout", is_flag=True, help="Accept a policy that lets no person change it any more.")
def change_of_policy(
    config: Path | None,
    name: str,
    file: Path | None,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    reason: str,
    *,
    allow_lockout: bool,
) -> None:
    """Replace the policy of the tenant NAME by FILE, or change single statements of it.

    Use it for a tenant whose policy permits no person to change it. The change is recorded as the operator's. Servers
    apply it at once.
    """
    if (file is None) == (not added and not removed):
        raise click.UsageError("give a FILE that replaces the policy, or --add and --remove")
    text = read_policy(file, name) if file else ""

    def plan(request: Request, now: Loaded) -> Change:
        if file:
            return plan_file(request, now.snapshot, text)
        return plan_amendment(request, now.snapshot, now.ceiling, added, removed)

    with opened_storage(config) as storage:
        request = Request(name, "", now_us(), allow_lockout)
        change = asyncio.run(change_policy(storage, request, plan, reason))
    moved = bool(change.added or change.removed)
    done = f"is at revision {change.revision + moved}: {len(change.added)} added, {len(change.removed)} removed"
    click.echo(f"linewarden: the policy of {name} {done}", err=True)

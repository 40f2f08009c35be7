"""`linewarden key`: the API keys of callers, in the database itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from linewarden.cli.operator import configured, opened_storage
from linewarden.cli.output import output_option, write_rows
from linewarden.server.bootstrap import SERVICES, now_us
from linewarden.server.credentials import ANY, ApiKey
from linewarden.server.operator_actions import create_key, revoke_key

_SERVICES = {service.name: service for service in SERVICES}
_METHODS = {f"{name}/{method.name}" for name, service in _SERVICES.items() for method in service.methods}
_COLUMNS = ("id", "caller", "tenants", "methods", "created", "expires", "revoked")


@click.command()
@configured
@click.argument("caller")
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    required=True,
    help="A tenant that the caller may ask about, or *; may be repeated.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    required=True,
    help=f"A service ({', '.join(_SERVICES)}), one method (AccessService/Check), or *; may be repeated.",
)
@click.option(
    "--days",
    type=click.IntRange(1),
    help="Days until the key expires; without it, the key is valid until it is revoked.",
)
def create(
    config: Path | None, caller: str, tenants: tuple[str, ...], methods: tuple[str, ...], days: int | None
) -> None:
    """Create a key for CALLER and print it. It is never printed again."""
    for method in methods:
        if method != ANY and method not in _SERVICES and method not in _METHODS:
            raise click.BadParameter(f"there is no service or method {method}", param_hint="--method")
    now = now_us()
    expires = None if days is None else now + int(timedelta(days=days).total_seconds()) * 1_000_000
    with opened_storage(config) as storage:
        created, token = create_key(storage.log, caller, tenants, methods, now, expires)
    click.echo(token)
    click.echo(f"linewarden: key {created.id} for {caller}; it is not shown again", err=True)


@click.command("list")
@configured
@output_option
def list_keys(config: Path | None, output: str) -> None:
    """List all keys, also revoked ones, without their secrets."""
    with opened_storage(config) as storage:
        write_rows(map(_row, storage.keys.all()), _COLUMNS, output)


@click.command()
@configured
@click.argument("id")
def revoke(config: Path | None, id: str) -> None:
    """Revoke the key ID. Once the command ends, no server accepts the key."""
    with opened_storage(config) as storage:
        revoke_key(storage.log, id, now_us())
    click.echo(f"linewarden: key {id} is revoked", err=True)


def _row(one: ApiKey) -> dict[str, object]:
    return {
        "id": one.id,
        "caller": one.caller,
        "tenants": sorted(one.tenants),
        "methods": sorted(one.methods),
        "created": _time(one.created_us),
        "expires": _time(one.expires_us),
        "revoked": _time(one.revoked_us),
    }


def _time(us: int | None) -> str:
    return "" if us is None else datetime.fromtimestamp(us / 1_000_000, UTC).isoformat(timespec="seconds")

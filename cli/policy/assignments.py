"""`linewarden assignments load`: who held which address of the telephone system, from a file."""

from pathlib import Path

import click

from linewarden.authz.addresses import check_region
from linewarden.authz.errors import AddressInvalid
from linewarden.cli.client import Connection, connecting, header, subject_option, tenant_option
from linewarden.cli.output import output_option
from linewarden.cli.policy.load import send
from linewarden.cli.policy.policy_file import read_assignments
from linewarden.v1 import policy_pb2 as pb


def _known_region(_ctx: click.Context, _parameter: click.Parameter, region: str) -> str:
    try:
        if region:
            check_region(region)
    except AddressInvalid as error:
        raise click.BadParameter(str(error)) from error
    return region


@click.command("load")
@connecting
@tenant_option
@subject_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--region",
    default="",
    callback=_known_region,
    help="Country of telephone numbers without country code, such as DE.",
)
@click.option("--dry-run", is_flag=True, help="Show the changes without making them.")
@click.option(
    "--expected-revision", type=click.IntRange(0), help="Refuse the change if the policy is at another revision."
)
@output_option
def load_assignments(
    connection: Connection,
    tenant: str,
    subject: str,
    file: Path,
    region: str,
    dry_run: bool,
    expected_revision: int | None,
    output: str,
) -> None:
    """Replace the assignments of a tenant by FILE, as a whole or not at all. Rules and bindings stay as they are."""
    request = pb.LoadPolicyRequest(
        header=header(tenant, subject),
        document=read_assignments(file, tenant, region),
        dry_run=dry_run,
        expected_revision=expected_revision,
        assignments=True,
    )
    send(connection, request, file, output)

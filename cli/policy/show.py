"""`linewarden policy show` and `linewarden assignments show`: the policy of a tenant as statements."""

import click

from linewarden.cli.client import DEADLINE_S, Connection, connecting, header, subject_option, tenant_option
from linewarden.cli.output import output_option, write_rows
from linewarden.v1 import policy_pb2 as pb
from linewarden.v1.policy_pb2_grpc import PolicyServiceStub


@click.command()
@connecting
@tenant_option
@subject_option
@output_option
def show(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """Show the policy of a tenant as the statements of a policy file, without its assignments."""
    read(connection, pb.GetPolicyRequest(header=header(tenant, subject)), output)


def read(connection: Connection, request: pb.GetPolicyRequest, output: str) -> None:
    """Read all pages of a policy and write their statements."""
    rows = []
    with connection.channel() as channel:
        stub = PolicyServiceStub(channel)
        while True:
            page = stub.GetPolicy(request, metadata=connection.metadata, timeout=DEADLINE_S)
            rows += [{"id": one.id, "added_in": one.added_in, "statement": one.text} for one in page.statements]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    write_rows(rows, ("id", "statement"), output, fields=("added_in",))
    click.echo(f"linewarden: revision {page.policy.revision}, {len(rows)} statements", err=True)


@click.command("show")
@connecting
@tenant_option
@subject_option
@output_option
def show_assignments(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """Show the assignments of a tenant as the statements of a file."""
    read(connection, pb.GetPolicyRequest(header=header(tenant, subject), assignments=True), output)

"""`linewarden policy load`: a policy file in the place of the rules and bindings of a tenant."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import grpc

from linewarden.cli.client import DEADLINE_S, Connection, connecting, header, subject_option, tenant_option
from linewarden.cli.exit_codes import DENIED, Failure
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.policy.policy_file import REFUSAL, read_policy, report
from linewarden.cli.rpc_errors import policy_faults
from linewarden.v1 import policy_pb2 as pb
from linewarden.v1.policy_pb2_grpc import PolicyServiceStub


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--dry-run", is_flag=True, help="Show the changes without making them.")
@click.option("--allow-lockout", is_flag=True, help="Accept a policy that lets no person change it any more.")
@click.option(
    "--expected-revision", type=click.IntRange(0), help="Refuse the change if the policy is at another revision."
)
@output_option
def load(
    connection: Connection,
    tenant: str,
    subject: str,
    file: Path,
    dry_run: bool,
    allow_lockout: bool,
    expected_revision: int | None,
    output: str,
) -> None:
    """Replace the policy of a tenant by FILE, as a whole or not at all. Its assignments stay as they are."""
    text = read_policy(file, tenant)
    request = pb.LoadPolicyRequest(
        header=header(tenant, subject),
        document=text,
        dry_run=dry_run,
        allow_lockout=allow_lockout,
        expected_revision=expected_revision,
    )
    send(connection, request, file, output)


def send(connection: Connection, request: pb.LoadPolicyRequest, file: Path, output: str) -> None:
    """Load the document of a request, which is that of a file, and write what changed."""
    with _faults_of(str(file)), connection.channel() as channel:
        answer = PolicyServiceStub(channel).LoadPolicy(request, metadata=connection.metadata, timeout=DEADLINE_S)
    row = {
        "revision": answer.policy.revision,
        "added": answer.statements_added,
        "removed": answer.statements_removed,
        "hash": answer.policy.hash.hex(),
    }
    write_rows([row], tuple(row), output)


@contextmanager
def _faults_of(name: str) -> Iterator[None]:
    """Write the errors that a server finds in a policy file as `lint` writes them."""
    try:
        yield
    except grpc.RpcError as error:
        found = policy_faults(error)
        if not found:
            raise
        for line, message in found:
            report(name, line, "error", message)
        raise Failure(DENIED, REFUSAL) from error

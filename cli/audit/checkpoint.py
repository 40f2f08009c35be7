"""`linewarden audit checkpoint`: the size and root of the log, signed."""

import click

from linewarden.cli.client import DEADLINE_S, Connection, connecting, header, subject_option, tenant_option
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1.audit_pb2_grpc import AuditServiceStub


@click.command()
@connecting
@tenant_option
@subject_option
def checkpoint(connection: Connection, tenant: str, subject: str) -> None:
    """Read a signed checkpoint. Keep it, because a later log must contain every entry that it covers."""
    with connection.channel() as channel:
        request = pb.GetCheckpointRequest(header=header(tenant, subject))
        answer = AuditServiceStub(channel).GetCheckpoint(request, metadata=connection.metadata, timeout=DEADLINE_S)
    click.echo(answer.checkpoint, nl=False)
    click.echo(f"linewarden: verifier key {answer.verifier_key}", err=True)

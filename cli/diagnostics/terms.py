"""`linewarden diagnostics enable`, `disable` and `status`: the terms on which a tenant permits captures and probes."""

import click

from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.enum_words import choice_of, number_of
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.rpc import message_row, rpc
from linewarden.v1 import terms_pb2 as pb

_TERMS = ("enabled", "approval_waived", "retention_days", "changed_by", "shares_usage")


@click.command()
@connecting
@tenant_option
@subject_option
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    type=choice_of(pb.Responsibility),
    help="A responsibility that the customer accepts; all are required.",
)
@click.option(
    "--waive-approval",
    is_flag=True,
    help="Let captures run without approval by a second person, except those of the profile media.",
)
@click.option(
    "--retention-days", type=click.IntRange(1, 3_650), default=30, show_default=True, help="Days to keep evidence."
)
@output_option
def enable(
    connection: Connection,
    tenant: str,
    subject: str,
    accepted: tuple[str, ...],
    waive_approval: bool,
    retention_days: int,
    output: str,
) -> None:
    """Permit captures and probes for a tenant, or change the terms."""
    answer = rpc(
        connection,
        "EnableDiagnostics",
        tenant,
        subject,
        accepted=[number_of(pb.Responsibility, word) for word in accepted],
        approval_waived=waive_approval,
        retention_days=retention_days,
    )
    write_rows([message_row(answer.diagnostics)], _TERMS, output)


@click.command()
@connecting
@tenant_option
@subject_option
@output_option
def disable(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """Forbid captures and probes. Running captures are stopped."""
    answer = rpc(connection, "DisableDiagnostics", tenant, subject)
    write_rows([message_row(answer.diagnostics)], _TERMS, output)
    click.echo(f"linewarden: {answer.captures_ended} capture(s) lost their prerequisites", err=True)


@click.command()
@connecting
@tenant_option
@subject_option
@output_option
def status(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """Show the terms on which captures and probes are permitted, if they are."""
    write_rows([message_row(rpc(connection, "GetDiagnostics", tenant, subject).diagnostics)], _TERMS, output)

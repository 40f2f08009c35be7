"""`linewarden diagnostics`: what the customer permits, tells and attests."""

import json
from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.notices import active, confirm, notice, notices, publish
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.receipts import receipts, send
from linewarden.cli.rpc import case_options, fields_of, pages, rpc
from linewarden.diagnostics import consent_model as model
from linewarden.server.diagnostics.messages import RESPONSIBILITIES
from linewarden.v1 import attestation_pb2, capture_pb2

_TERMS = ("enabled", "approval_waived", "retention_days", "changed_by", "shares_usage")
_ATTESTATION = ("id", "attestor", "made_at", "withdrawn_at")


@click.group()
def diagnostics() -> None:
    """Permit diagnoses, tell users, attest that they were told."""


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    type=click.Choice([one.value for one in model.Responsibility]),
    help="A responsibility the customer accepts; all are needed.",
)
@click.option("--waive-approval", is_flag=True, help="No second person below the profile media.")
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
    """Permit diagnoses for a tenant, or change the terms."""
    answer = rpc(
        connection,
        "EnableDiagnostics",
        tenant,
        subject,
        accepted=[number for number, word in RESPONSIBILITIES.items() if word in accepted],
        approval_waived=waive_approval,
        retention_days=retention_days,
    )
    write_rows([_row(answer.diagnostics)], _TERMS, output)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@output_option
def disable(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """Forbid diagnoses; what runs is stopped."""
    answer = rpc(connection, "DisableDiagnostics", tenant, subject)
    write_rows([_row(answer.diagnostics)], _TERMS, output)
    click.echo(f"linewarden: {answer.captures_ended} capture(s) lost their grounds", err=True)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@output_option
def status(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """Say whether and on which terms diagnoses are permitted."""
    write_rows([_row(rpc(connection, "GetDiagnostics", tenant, subject).diagnostics)], _TERMS, output)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@output_option
def attest(connection: Connection, tenant: str, subject: str, file: Path, output: str) -> None:
    """Attest what FILE states: an AttestationStatement as JSON, with the names of the contract."""
    statement = _statement(file)
    answer = rpc(connection, "MakeAttestation", tenant, subject, statement=statement)
    write_rows([_row(answer.attestation)], _ATTESTATION, output)
    for id in answer.captures_advanced:
        click.echo(f"linewarden: capture {id} goes on", err=True)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@click.argument("attestation_id")
@output_option
def withdraw(connection: Connection, tenant: str, subject: str, attestation_id: str, output: str) -> None:
    """Withdraw an attestation; captures that rest on it are stopped."""
    answer = rpc(connection, "WithdrawAttestation", tenant, subject, attestation_id=attestation_id)
    write_rows([_row(answer.attestation)], _ATTESTATION, output)
    click.echo(f"linewarden: {answer.captures_ended} capture(s) lost their grounds", err=True)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@output_option
def attestations(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """List attestations, the newest first."""
    found = pages(connection, "ListAttestations", tenant, subject)
    rows = [_row(one) for page in found for one in page.attestations]
    write_rows(rows, _ATTESTATION, output, fields=fields_of(attestation_pb2.Attestation))


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@case_options
@click.argument(
    "kind", type=click.Choice(["sip_options", "dns_sip", "tls_certificate", "reachability", "clock_offset"])
)
@click.argument("target")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="The port; 0 is the usual one.")
@click.option("--tcp", is_flag=True, help="SIP over TCP.")
@click.option(
    "--timeout-ms", type=click.IntRange(100, 10_000), default=2_000, show_default=True, help="How long to wait."
)
@click.option("--worker", default="", help="The capture worker that asks; otherwise the server itself.")
@output_option
def probe(
    connection: Connection,
    tenant: str,
    subject: str,
    kind: str,
    target: str,
    port: int,
    tcp: bool,
    timeout_ms: int,
    worker: str,
    output: str,
    **case: Any,
) -> None:
    """Ask TARGET instead of capturing. Exit code 1: no answer that means success."""
    answer = rpc(
        connection,
        "RunProbe",
        tenant,
        subject,
        **case,
        kind=f"PROBE_KIND_{kind.upper()}",
        target=target,
        port=port,
        timeout_ms=timeout_ms,
        worker=worker,
        transport=capture_pb2.TRANSPORT_TCP if tcp else capture_pb2.TRANSPORT_UDP,
    )
    write_rows(
        [{"finding": name, "value": value} for name, value in sorted(answer.findings.items())],
        ("finding", "value"),
        output,
    )
    click.get_current_context().exit(0 if answer.succeeded else 1)


@click.group()
def usage() -> None:
    """Anonymous counts: whether to share them, and what they are."""


@usage.command()
@connecting
@tenant_option
@subject_option
@click.argument("choice", type=click.Choice(["on", "off"]))
def share(connection: Connection, tenant: str, subject: str, choice: str) -> None:
    """Share anonymous counts, or do not. Has nothing to do with captures being permitted."""
    answer = rpc(connection, "ShareUsage", tenant, subject, share=choice == "on")
    click.echo(f"linewarden: shared: {'yes' if answer.shares_usage else 'no'}", err=True)


@usage.command()
@connecting
@tenant_option
@subject_option
def show(connection: Connection, tenant: str, subject: str) -> None:
    """Print exactly what would be sent, byte for byte."""
    click.echo(rpc(connection, "GetUsage", tenant, subject).document, nl=False)


def _row(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _statement(file: Path) -> attestation_pb2.AttestationStatement:
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"line {error.lineno}: it is not JSON: {error.msg}", param_hint="FILE") from None
    except UnicodeDecodeError:
        raise click.BadParameter("it is not UTF-8", param_hint="FILE") from None
    if not isinstance(stated, dict):
        raise click.BadParameter("it is not a JSON object", param_hint="FILE")
    try:
        return ParseDict(stated, attestation_pb2.AttestationStatement())
    except ParseError as error:
        raise click.BadParameter(str(error), param_hint="FILE") from None


for command in (publish, notices, notice, active, confirm, receipts, send):
    diagnostics.add_command(command)

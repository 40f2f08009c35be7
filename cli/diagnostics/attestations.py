"""`linewarden diagnostics attest`, `withdraw` and `attestations`: statements that users were informed."""

import json
from pathlib import Path

import click
from google.protobuf.json_format import ParseDict, ParseError

from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.rpc import fields_of, message_row, pages, rpc
from linewarden.v1 import attestation_pb2 as pb

_ATTESTATION = ("id", "attestor", "made_at", "withdrawn_at")


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@output_option
def attest(connection: Connection, tenant: str, subject: str, file: Path, output: str) -> None:
    """Attest the statement in FILE: an AttestationStatement as JSON, with the names of the contract."""
    statement = _statement(file)
    answer = rpc(connection, "MakeAttestation", tenant, subject, statement=statement)
    write_rows([message_row(answer.attestation)], _ATTESTATION, output)
    for id in answer.captures_advanced:
        click.echo(f"linewarden: capture {id} advances", err=True)


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("attestation_id")
@output_option
def withdraw(connection: Connection, tenant: str, subject: str, attestation_id: str, output: str) -> None:
    """Withdraw an attestation. Captures that rely on it are stopped."""
    answer = rpc(connection, "WithdrawAttestation", tenant, subject, attestation_id=attestation_id)
    write_rows([message_row(answer.attestation)], _ATTESTATION, output)
    click.echo(f"linewarden: {answer.captures_ended} capture(s) lost their prerequisites", err=True)


@click.command()
@connecting
@tenant_option
@subject_option
@output_option
def attestations(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """List attestations, the newest first."""
    found = pages(connection, "ListAttestations", tenant, subject)
    rows = [message_row(one) for page in found for one in page.attestations]
    write_rows(rows, _ATTESTATION, output, fields=fields_of(pb.Attestation))


def _statement(file: Path) -> pb.AttestationStatement:
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"line {error.lineno} is not JSON: {error.msg}", param_hint="FILE") from None
    except UnicodeDecodeError:
        raise click.BadParameter("the file is not UTF-8", param_hint="FILE") from None
    if not isinstance(stated, dict):
        raise click.BadParameter("the file is not a JSON object", param_hint="FILE")
    try:
        return ParseDict(stated, pb.AttestationStatement())
    except ParseError as error:
        raise click.BadParameter(str(error), param_hint="FILE") from None

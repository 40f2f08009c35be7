"""`linewarden diagnostics`: what the customer permits, tells and attests."""

import csv
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from linewarden.diagnostics import model
from linewarden.server.cli.calling import case_options, rpc
from linewarden.server.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.server.cli.output import output_option, write_rows
from linewarden.server.diagnostics.words import CHANNELS, FACTS, RESPONSIBILITIES
from linewarden.v1 import diagnostics_pb2 as pb

_TERMS = ("enabled", "approval_waived", "retention_days", "changed_by", "shares_usage")
_NOTICE = ("id", "version", "informed", "confirmed", "failed")
_ATTESTATION = ("id", "attestor", "made_at", "withdrawn_at")
_RECEIPTS_PER_CALL = 500


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
    click.echo(f"linewarden: {answer.sessions_ended} session(s) lost their grounds", err=True)


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
@click.argument("notice_id")
@click.argument("files", nargs=-1, required=True, metavar="LANGUAGE=FILE…")
@click.option("--audience", required=True, help="Who is told.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    required=True,
    type=click.Choice([one.value for one in model.NoticeChannel]),
    help="How; may be repeated.",
)
@output_option
def publish(
    connection: Connection,
    tenant: str,
    subject: str,
    notice_id: str,
    files: tuple[str, ...],
    audience: str,
    channels: tuple[str, ...],
    output: str,
) -> None:
    """Publish the notice NOTICE_ID, its text in each language from a file."""
    texts = []
    for stated in files:
        language, separator, file = stated.partition("=")
        if not separator:
            raise click.BadParameter("a text is LANGUAGE=FILE", param_hint="LANGUAGE=FILE")
        texts.append(pb.NoticeText(language=language, text=Path(file).read_text(encoding="utf-8")))
    numbers = [number for number, word in CHANNELS.items() if word in channels]
    answer = rpc(
        connection,
        "PublishNotice",
        tenant,
        subject,
        notice_id=notice_id,
        texts=texts,
        audience=audience,
        channels=numbers,
    )
    write_rows([_row(answer.notice)], _NOTICE, output)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@click.option("--extension", "extensions", multiple=True, help="An extension of one's own; may be repeated.")
@click.option("--language", default="", help="The language wanted.")
@output_option
def active(
    connection: Connection, tenant: str, subject: str, extensions: tuple[str, ...], language: str, output: str
) -> None:
    """Say which captures run now, as any user may ask."""
    answer = rpc(connection, "ListActiveNotices", tenant, subject, extensions=extensions, language=language)
    columns = ("session_id", "coverage", "profile", "started_at", "ends_before", "notice_id")
    write_rows([_row(one) for one in answer.notices], columns, output)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.argument("version", type=click.IntRange(1))
@click.option("--session", default="", help="The capture it is about.")
def confirm(connection: Connection, tenant: str, subject: str, notice_id: str, version: int, session: str) -> None:
    """Confirm having read version VERSION of the notice NOTICE_ID."""
    answer = rpc(
        connection, "ConfirmNotice", tenant, subject, notice_id=notice_id, notice_version=version, session_id=session
    )
    click.echo(f"linewarden: confirmed since {answer.confirmed_at.ToJsonString()}", err=True)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.argument("version", type=click.IntRange(1))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--channel",
    required=True,
    type=click.Choice([one.value for one in model.NoticeChannel]),
    help="How the persons were told.",
)
@click.option("--session", default="", help="The capture it is about.")
@output_option
def receipts(
    connection: Connection,
    tenant: str,
    subject: str,
    notice_id: str,
    version: int,
    file: Path,
    channel: str,
    session: str,
    output: str,
) -> None:
    """Record who received a notice, from FILE: CSV with the columns person, fact (informed, confirmed, failed), at."""
    rows = list(_receipts(file))
    answer = None
    for start in range(0, len(rows), _RECEIPTS_PER_CALL):
        answer = rpc(
            connection,
            "RecordReceipts",
            tenant,
            subject,
            notice_id=notice_id,
            notice_version=version,
            session_id=session,
            channel=next(number for number, word in CHANNELS.items() if word == channel),
            receipts=rows[start : start + _RECEIPTS_PER_CALL],
        )
    if answer is None:
        raise click.UsageError("the file has no rows")
    write_rows([_row(answer.notice)], _NOTICE, output)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.argument("version", type=click.IntRange(1))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--language", default="", help="The language wanted; otherwise all.")
@click.option("--session", default="", help="The capture it is about.")
@output_option
def send(
    connection: Connection,
    tenant: str,
    subject: str,
    notice_id: str,
    version: int,
    file: Path,
    language: str,
    session: str,
    output: str,
) -> None:
    """Send a notice by mail to those in FILE: CSV with the columns person, address."""
    with file.open(newline="", encoding="utf-8") as stream:
        people = [pb.Recipient(person=row["person"], address=row["address"]) for row in csv.DictReader(stream)]
    rows: list[dict[str, Any]] = []
    for start in range(0, len(people), 100):
        answer = rpc(
            connection,
            "SendNotice",
            tenant,
            subject,
            notice_id=notice_id,
            notice_version=version,
            session_id=session,
            language=language,
            recipients=people[start : start + 100],
        )
        rows += [_row(one) for one in answer.results]
    write_rows(rows, ("person", "fact", "reply_code"), output)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@output_option
def attest(connection: Connection, tenant: str, subject: str, file: Path, output: str) -> None:
    """Attest what FILE states: an AttestationStatement as JSON, with the names of the contract."""
    try:
        statement = ParseDict(json.loads(file.read_text(encoding="utf-8")), pb.AttestationStatement())
    except ParseError as error:
        raise click.BadParameter(str(error), param_hint="FILE") from None
    answer = rpc(connection, "MakeAttestation", tenant, subject, statement=statement)
    write_rows([_row(answer.attestation)], _ATTESTATION, output)
    for id in answer.sessions_advanced:
        click.echo(f"linewarden: session {id} goes on", err=True)


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
    click.echo(f"linewarden: {answer.sessions_ended} session(s) lost their grounds", err=True)


@diagnostics.command()
@connecting
@tenant_option
@subject_option
@output_option
def attestations(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """List attestations, the newest first."""
    rows: list[dict[str, Any]] = []
    token = ""
    while True:
        page = rpc(connection, "ListAttestations", tenant, subject, page_token=token)
        rows += [_row(one) for one in page.attestations]
        token = page.next_page_token
        if not token:
            break
    write_rows(rows, _ATTESTATION, output)


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
        transport=pb.TRANSPORT_TCP if tcp else pb.TRANSPORT_UDP,
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


def _receipts(file: Path) -> Iterator[pb.Receipt]:
    facts: dict[str, Any] = {word.value: number for number, word in FACTS.items()}
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row.get("fact") not in facts or not row.get("person"):
                raise click.UsageError("each row has a person and one of the facts informed, confirmed, failed")
            receipt = pb.Receipt(person=row["person"], fact=facts[row["fact"]])
            receipt.at.FromDatetime(datetime.fromisoformat(row["at"]))
            yield receipt

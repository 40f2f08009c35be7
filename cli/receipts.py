"""`linewarden diagnostics`: lists of who was told, and mail to those who are to be."""

import csv
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import MessageToDict

from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.notices import channel_type, write_notice
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.rpc import answer_to, request_of, rpc
from linewarden.diagnostics.consent_model import ReceiptFact
from linewarden.server.diagnostics.messages import CHANNELS, FACTS
from linewarden.v1 import notice_pb2 as pb

_RECEIPTS_PER_CALL = 500
_MAILS_PER_CALL = 50

#: How long a call that sends mails may take, seconds: longer than the server lets mails take.
_MAIL_S = 90.0

#: What others can say of a person. That it confirmed, only the person itself can.
_FACTS = {word.value: number for number, word in FACTS.items() if word is not ReceiptFact.CONFIRMED}

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.argument("version", type=click.IntRange(1))
@_file
@click.option("--channel", required=True, type=channel_type, help="How the persons were told.")
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
    capture: str,
    output: str,
) -> None:
    """Record who received a notice, from FILE: CSV with the columns person, fact (informed, reported, failed), at.

    `reported` is that the person has read it, as somebody else says. `at` is a time as in 2026-01-02T03:04:05+01:00;
    without an offset it is UTC.
    """
    rows = list(_receipts(file))
    about: dict[str, Any] = {"notice_id": notice_id, "notice_version": version, "capture_id": capture}
    about["channel"] = next(number for number, word in CHANNELS.items() if word == channel)
    answer = None
    for start in range(0, len(rows), _RECEIPTS_PER_CALL):
        part = rows[start : start + _RECEIPTS_PER_CALL]
        answer = rpc(connection, "RecordReceipts", tenant, subject, receipts=part, **about)
    if answer is None:
        raise _wrong("there are no rows")
    write_notice(answer.notice, output)


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.argument("version", type=click.IntRange(1))
@_file
@click.option("--language", default="", help="The language wanted; otherwise all.")
@click.option("--session", default="", help="The capture it is about.")
@click.option("--request-id", default="", help="Name of a sending that may have been broken off: nobody gets it twice.")
@output_option
def send(
    connection: Connection,
    tenant: str,
    subject: str,
    notice_id: str,
    version: int,
    file: Path,
    language: str,
    capture: str,
    request_id: str,
    output: str,
) -> None:
    """Send a notice by mail to those in FILE: CSV with the columns person, address."""
    people = [pb.Recipient(person=row["person"], address=row["address"]) for _, row in _rows(file, "person", "address")]
    if not request_id:
        request_id = secrets.token_hex(8)
        click.echo(f"linewarden: should this be broken off, repeat it with --request-id {request_id}", err=True)
    about: dict[str, Any] = {"notice_id": notice_id, "notice_version": version, "capture_id": capture}
    rows: list[dict[str, Any]] = []
    for start in range(0, len(people), _MAILS_PER_CALL):
        part, part_id = people[start : start + _MAILS_PER_CALL], f"{request_id}.{start}"
        named: dict[str, Any] = {"recipients": part, "request_id": part_id, "language": language}
        request = request_of("SendNotice", tenant, subject, **named, **about)
        answer = answer_to(connection, "SendNotice", request, _MAIL_S)
        rows += [MessageToDict(one, preserving_proto_field_name=True) for one in answer.results]
    write_rows(rows, ("person", "fact", "outcome", "reply_code"), output)


def _receipts(file: Path) -> Iterator[pb.Receipt]:
    for line, row in _rows(file, "person", "fact", "at"):
        if row["fact"] not in _FACTS:
            raise _wrong(f"line {line}: fact is none of {', '.join(_FACTS)}")
        try:
            at = datetime.fromisoformat(row["at"])
        except ValueError:
            raise _wrong(f"line {line}: at is no time as in 2026-01-02T03:04:05+01:00") from None
        receipt = pb.Receipt(person=row["person"], fact=_FACTS[row["fact"]])  # type: ignore[arg-type]
        receipt.at.FromDatetime(at)
        yield receipt


def _rows(file: Path, *columns: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file, each with its line, in which these columns all stand."""
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            missing = [one for one in columns if one not in (reader.fieldnames or ())]
            if missing:
                raise _wrong(f"there is no column {missing[0]}")
            for row in reader:
                empty = [one for one in columns if not row[one]]
                if empty:
                    raise _wrong(f"line {reader.line_num}: {empty[0]} is empty")
                yield reader.line_num, row
        except csv.Error as error:
            raise _wrong(f"behind line {reader.line_num}: {error}") from None
        except UnicodeDecodeError:
            raise _wrong("it is not UTF-8") from None


def _wrong(what: str) -> click.BadParameter:
    return click.BadParameter(what, param_hint="FILE")

"""`linewarden diagnostics receipts` and `send`: persons who were informed, and mail to persons who are to be."""

import csv
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import MessageToDict

from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.diagnostics.notices import channel_type, write_notice
from linewarden.cli.enum_words import number_of, word_of
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.rpc import answer_to, request_of, rpc
from linewarden.v1 import notice_pb2 as pb

_RECEIPTS_PER_CALL = 500
_MAILS_PER_CALL = 50

#: The longest time of a call that sends mails, seconds: longer than the server lets mails take.
_MAIL_S = 90.0

#: The facts that others can state of a person. Only the person can confirm.
_FACTS = [word_of(pb.ReceiptFact, one) for one in pb.ReceiptFact.values() if one not in {0, pb.RECEIPT_FACT_CONFIRMED}]

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.argument("version", type=click.IntRange(1))
@_file
@click.option("--channel", required=True, type=channel_type, help="The way in which the persons were informed.")
@click.option("--capture", "--session", "capture", default="", help="The capture that the notice is about.")
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
    """Record the persons who received a notice, from FILE: CSV with the columns person, fact and at.

    The fact is informed, reported or failed. `reported`: another person states that this person read the notice. `at`
    is a time such as 2026-01-02T03:04:05+01:00; without an offset it is UTC.
    """
    rows = list(_receipts(file))
    about: dict[str, Any] = {"notice_id": notice_id, "notice_version": version, "capture_id": capture}
    about["channel"] = number_of(pb.NoticeChannel, channel)
    answer = None
    for start in range(0, len(rows), _RECEIPTS_PER_CALL):
        part = rows[start : start + _RECEIPTS_PER_CALL]
        answer = rpc(connection, "RecordReceipts", tenant, subject, receipts=part, **about)
    if answer is None:
        raise _wrong("the file has no rows")
    write_notice(answer.notice, output)


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.argument("version", type=click.IntRange(1))
@_file
@click.option("--language", default="", help="The language of the text; without one, all.")
@click.option("--capture", "--session", "capture", default="", help="The capture that the notice is about.")
@click.option(
    "--request-id",
    default="",
    help="The id of a mailing that was broken off: repeat it, and no person gets the mail twice.",
)
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
    """Send a notice by mail to the persons in FILE: CSV with the columns person and address."""
    people = [pb.Recipient(person=row["person"], address=row["address"]) for _, row in _rows(file, "person", "address")]
    if not request_id:
        request_id = secrets.token_hex(8)
        click.echo(f"linewarden: if this is broken off, repeat it with --request-id {request_id}", err=True)
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
            raise _wrong(f"line {line}: fact is unknown; write one of {', '.join(_FACTS)}")
        try:
            at = datetime.fromisoformat(row["at"])
        except ValueError:
            raise _wrong(f"line {line}: at is not a time; write it as 2026-01-02T03:04:05+01:00") from None
        receipt = pb.Receipt(person=row["person"], fact=number_of(pb.ReceiptFact, row["fact"]))
        receipt.at.FromDatetime(at)
        yield receipt


def _rows(file: Path, *columns: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV file that has these columns, each with its line."""
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            missing = [one for one in columns if one not in (reader.fieldnames or ())]
            if missing:
                raise _wrong(f"the column {missing[0]} is missing")
            for row in reader:
                empty = [one for one in columns if not row[one]]
                if empty:
                    raise _wrong(f"line {reader.line_num}: {empty[0]} is empty")
                yield reader.line_num, row
        except csv.Error as error:
            raise _wrong(f"after line {reader.line_num}: {error}") from None
        except UnicodeDecodeError:
            raise _wrong("the file is not UTF-8") from None


def _wrong(what: str) -> click.BadParameter:
    return click.BadParameter(what, param_hint="FILE")

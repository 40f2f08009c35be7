"""`linewarden diagnostics publish`, `notices`, `notice`, `active` and `confirm`: the texts that inform users."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from linewarden.cli.capture.view import phrase_of, second_of
from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.enum_words import choice_of, number_of
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.rpc import fields_of, message_row, pages, rpc
from linewarden.v1 import capture_pb2, notice_pb2

_NOTICE = ("id", "version", "audience", "published_at", "informed", "confirmed", "reported", "failed")
_ACTIVE = ("capture_id", "coverage", "profile", "started_at", "ends_before", "notice_id", "notice_version")
#: The columns of a table: words instead of names of the contract, and times to the second.
_ACTIVE_TABLE = ("id", "since", "what")

_COVERAGES = {notice_pb2.COVERAGE_CERTAIN: "covers you", notice_pb2.COVERAGE_POSSIBLE: "may cover you"}

channel_type = choice_of(notice_pb2.NoticeChannel)


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.argument("files", nargs=-1, required=True, metavar="LANGUAGE=FILE…")
@click.option("--audience", required=True, help="The group of users to inform.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    required=True,
    type=channel_type,
    help="A way to inform them; may be repeated.",
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
    """Publish the notice NOTICE_ID. Its text in each language is read from a file."""
    texts = []
    for stated in files:
        language, separator, file = stated.partition("=")
        if not separator:
            raise click.BadParameter("a text is written LANGUAGE=FILE", param_hint="LANGUAGE=FILE")
        texts.append(notice_pb2.NoticeText(language=language, text=Path(file).read_text(encoding="utf-8")))
    answer = rpc(
        connection,
        "PublishNotice",
        tenant,
        subject,
        notice_id=notice_id,
        texts=texts,
        audience=audience,
        channels=[number_of(notice_pb2.NoticeChannel, word) for word in channels],
    )
    write_notice(answer.notice, output)


@click.command()
@connecting
@tenant_option
@subject_option
@output_option
def notices(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """List the notices in their current versions. Any user may ask."""
    found = pages(connection, "ListNotices", tenant, subject)
    write_rows(
        [_row(one) for page in found for one in page.notices], _NOTICE, output, fields=fields_of(notice_pb2.Notice)
    )


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.option("--version", type=click.IntRange(1), default=None, help="The version; without one, the current version.")
@click.option("--language", default="", help="The language of the text; without one, all.")
@output_option
def notice(
    connection: Connection, tenant: str, subject: str, notice_id: str, version: int | None, language: str, output: str
) -> None:
    """Show the text of the notice NOTICE_ID, in the current version or an earlier one."""
    about: dict[str, Any] = {"notice_id": notice_id, "notice_version": version or 0, "language": language}
    answer = rpc(connection, "GetNotice", tenant, subject, **about)
    if output != "table":
        write_notice(answer.notice, output)
        return
    _write_texts(answer.notice.texts)
    told, current = answer.notice, answer.current_version
    click.echo(f"linewarden: version {told.version} of {current}, SHA-256 {told.hash.hex()}", err=True)


@click.command()
@connecting
@tenant_option
@subject_option
@click.option("--extension", "extensions", multiple=True, help="An extension of the person who asks; may be repeated.")
@click.option("--language", default="", help="The language of the text; without one, all.")
@output_option
def active(
    connection: Connection, tenant: str, subject: str, extensions: tuple[str, ...], language: str, output: str
) -> None:
    """Show the captures that run now, and the texts of their notices. Any user may ask."""
    answer = rpc(connection, "ListActiveNotices", tenant, subject, extensions=extensions, language=language)
    if output != "table":
        write_rows([_row(one) for one in answer.notices], _ACTIVE, output, fields=fields_of(notice_pb2.ActiveNotice))
        return
    if not answer.notices:
        click.echo("linewarden: no capture runs", err=True)
        return
    write_rows(map(_running, answer.notices), _ACTIVE_TABLE, output)
    for id, version in sorted({(one.notice_id, one.notice_version) for one in answer.notices}):
        click.echo(f"\n{id}, version {version}:")
        _write_texts(next(one.texts for one in answer.notices if (one.notice_id, one.notice_version) == (id, version)))


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.argument("version", type=click.IntRange(1))
@click.option("--capture", "--session", "capture", default="", help="The capture that the notice is about.")
def confirm(connection: Connection, tenant: str, subject: str, notice_id: str, version: int, capture: str) -> None:
    """Confirm that you read version VERSION of the notice NOTICE_ID."""
    answer = rpc(
        connection, "ConfirmNotice", tenant, subject, notice_id=notice_id, notice_version=version, capture_id=capture
    )
    click.echo(f"linewarden: confirmed since {answer.confirmed_at.ToJsonString()}", err=True)


def write_notice(one: notice_pb2.Notice, output: str) -> None:
    """Write a notice with its counts as a row."""
    write_rows([_row(one)], _NOTICE, output)


def _row(message: Any) -> dict[str, Any]:
    row = message_row(message)
    if isinstance(message, notice_pb2.Notice) and not message.texts:
        del row["texts"]
    return row


def _running(one: notice_pb2.ActiveNotice) -> dict[str, str]:
    words = (_COVERAGES.get(one.coverage, ""), phrase_of(capture_pb2.CaptureProfile, one.profile))
    told = f"notice {one.notice_id}, version {one.notice_version}"
    return {
        "id": one.capture_id,
        "since": second_of(one.started_at),
        "what": ", ".join(filter(None, (*words, f"until {second_of(one.ends_before)}", told))),
    }


def _write_texts(texts: Iterable[notice_pb2.NoticeText]) -> None:
    texts = list(texts)
    for one in texts:
        if len(texts) > 1:
            click.echo(f"[{one.language}]")
        # The text comes from other people: nothing in it is for the terminal to obey.
        shown = (char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in one.text)
        click.echo("".join(shown))

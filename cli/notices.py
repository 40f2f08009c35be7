"""`linewarden diagnostics`: what users are told, and what they read of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from google.protobuf.json_format import MessageToDict

from linewarden.cli.capture_view import second_of, word_of
from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.rpc import fields_of, pages, rpc
from linewarden.diagnostics.consent_model import NoticeChannel
from linewarden.server.diagnostics.messages import CHANNELS
from linewarden.v1 import capture_pb2, notice_pb2

_NOTICE = ("id", "version", "audience", "published_at", "informed", "confirmed", "reported", "failed")
_ACTIVE = ("capture_id", "coverage", "profile", "started_at", "ends_before", "notice_id", "notice_version")
#: What a table shows of these: words instead of names of the contract, and times to the second.
_ACTIVE_TABLE = ("id", "since", "what")

_COVERAGES = {notice_pb2.COVERAGE_CERTAIN: "covers you", notice_pb2.COVERAGE_POSSIBLE: "may cover you"}

channel_type = click.Choice([one.value for one in NoticeChannel])


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.argument("files", nargs=-1, required=True, metavar="LANGUAGE=FILE…")
@click.option("--audience", required=True, help="Who is told.")
@click.option("--channel", "channels", multiple=True, required=True, type=channel_type, help="How; may be repeated.")
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
        texts.append(notice_pb2.NoticeText(language=language, text=Path(file).read_text(encoding="utf-8")))
    answer = rpc(
        connection,
        "PublishNotice",
        tenant,
        subject,
        notice_id=notice_id,
        texts=texts,
        audience=audience,
        channels=[number for number, word in CHANNELS.items() if word in channels],
    )
    write_notice(answer.notice, output)


@click.command()
@connecting
@tenant_option
@subject_option
@output_option
def notices(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """List the notices in their current versions, as any user may ask."""
    found = pages(connection, "ListNotices", tenant, subject)
    write_rows(
        [_row(one) for page in found for one in page.notices], _NOTICE, output, fields=fields_of(notice_pb2.Notice)
    )


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("notice_id")
@click.option("--version", type=click.IntRange(1), default=None, help="The version; otherwise the current one.")
@click.option("--language", default="", help="The language wanted; otherwise all.")
@output_option
def notice(
    connection: Connection, tenant: str, subject: str, notice_id: str, version: int | None, language: str, output: str
) -> None:
    """Show what the notice NOTICE_ID says, in any version it ever had."""
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
@click.option("--extension", "extensions", multiple=True, help="An extension of one's own; may be repeated.")
@click.option("--language", default="", help="The language wanted; otherwise all.")
@output_option
def active(
    connection: Connection, tenant: str, subject: str, extensions: tuple[str, ...], language: str, output: str
) -> None:
    """Say which captures run now and what their notices say, as any user may ask."""
    answer = rpc(connection, "ListActiveNotices", tenant, subject, extensions=extensions, language=language)
    if output != "table":
        write_rows([_row(one) for one in answer.notices], _ACTIVE, output, fields=fields_of(notice_pb2.ActiveNotice))
        return
    if not answer.notices:
        click.echo("linewarden: nothing runs", err=True)
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
@click.option("--session", default="", help="The capture it is about.")
def confirm(connection: Connection, tenant: str, subject: str, notice_id: str, version: int, capture: str) -> None:
    """Confirm having read version VERSION of the notice NOTICE_ID."""
    answer = rpc(
        connection, "ConfirmNotice", tenant, subject, notice_id=notice_id, notice_version=version, capture_id=capture
    )
    click.echo(f"linewarden: confirmed since {answer.confirmed_at.ToJsonString()}", err=True)


def write_notice(one: notice_pb2.Notice, output: str) -> None:
    """Write a notice with its counts as a row."""
    write_rows([_row(one)], _NOTICE, output)


def _row(message: Any) -> dict[str, Any]:
    row = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    if isinstance(message, notice_pb2.Notice) and not message.texts:
        del row["texts"]
    return row


def _running(one: notice_pb2.ActiveNotice) -> dict[str, str]:
    words = (_COVERAGES.get(one.coverage, ""), word_of(capture_pb2.CaptureProfile, one.profile, "profile"))
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

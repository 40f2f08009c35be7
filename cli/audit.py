"""`linewarden audit`: query, prove, export and verify the log."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click

from linewarden.audit.verify import verify_entry, verify_export
from linewarden.authz import model
from linewarden.cli.capture_history import history_of
from linewarden.cli.client import DEADLINE_S, Connection, connecting, person, subject_option, tenant_option
from linewarden.cli.output import output_option, progress, write_block, write_rows
from linewarden.cli.values import INSTANT, KIND
from linewarden.server.names import (
    EFFECT_NUMBERS,
    EFFECTS,
    PURPOSE_NUMBERS,
    PURPOSES,
    TYPE_NUMBERS,
    TYPES,
    VERB_NUMBERS,
    VERBS,
)
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1 import core_pb2
from linewarden.v1.audit_pb2_grpc import AuditServiceStub

_COLUMNS = (
    "index", "time", "kind", "caller", "subject", "verb", "resource_type", "resource_id", "owner", "effect", "reason",
    "details",
)  # fmt: skip
#: A table has few columns, or none would be wide enough to read.
_TABLE = ("index", "time", "subject", "what")
#: The options of a query that leave rows out.
_FILTERS = (
    "from_time", "until_time", "kinds", "caller", "actor", "data_subject", "type", "id", "verb", "effect", "purpose",
    "request_id",
)  # fmt: skip
_EXPORT_DEADLINE_S = 3_600.0
_PURPOSES = click.Choice([purpose.value for purpose in model.Purpose])


@click.group()
def audit() -> None:
    """Read and verify the log of who accessed what. Every read is itself an entry."""


@audit.command()
@connecting
@tenant_option
@subject_option
@click.option("--from", "from_time", type=INSTANT, help="First instant, inclusive; UTC if it says no offset.")
@click.option("--until", "until_time", type=INSTANT, help="Last instant, exclusive.")
@click.option("--kind", "kinds", type=KIND, multiple=True, help="Kind of entry, such as decision; may be repeated.")
@click.option("--caller", default="", help="The service that asked.")
@click.option("--subject", "actor", default="", help="The person on whose behalf it asked.")
@click.option("--data-subject", default="", help="The owner or a party of the item.")
@click.option("--type", "type", type=click.Choice([t.value for t in model.ResourceType]), help="The kind of item.")
@click.option("--id", "id", default="", help="The item; needs --type.")
@click.option("--verb", type=click.Choice([verb.value for verb in model.Verb]), help="What was asked for.")
@click.option("--effect", type=click.Choice([effect.value for effect in model.Effect]), help="The outcome.")
@click.option("--purpose", type=_PURPOSES, help="What the access was for.")
@click.option("--request-id", default="", help="The id the caller chose.")
@click.option("--oldest-first", is_flag=True, help="In the order of the log; otherwise newest first.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The most rows.")
@click.option(
    "--session",
    default="",
    help="The whole history of one capture, oldest first: every entry and decision about it, and the attestation and "
    "notice that it rests on. Takes no other filter, and longer: it is picked out of all of the tenant's diagnostics.",
)
@output_option
def query(connection: Connection, output: str, limit: int, capture: str, **asked: Any) -> None:
    """Find entries, complete up to the last request that was answered."""
    if capture and any(asked[name] for name in _FILTERS):
        raise click.UsageError("--capture takes no other filter")
    # One row more than is shown tells whether there are more, without another read, which would be another entry.
    request = _query_request(1_000 if capture else min(limit + 1, 1_000), **asked)
    with connection.channel() as channel:
        read = partial(_read, connection, AuditServiceStub(channel))
        found = history_of(capture, request, read) if capture else read(request)
        rows = [_row(row) for row in islice(found, limit)]
        is_more = next(found, None) is not None
    if output == "table":
        write_rows((_for_people(row, capture) for row in rows), _TABLE, output)
    else:
        write_rows(rows, _COLUMNS, output, fields=_row(pb.EntryRow()))
    if not rows and (asked["actor"] or asked["data_subject"]):
        click.echo("linewarden: no rows; a person whom the log does not know has none: is the name right?", err=True)
    if is_more:
        click.echo(f"linewarden: there are more than {limit} rows; see --limit", err=True)


@audit.command()
@connecting
@tenant_option
@subject_option
@click.argument("index", type=click.IntRange(0))
@click.option("--proof-file", type=click.Path(path_type=Path), help="Where the proof for a third party goes.")
@click.option("--entry-file", type=click.Path(path_type=Path), help="Where the bytes of the entry go.")
@output_option
def entry(
    connection: Connection,
    tenant: str,
    subject: str,
    index: int,
    proof_file: Path | None,
    entry_file: Path | None,
    output: str,
) -> None:
    """Read the entry at INDEX with the proof that it is in the log; the proof is verified before it is shown."""
    with connection.channel() as channel:
        request = pb.GetEntryRequest(header=core_pb2.RequestHeader(tenant=tenant, subject=person(subject)), index=index)
        answer = AuditServiceStub(channel).GetEntry(request, metadata=connection.metadata, timeout=DEADLINE_S)
    verify_entry(answer.entry, answer.proof, answer.verifier_key)
    if entry_file:
        entry_file.write_bytes(answer.entry)
    if proof_file:
        proof_file.write_text(answer.proof, encoding="utf-8")
    disclosed = dict(answer.disclosed)
    if output == "table":
        write_block(_entry_parts(index, answer.entry, disclosed))
    else:
        row = {"index": index, "entry": answer.entry.decode(), "disclosed": disclosed, "proof": answer.proof}
        write_rows([row], ("index", "entry", "disclosed"), output)
    click.echo(f"linewarden: the proof holds; verifier key {answer.verifier_key}", err=True)


@audit.command()
@connecting
@tenant_option
@subject_option
def checkpoint(connection: Connection, tenant: str, subject: str) -> None:
    """Read a signed checkpoint; keep it, and no later log can leave anything out that it covers."""
    with connection.channel() as channel:
        request = pb.GetCheckpointRequest(header=core_pb2.RequestHeader(tenant=tenant, subject=person(subject)))
        answer = AuditServiceStub(channel).GetCheckpoint(request, metadata=connection.metadata, timeout=DEADLINE_S)
    click.echo(answer.checkpoint, nl=False)
    click.echo(f"linewarden: verifier key {answer.verifier_key}", err=True)


@audit.command()
@connecting
@tenant_option
@subject_option
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--purpose", type=_PURPOSES, help="What the export is for.")
def export(connection: Connection, tenant: str, subject: str, folder: Path, purpose: str | None) -> None:
    """Write the log into FOLDER, as files that anyone can verify without us."""
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    request = pb.ExportLogRequest(
        header=core_pb2.RequestHeader(
            tenant=tenant,
            subject=person(subject),
            context=core_pb2.Context(purpose=PURPOSE_NUMBERS.get(purpose or "", 0)),
        )
    )
    key = ""
    with connection.channel() as channel, progress("exporting") as bar:
        task = bar.add_task("export", total=None)
        call = AuditServiceStub(channel).ExportLog(request, metadata=connection.metadata, timeout=_EXPORT_DEADLINE_S)
        for file in call:
            _write_file(folder, file.path, file.content, continues=file.continues)
            bar.update(task, total=file.log_size, completed=file.entries_sent)
            key = file.verifier_key or key
    click.echo(f"linewarden: {file.log_size} entries; verifier key:", err=True)
    click.echo(key)


@audit.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--verifier-key", required=True, help="The key's text, or a file that holds it.")
@click.option(
    "--old-checkpoint",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="An earlier checkpoint that the log must still contain.",
)
@output_option
def verify(folder: Path, verifier_key: str, old_checkpoint: Path | None, output: str) -> None:
    """Verify the exported log in FOLDER, offline, with the verifier key alone. Exit code 1: it does not hold."""
    if Path(verifier_key).is_file():
        verifier_key = Path(verifier_key).read_text(encoding="utf-8").strip()
    with progress("verifying") as bar:
        task = bar.add_task("verify", total=None)
        report = verify_export(
            folder,
            verifier_key,
            old_checkpoint=old_checkpoint.read_text(encoding="utf-8") if old_checkpoint else None,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    origin, size, root, kinds = report.origin, report.size, report.root.hex(), dict(report.kinds)
    recoveries = [
        f"at entry {one.index} by {one.account}, {one.lost} entries of the last checkpoint lost: {one.reason}"
        for one in report.recoveries
    ]
    for one in recoveries:
        click.echo(f"linewarden: the log was recovered {one}", err=True)
    if output == "table":
        counts = [f"{count:,} {kind}" for kind, count in sorted(kinds.items())]
        write_block(
            (
                ("verified", ["yes"]),
                ("origin", [origin]),
                ("entries", [f"{size:,}"]),
                ("root", [root]),
                ("kinds", counts),
                *((("recovered", recoveries),) if recoveries else ()),
            )
        )
    else:
        row = {
            "verified": True,
            "origin": origin,
            "entries": size,
            "root": root,
            "kinds": kinds,
            "recoveries": recoveries,
        }
        write_rows([row], tuple(row), output)


def _read(connection: Connection, stub: AuditServiceStub, wanted: pb.QueryEntriesRequest) -> Iterator[pb.EntryRow]:
    """The rows of all pages; a page is asked for when it is needed."""
    more = True
    while more:
        page = stub.QueryEntries(wanted, metadata=connection.metadata, timeout=DEADLINE_S)
        yield from page.rows
        wanted.page_token = page.next_page_token
        more = bool(page.next_page_token)


def _query_request(page_size: int, **asked: Any) -> pb.QueryEntriesRequest:
    wanted = pb.EntryFilter(
        kinds=asked["kinds"],
        caller=asked["caller"],
        subject=asked["actor"],
        data_subject=asked["data_subject"],
        resource_type=TYPE_NUMBERS.get(asked["type"], 0),
        resource_id=asked["id"],
        verb=VERB_NUMBERS.get(asked["verb"], 0),
        effect=EFFECT_NUMBERS.get(asked["effect"], 0),
        purpose=PURPOSE_NUMBERS.get(asked["purpose"], 0),
        request_id=asked["request_id"],
    )
    for name, time in (("from", asked["from_time"]), ("until", asked["until_time"])):
        if time:
            getattr(wanted, name).FromDatetime(time)
    return pb.QueryEntriesRequest(
        header=core_pb2.RequestHeader(tenant=asked["tenant"], subject=person(asked["subject"])),
        filter=wanted,
        page_size=page_size,
        oldest_first=asked["oldest_first"],
    )


def _entry_parts(index: int, data: bytes, disclosed: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """An entry for people: what of it can still be read, then its fields as they are stored, sealed ones last."""
    fields: dict[str, Any] = json.loads(data)
    for name in sorted(disclosed, key=_in_order):
        yield name, [disclosed[name]]
    made = datetime.fromtimestamp(fields["time"] / 1e6, UTC)
    yield "", [""]
    yield "index", [str(index)]
    yield "kind", [fields["kind"]]
    yield "time", [f"{fields['time']}: {made:%Y-%m-%d %H:%M:%S.%f} UTC"]
    for name in sorted(fields, key=lambda one: (one == "enc", one)):
        if name not in {"kind", "time"} and fields[name] not in ("", [], {}):
            value = fields[name]
            lines = value if isinstance(value, list) else [value]
            yield name, [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in lines]


def _in_order(name: str) -> list[tuple[int, str]]:
    """What sorts names with numbers in them by the numbers: `items.2.id` before `items.10.id`."""
    return [(int(part) if part.isdecimal() else -1, part) for part in name.split(".")]


def _row(row: pb.EntryRow) -> dict[str, Any]:
    return {
        "index": row.index,
        "item": row.item,
        "time": row.time.ToJsonString(),
        "kind": row.kind,
        "caller": row.caller,
        "request_id": row.request_id,
        "subject": row.subject or row.subject_sid,
        "subject_sid": row.subject_sid,
        "verb": _word(VERBS, row.verb),
        "resource_type": _word(TYPES, row.resource_type),
        "resource_id": row.resource_id or row.resource_ref,
        "resource_ref": row.resource_ref,
        "owner": row.owner or row.owner_sid,
        "owner_sid": row.owner_sid,
        "effect": _word(EFFECTS, row.effect),
        "reason": row.reason,
        "purpose": _word(PURPOSES, row.purpose),
        "policy_revision": row.policy_revision,
        "details": row.details,
    }


def _for_people(row: dict[str, Any], capture: str) -> dict[str, Any]:
    """The row with its time to the second, and in one text what happened, by whose call, how it was decided and why.

    In the history of a capture it goes without saying which capture it is.
    """
    owner = f"of {row['owner']}" if row["owner"] else ""
    item = "" if capture and row["resource_id"] == capture else row["resource_id"]
    details = " ".join(one for one in row["details"].split(" ") if not capture or one != f"session={capture}")
    done = (row["kind"], row["verb"], row["resource_type"], item, owner, row["effect"], row["reason"])
    parts = (*done, details.replace("=", " "), f"via {row['caller']}" if row["caller"] else "")
    return row | {"time": row["time"][:19].replace("T", " "), "what": " ".join(filter(None, parts))}


def _word(words: Any, number: int) -> str:
    return str(words[number].value) if number else ""


def _write_file(folder: Path, path: str, content: bytes, *, continues: bool) -> None:
    # The server names the files: what it names must stay inside the folder.
    target = folder / path
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise click.ClickException("the server sent a path outside the folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("ab" if continues else "wb") as file:
        file.write(content)

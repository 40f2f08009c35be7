"""`linewarden audit entry`: one entry of the log, with the proof that it is in it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from linewarden.audit.verify import verify_entry
from linewarden.cli.client import DEADLINE_S, Connection, connecting, header, subject_option, tenant_option
from linewarden.cli.output import output_option, write_block, write_rows
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1.audit_pb2_grpc import AuditServiceStub


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("index", type=click.IntRange(0))
@click.option(
    "--proof-file", type=click.Path(path_type=Path), help="File for the proof, which a third party can verify."
)
@click.option("--entry-file", type=click.Path(path_type=Path), help="File for the bytes of the entry.")
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
    """Read the entry at INDEX with the proof that it is in the log. The proof is verified before the entry is shown."""
    with connection.channel() as channel:
        request = pb.GetEntryRequest(header=header(tenant, subject), index=index)
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


def _entry_parts(index: int, data: bytes, disclosed: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """An entry for people: its values that can still be read, then its fields as they are stored, sealed ones last."""
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
    """A key that sorts names with numbers in them by the numbers: `items.2.id` before `items.10.id`."""
    return [(int(part) if part.isdecimal() else -1, part) for part in name.split(".")]

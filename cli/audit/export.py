"""`linewarden audit export`: the log as files that are verified without a server."""

from pathlib import Path

import click

from linewarden.cli.client import STREAM_S, Connection, connecting, header, subject_option, tenant_option
from linewarden.cli.enum_words import choice_of, number_of
from linewarden.cli.output import progress
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1 import core_pb2
from linewarden.v1.audit_pb2_grpc import AuditServiceStub


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--purpose", type=choice_of(core_pb2.Purpose), help="The purpose of the export.")
def export(connection: Connection, tenant: str, subject: str, folder: Path, purpose: str | None) -> None:
    """Write the log into FOLDER, as files that anyone can verify without the server."""
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty: name a new folder")
    context = core_pb2.Context(purpose=number_of(core_pb2.Purpose, purpose))
    request = pb.ExportLogRequest(header=header(tenant, subject, context=context))
    key = ""
    with connection.channel() as channel, progress("exporting") as report:
        call = AuditServiceStub(channel).ExportLog(request, metadata=connection.metadata, timeout=STREAM_S)
        for file in call:
            _write_file(folder, file.path, file.content, continues=file.continues)
            report(file.entries_sent, file.log_size)
            key = file.verifier_key or key
    click.echo(f"linewarden: {file.log_size} entries; verifier key:", err=True)
    click.echo(key)


def _write_file(folder: Path, path: str, content: bytes, *, continues: bool) -> None:
    # The server names the files, so the names are checked: a file stays inside the folder.
    target = folder / path
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise click.ClickException("the server sent a path outside the folder: the export is not used")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("ab" if continues else "wb") as file:
        file.write(content)

"""`linewarden capture`: sessions, from the request to the evidence."""

import io
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import click
import grpc
from google.protobuf.json_format import MessageToDict

from linewarden.diagnostics.analysis.apart import AnalysisFailed, AnalysisRefused, Form, analyse_apart
from linewarden.diagnostics.capture.evidence import CHUNK, Manifest
from linewarden.diagnostics.sealing import SealingError, check, unseal
from linewarden.server.cli.calling import case_options, request_of, rpc, upload_of
from linewarden.server.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.server.cli.failures import DENIED, USAGE, fail
from linewarden.server.cli.output import output_option, progress, write_rows
from linewarden.v1 import diagnostics_pb2 as pb
from linewarden.v1.diagnostics_pb2_grpc import DiagnosticsServiceStub

_COLUMNS = ("id", "state", "profile", "requested_by", "approved_by", "stop_reason", "lossy")
_WORDS = {"state": "SESSION_STATE_", "profile": "CAPTURE_PROFILE_", "stop_reason": "CAPTURE_STOP_REASON_"}
_STREAM_S = 3_600.0
_MEBIBYTE = 1 << 20

_session = click.argument("session_id")


@click.group()
def capture() -> None:
    """Request, approve, run and read packet captures."""


@capture.command()
@connecting
@tenant_option
@subject_option
@case_options
@click.option("--interface", default="", help="Where to capture.")
@click.option("--file", default="", help="Name of a capture file to take into custody instead; import it then.")
@click.option(
    "--profile",
    type=click.Choice(["headers", "signalling", "media"]),
    default="signalling",
    show_default=True,
    help="How much to keep.",
)
@click.option("--extension", "extensions", multiple=True, help="An extension; may be repeated.")
@click.option("--call-id", "call_ids", multiple=True, help="A Call-ID; may be repeated.")
@click.option("--trunk", "trunks", multiple=True, help="A trunk; may be repeated.")
@click.option("--host", "hosts", multiple=True, help="An address or network; may be repeated.")
@click.option("--port", "ports", multiple=True, type=click.IntRange(1, 65_535), help="A port; may be repeated.")
@click.option("--filter", "raw_filter", default="", help="A libpcap expression instead; a higher right.")
@click.option(
    "--reader",
    "readers",
    multiple=True,
    required=True,
    metavar="NAME=KEY",
    help="Who can open the evidence, with an age or SSH public key; may be repeated.",
)
@click.option("--seconds", type=click.IntRange(1), default=300, show_default=True, help="Longest time.")
@click.option("--mebibytes", type=click.IntRange(1), default=64, show_default=True, help="Most evidence.")
@click.option("--packets", type=click.IntRange(1), default=1_000_000, show_default=True, help="Most packets.")
@click.option(
    "--snaplen", type=click.IntRange(64, 262_144), default=65_535, show_default=True, help="Bytes of a packet."
)
@click.option(
    "--disk-free", type=click.IntRange(0), default=512, show_default=True, help="Least free space, mebibytes."
)
@click.option("--loss-budget", type=click.IntRange(0), default=1_000, show_default=True, help="Most packets lost.")
@click.option("--extends", default="", help="A session that this one goes on from.")
@output_option
def request(connection: Connection, tenant: str, subject: str, output: str, **stated: Any) -> None:
    """Ask for a capture for one case. All limits hold; the first reached ends it."""
    limits = pb.CaptureLimits(
        seconds=stated["seconds"],
        bytes=stated["mebibytes"] * _MEBIBYTE,
        packets=stated["packets"],
        snaplen=stated["snaplen"],
        disk_free_min=stated["disk_free"] * _MEBIBYTE,
        loss_budget=stated["loss_budget"],
    )
    selector = pb.CaptureSelector(
        **{name: stated[name] for name in ("extensions", "call_ids", "trunks", "hosts", "raw_filter")},
        ports=[pb.PortRange(low=port, high=port) for port in stated["ports"]],
    )
    answer = rpc(
        connection,
        "RequestSession",
        tenant,
        subject,
        purpose=stated["purpose"],
        case=stated["case"],
        profile=f"CAPTURE_PROFILE_{stated['profile'].upper()}",
        selector=selector,
        limits=limits,
        interface=stated["interface"],
        file=stated["file"],
        readers=[_reader(text) for text in stated["readers"]],
        extends_session=stated["extends"],
    )
    _write(answer.session, output)


@capture.command()
@connecting
@tenant_option
@subject_option
@_session
@output_option
def approve(connection: Connection, tenant: str, subject: str, session_id: str, output: str) -> None:
    """Approve what somebody else asked for."""
    _write(rpc(connection, "ApproveSession", tenant, subject, session_id=session_id).session, output)


@capture.command()
@connecting
@tenant_option
@subject_option
@_session
@output_option
def reject(connection: Connection, tenant: str, subject: str, session_id: str, output: str) -> None:
    """Refuse a session for good, before it runs."""
    _write(rpc(connection, "RejectSession", tenant, subject, session_id=session_id).session, output)


@capture.command()
@connecting
@tenant_option
@subject_option
@case_options
@_session
@output_option
def start(connection: Connection, tenant: str, subject: str, session_id: str, output: str, **case: str) -> None:
    """Start an armed session."""
    _write(rpc(connection, "StartSession", tenant, subject, session_id=session_id, **case).session, output)


@capture.command()
@connecting
@tenant_option
@subject_option
@case_options
@_session
@output_option
def stop(connection: Connection, tenant: str, subject: str, session_id: str, output: str, **case: str) -> None:
    """Stop a session that runs; what was captured is sealed."""
    _write(rpc(connection, "StopSession", tenant, subject, session_id=session_id, **case).session, output)


@capture.command("import")
@connecting
@tenant_option
@subject_option
@case_options
@_session
@click.argument("file", type=click.File("rb"))
@output_option
def import_file(
    connection: Connection, tenant: str, subject: str, session_id: str, file: BinaryIO, output: str, **case: str
) -> None:
    """Start an armed session on the capture FILE (pcap or pcapng, - for standard input), and wait for its evidence.

    Exit code 1: the file did not come in to its end; what came before is sealed.
    """
    start = request_of("StartSession", tenant, subject, session_id=session_id, **case)
    with connection.channel() as channel:
        upload = DiagnosticsServiceStub(channel).UploadCapture
        answer = upload(upload_of(start, file), metadata=connection.metadata, timeout=_STREAM_S)
    _write(answer.session, output)
    if answer.session.stop_reason != pb.CAPTURE_STOP_REASON_REQUESTED:
        fail(DENIED, "the capture ended before the file did")


@capture.command("list")
@connecting
@tenant_option
@subject_option
@output_option
def list_sessions(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """List sessions, the newest first."""
    rows: list[dict[str, Any]] = []
    token = ""
    while True:
        page = rpc(connection, "ListSessions", tenant, subject, page_token=token)
        rows += [_row(one) for one in page.sessions]
        token = page.next_page_token
        if not token:
            break
    write_rows(rows, _COLUMNS, output)


@capture.command()
@connecting
@tenant_option
@subject_option
@_session
@output_option
def show(connection: Connection, tenant: str, subject: str, session_id: str, output: str) -> None:
    """Show one session."""
    _write(rpc(connection, "GetSession", tenant, subject, session_id=session_id).session, output)


@capture.command()
@connecting
@tenant_option
@subject_option
@_session
def watch(connection: Connection, tenant: str, subject: str, session_id: str) -> None:
    """Print the counters of a session, a line a second, until it ends."""
    asked = request_of("WatchSession", tenant, subject, session_id=session_id)
    with connection.channel() as channel:
        looks = DiagnosticsServiceStub(channel).WatchSession(asked, metadata=connection.metadata, timeout=_STREAM_S)
        for look in looks:
            write_rows([_row(look)], (), "jsonl")


@capture.command()
@connecting
@tenant_option
@subject_option
@case_options
@_session
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def fetch(connection: Connection, tenant: str, subject: str, session_id: str, file: Path, **case: str) -> None:
    """Fetch the sealed evidence into FILE. Its purpose is recorded; only its readers can open it."""
    asked = request_of("ReadEvidence", tenant, subject, session_id=session_id, **case)
    with connection.channel() as channel, file.open("xb") as target, progress("fetching") as bar:
        parts = DiagnosticsServiceStub(channel).ReadEvidence(asked, metadata=connection.metadata, timeout=_STREAM_S)
        task = bar.add_task("fetching")
        try:
            for part in parts:
                target.write(part.content)
                bar.update(task, total=part.total_bytes, advance=len(part.content))
        except grpc.RpcError:
            file.unlink()  # a file of that name is whole, or not there
            raise


@capture.command("open")
@connecting
@tenant_option
@subject_option
@case_options
@_session
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--identity",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the reader's age or SSH private key.",
)
def open_evidence(
    connection: Connection, tenant: str, subject: str, session_id: str, file: Path, identity: Path, **case: str
) -> None:
    """Fetch the evidence, open it into FILE, and compare it with what is recorded. Exit code 1: it differs."""
    recorded = rpc(connection, "GetSession", tenant, subject, session_id=session_id, **case).session.evidence
    asked = request_of("ReadEvidence", tenant, subject, session_id=session_id, **case)
    with connection.channel() as channel:
        parts = DiagnosticsServiceStub(channel).ReadEvidence(asked, metadata=connection.metadata, timeout=_STREAM_S)
        sealed = io.BytesIO(b"".join(part.content for part in parts))
    with file.open("xb") as plain:
        _check(sealed, plain, identity, recorded)
    click.echo(f"linewarden: {file} is the evidence that was recorded", err=True)


@capture.command()
@connecting
@tenant_option
@subject_option
@_session
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--identity",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the reader's age or SSH private key.",
)
def verify(connection: Connection, tenant: str, subject: str, session_id: str, file: Path, identity: Path) -> None:
    """Compare the sealed FILE with what is recorded of a session. Exit code 1: it differs."""
    recorded = rpc(connection, "GetSession", tenant, subject, session_id=session_id).session.evidence
    with file.open("rb") as sealed:
        _check(sealed, io.BytesIO(), identity, recorded)
    click.echo("linewarden: this is the evidence that was recorded", err=True)


@capture.command()
@connecting
@tenant_option
@subject_option
@case_options
@_session
@output_option
def delete(connection: Connection, tenant: str, subject: str, session_id: str, output: str, **case: str) -> None:
    """Delete the evidence of a session before its time; the record stays."""
    _write(rpc(connection, "DeleteSession", tenant, subject, session_id=session_id, **case).session, output)


@capture.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--ladder", "call_id", default="", metavar="CALL-ID", help="The ladder of this call instead of the report."
)
@click.option(
    "--svg",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the ladder into this new file instead of on the terminal.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The form of the data.",
)
def analyse(file: Path, call_id: str, picture: Path | None, output: str) -> None:
    """Say what the opened FILE shows: calls, registrations, streams. Needs no server. Exit code 1: it broke off.

    What it says is evidence as the file is: it names who called whom.
    """
    if picture and (not call_id or output == "json"):
        raise click.UsageError("--svg draws a ladder: it needs --ladder, and excludes -o json")
    form = Form.SVG if picture else Form(output)
    try:
        with file.open("rb") as opened:
            shown = analyse_apart(opened, form, call_id=call_id, width=shutil.get_terminal_size().columns)
    except AnalysisRefused as error:
        fail(USAGE, str(error))
    except AnalysisFailed as error:
        fail(DENIED, str(error))
    if picture is None:
        click.echo(shown, nl=False)
        return
    with picture.open("xb") as target:
        target.write(shown)


def _check(sealed: Any, plain: Any, identity: Path, recorded: pb.Evidence) -> None:
    chunks = -(-recorded.plain_bytes // CHUNK)
    expected = Manifest(CHUNK, chunks, recorded.plain_bytes, recorded.plain_sha256, recorded.chain)
    text = identity.read_text(encoding="utf-8").strip()
    keys = [line for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-")] or [text]
    try:
        check(unseal(sealed, plain, keys, bytes.fromhex(recorded.ticket_digest)), expected)
    except SealingError as error:
        fail(DENIED, str(error))


def _reader(text: str) -> pb.EvidenceReader:
    name, separator, key = text.partition("=")
    if not separator:
        raise click.BadParameter("a reader is NAME=KEY", param_hint="--reader")
    return pb.EvidenceReader(name=name, public_key=key)


def _write(session: pb.Session, output: str) -> None:
    write_rows([_row(session)], _COLUMNS, output)


def _row(message: Any) -> dict[str, Any]:
    row: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for name, prefix in (
        ("state", "SESSION_STATE_"),
        ("profile", "CAPTURE_PROFILE_"),
        ("stop_reason", "CAPTURE_STOP_REASON_"),
    ):
        if name in row:
            row[name] = row[name].removeprefix(prefix).lower()
    return row

"""`linewarden capture`: the way of a capture, from the request to its end. `evidence` has what comes after."""

from typing import Any, BinaryIO

import click

from linewarden.cli.capture_view import capture_argument, row_of, show_capture, write_capture, write_captures
from linewarden.cli.client import STREAM_S, Connection, connecting, subject_option, tenant_option
from linewarden.cli.evidence import analyse, fetch, open_evidence, verify
from linewarden.cli.exit_codes import DENIED, fail
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.rpc import (
    Options,
    case_if_needed,
    case_options,
    pages,
    request_of,
    rpc,
    rpc_of,
    upload_of,
)
from linewarden.v1 import capture_pb2 as pb

_MEBIBYTE = 1 << 20


@click.group()
def capture() -> None:
    """Request, approve, run and read packet captures."""


@capture.command()
@connecting
@tenant_option
@subject_option
@case_options
@click.option("--interface", default="", help="Where to capture.")
@click.option("--worker", default="", metavar="NAME", help="The worker at whose host the interface is, if not here.")
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
@click.option("--extends", default="", help="A capture that this one goes on from.")
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
        "RequestCapture",
        tenant,
        subject,
        purpose=stated["purpose"],
        case=stated["case"],
        profile=f"CAPTURE_PROFILE_{stated['profile'].upper()}",
        selector=selector,
        limits=limits,
        interface=stated["interface"],
        file=stated["file"],
        worker=stated["worker"],
        readers=[_reader(text) for text in stated["readers"]],
        extends_capture=stated["extends"],
    )
    write_capture(answer.capture, output)


def _step(name: str, method: str, case: Options, does: str) -> click.Command:
    """A command that takes a capture one step further, and shows how it then stands."""

    @click.command(name, help=does)
    @connecting
    @tenant_option
    @subject_option
    @case
    @capture_argument
    @output_option
    def step(connection: Connection, tenant: str, subject: str, capture_id: str, output: str, **stated: str) -> None:
        write_capture(rpc(connection, method, tenant, subject, capture_id=capture_id, **stated).capture, output)

    return step


@capture.command("import")
@connecting
@tenant_option
@subject_option
@case_options
@capture_argument
@click.argument("file", type=click.File("rb"))
@output_option
def import_file(
    connection: Connection, tenant: str, subject: str, capture_id: str, file: BinaryIO, output: str, **case: str
) -> None:
    """Start an armed capture on the capture FILE (pcap or pcapng, - for standard input), and wait for its evidence.

    Exit code 1: the file did not come in to its end; what came before is sealed.
    """
    start = request_of("StartCapture", tenant, subject, capture_id=capture_id, **case)
    with connection.channel() as channel:
        upload = rpc_of(channel, "UploadCapture")
        answer = upload(upload_of(start, file), metadata=connection.metadata, timeout=STREAM_S)
    write_capture(answer.capture, output)
    if answer.capture.stop_reason != pb.CAPTURE_STOP_REASON_REQUESTED:
        fail(DENIED, "the capture ended before the file did")


@capture.command("list")
@connecting
@tenant_option
@subject_option
@case_if_needed
@output_option
def list_captures(connection: Connection, tenant: str, subject: str, output: str, **case: str) -> None:
    """List all captures, the newest first. `--case` is what somebody states whose right needs one, and selects none."""
    found = pages(connection, "ListCaptures", tenant, subject, **case)
    write_captures([one for page in found for one in page.captures], output)


@capture.command()
@connecting
@tenant_option
@subject_option
@case_if_needed
@capture_argument
@output_option
def show(connection: Connection, tenant: str, subject: str, capture_id: str, output: str, **case: str) -> None:
    """Show all that is known of one capture: what is asked for, what became of it, and its evidence."""
    show_capture(rpc(connection, "GetCapture", tenant, subject, capture_id=capture_id, **case).capture, output)


@capture.command()
@connecting
@tenant_option
@subject_option
@case_if_needed
@capture_argument
def watch(connection: Connection, tenant: str, subject: str, capture_id: str, **case: str) -> None:
    """Print the counters of a capture, a line a second, until it ends."""
    asked = request_of("WatchCapture", tenant, subject, capture_id=capture_id, **case)
    with connection.channel() as channel:
        looks = rpc_of(channel, "WatchCapture")(asked, metadata=connection.metadata, timeout=STREAM_S)
        for look in looks:
            write_rows([row_of(look)], (), "jsonl")


_STEPS = (
    _step("approve", "ApproveCapture", case_if_needed, "Approve what somebody else asked for."),
    _step("reject", "RejectCapture", case_if_needed, "Refuse a capture for good, before it runs."),
    _step("start", "StartCapture", case_options, "Start an armed capture."),
    _step("pause", "PauseCapture", case_if_needed,
          "Let a capture that runs take no packets until it is resumed; its limit of time goes on."),
    _step("resume", "ResumeCapture", case_options, "Let a paused capture go on."),
    _step("stop", "StopCapture", case_if_needed, "Stop a capture that runs; what was captured is sealed."),
    _step("delete", "DeleteCapture", case_if_needed,
          "Delete the evidence of a capture before its time; the record stays."),
)  # fmt: skip

for command in (*_STEPS, fetch, open_evidence, verify, analyse):
    capture.add_command(command)


def _reader(text: str) -> pb.EvidenceReader:
    name, separator, key = text.partition("=")
    if not separator:
        raise click.BadParameter("a reader is NAME=KEY", param_hint="--reader")
    return pb.EvidenceReader(name=name, public_key=key)

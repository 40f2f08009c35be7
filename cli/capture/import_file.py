"""`linewarden capture import`: a capture file as the packets of an armed capture."""

from typing import BinaryIO

import click

from linewarden.cli.capture.view import capture_argument, write_capture
from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.exit_codes import DENIED, fail
from linewarden.cli.output import output_option
from linewarden.cli.rpc import case_options, request_of, upload
from linewarden.v1 import capture_pb2 as pb


@click.command("import")
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
    """Start an armed capture on the capture FILE, and wait for its evidence.

    FILE is pcap or pcapng, or - for standard input. Exit code 1: the file was not read to its end; the packets before
    that are sealed.
    """
    start = request_of("StartCapture", tenant, subject, capture_id=capture_id, **case)
    answer = upload(connection, start, file)
    write_capture(answer.capture, output)
    if answer.capture.stop_reason != pb.CAPTURE_STOP_REASON_REQUESTED:
        fail(DENIED, "the capture ended before the file did")

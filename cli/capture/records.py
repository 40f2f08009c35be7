"""`linewarden capture list`, `show` and `watch`: captures as the server has them on record."""

import click

from linewarden.cli.capture.view import capture_argument, row_of, show_capture, write_captures
from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.rpc import case_if_needed, pages, request_of, rpc, stream


@click.command("list")
@connecting
@tenant_option
@subject_option
@case_if_needed
@output_option
def list_captures(connection: Connection, tenant: str, subject: str, output: str, **case: str) -> None:
    """List all captures, the newest first. `--case` selects none: it is for a person whose right depends on a case."""
    found = pages(connection, "ListCaptures", tenant, subject, **case)
    write_captures([one for page in found for one in page.captures], output)


@click.command()
@connecting
@tenant_option
@subject_option
@case_if_needed
@capture_argument
@output_option
def show(connection: Connection, tenant: str, subject: str, capture_id: str, output: str, **case: str) -> None:
    """Show one capture: its request, its course and its evidence."""
    show_capture(rpc(connection, "GetCapture", tenant, subject, capture_id=capture_id, **case).capture, output)


@click.command()
@connecting
@tenant_option
@subject_option
@case_if_needed
@capture_argument
def watch(connection: Connection, tenant: str, subject: str, capture_id: str, **case: str) -> None:
    """Print the counters of a capture, a line a second, until it ends."""
    request = request_of("WatchCapture", tenant, subject, capture_id=capture_id, **case)
    for answer in stream(connection, "WatchCapture", request):
        write_rows([row_of(answer)], (), "jsonl")

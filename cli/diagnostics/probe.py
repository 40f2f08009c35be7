"""`linewarden diagnostics probe`: a question to a host of the customer, instead of a capture."""

from typing import Any

import click

from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.enum_words import choice_of, number_of
from linewarden.cli.output import output_option, write_rows
from linewarden.cli.rpc import case_options, rpc
from linewarden.v1 import capture_pb2, probe_pb2


@click.command()
@connecting
@tenant_option
@subject_option
@case_options
@click.argument("kind", type=choice_of(probe_pb2.ProbeKind))
@click.argument("target")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="The port; 0 is the usual port of the protocol."
)
@click.option("--tcp", is_flag=True, help="Use SIP over TCP.")
@click.option(
    "--timeout-ms",
    type=click.IntRange(100, 10_000),
    default=2_000,
    show_default=True,
    help="Longest wait for an answer, milliseconds.",
)
@click.option("--worker", default="", help="The capture worker that sends the question; without one, the server.")
@output_option
def probe(
    connection: Connection,
    tenant: str,
    subject: str,
    kind: str,
    target: str,
    port: int,
    tcp: bool,
    timeout_ms: int,
    worker: str,
    output: str,
    **case: Any,
) -> None:
    """Ask TARGET a question instead of capturing. Exit code 1: the answer is missing or means failure."""
    answer = rpc(
        connection,
        "RunProbe",
        tenant,
        subject,
        **case,
        kind=number_of(probe_pb2.ProbeKind, kind),
        target=target,
        port=port,
        timeout_ms=timeout_ms,
        worker=worker,
        transport=capture_pb2.TRANSPORT_TCP if tcp else capture_pb2.TRANSPORT_UDP,
    )
    write_rows(
        [{"finding": name, "value": value} for name, value in sorted(answer.findings.items())],
        ("finding", "value"),
        output,
    )
    click.get_current_context().exit(0 if answer.succeeded else 1)

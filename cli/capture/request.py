"""`linewarden capture request`: ask for a capture, with its limits and the readers of its evidence."""

from typing import Any

import click

from linewarden.cli.capture.view import write_capture
from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.output import output_option
from linewarden.cli.rpc import case_options, rpc
from linewarden.v1 import capture_pb2 as pb

_MEBIBYTE = 1 << 20


@click.command()
@connecting
@tenant_option
@subject_option
@case_options
@click.option("--interface", default="", help="The network interface to capture on.")
@click.option(
    "--worker",
    default="",
    metavar="NAME",
    help="The worker whose host has the interface; without one, the server's host.",
)
@click.option("--file", default="", help="Name of a capture file to import instead, with `capture import`.")
@click.option(
    "--profile",
    type=click.Choice(["headers", "signalling", "media"]),
    default="signalling",
    show_default=True,
    help="The part of the packets to keep.",
)
@click.option("--extension", "extensions", multiple=True, help="An extension; may be repeated.")
@click.option("--call-id", "call_ids", multiple=True, help="A Call-ID; may be repeated.")
@click.option("--trunk", "trunks", multiple=True, help="A trunk; may be repeated.")
@click.option("--host", "hosts", multiple=True, help="An address or network; may be repeated.")
@click.option("--port", "ports", multiple=True, type=click.IntRange(1, 65_535), help="A port; may be repeated.")
@click.option(
    "--filter",
    "raw_filter",
    default="",
    help="A libpcap expression instead of the options above; needs a right of its own.",
)
@click.option(
    "--reader",
    "readers",
    multiple=True,
    required=True,
    metavar="NAME=KEY",
    help="A person who can open the evidence, with an age or SSH public key; may be repeated.",
)
@click.option("--seconds", type=click.IntRange(1), default=300, show_default=True, help="Longest time, seconds.")
@click.option("--mebibytes", type=click.IntRange(1), default=64, show_default=True, help="Most evidence, mebibytes.")
@click.option("--packets", type=click.IntRange(1), default=1_000_000, show_default=True, help="Most packets.")
@click.option(
    "--snaplen", type=click.IntRange(64, 262_144), default=65_535, show_default=True, help="Most bytes of a packet."
)
@click.option(
    "--disk-free", type=click.IntRange(0), default=512, show_default=True, help="Least free space, mebibytes."
)
@click.option(
    "--loss-budget", type=click.IntRange(0), default=1_000, show_default=True, help="Most packets that may be lost."
)
@click.option("--extends", default="", help="The capture that this one continues.")
@output_option
def request(connection: Connection, tenant: str, subject: str, output: str, **stated: Any) -> None:
    """Ask for a capture for one case. The first limit that is reached ends it."""
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


def _reader(text: str) -> pb.EvidenceReader:
    name, separator, key = text.partition("=")
    if not separator:
        raise click.BadParameter("a reader is written NAME=KEY", param_hint="--reader")
    return pb.EvidenceReader(name=name, public_key=key)

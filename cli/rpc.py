"""Calls of the services of diagnostics from the command line."""

import sys
from collections.abc import Callable, Iterator
from functools import update_wrapper
from importlib import import_module
from typing import Any, BinaryIO

import click
import grpc

from linewarden.authz import model
from linewarden.cli.client import DEADLINE_S, Connection, person
from linewarden.server.names import PURPOSE_NUMBERS
from linewarden.v1 import capture_pb2, core_pb2

#: The file of the contract that has the service of each rpc called here.
_FILES = {
    "terms": ("EnableDiagnostics", "DisableDiagnostics", "GetDiagnostics"),
    "notice": (
        "PublishNotice",
        "ListNotices",
        "GetNotice",
        "ListActiveNotices",
        "ConfirmNotice",
        "RecordReceipts",
        "SendNotice",
    ),
    "attestation": ("MakeAttestation", "WithdrawAttestation", "ListAttestations"),
    "capture": (
        "RequestCapture",
        "ApproveCapture",
        "RejectCapture",
        "StartCapture",
        "UploadCapture",
        "StopCapture",
        "PauseCapture",
        "ResumeCapture",
        "GetCapture",
        "ListCaptures",
        "WatchCapture",
        "ReadEvidence",
        "DeleteCapture",
    ),
    "probe": ("RunProbe",),
    "usage": ("ShareUsage", "GetUsage"),
}
_FILE_OF = {rpc: file for file, rpcs in _FILES.items() for rpc in rpcs}

#: Bytes of a capture file in one message; half of what the contract allows.
_PART_BYTES = 32 * 1024

_PURPOSES = click.Choice([purpose.value for purpose in model.Purpose])
_USUAL_PURPOSE = model.Purpose.SUPPORT.value


def _asked_for(ctx: click.Context, param: click.Parameter, purpose: str | None) -> str | None:
    """The purpose stated; on a terminal the person is asked. That evidence was read for a purpose must be meant."""
    if purpose or ctx.resilient_parsing:
        return purpose
    if not sys.stdin.isatty():
        raise click.MissingParameter(ctx=ctx, param=param)
    return str(click.prompt("What for", type=_PURPOSES, err=True))


_PURPOSE = click.option(
    "--purpose",
    type=_PURPOSES,
    default=_USUAL_PURPOSE,
    show_default=True,
    help="What it is for.",
)
_PURPOSE_MEANT = click.option(
    "--purpose",
    type=_PURPOSES,
    callback=_asked_for,
    help="What it is for: recorded, and never assumed. A terminal asks for it; elsewhere it is required.",
)
_PURPOSE_IF_NEEDED = click.option(
    "--purpose", type=_PURPOSES, help=f"What it is for; {_USUAL_PURPOSE} where a case is given."
)
_CASE = click.option("--case", required=True, help="The fault it is for.")
_CASE_IF_NEEDED = click.option(
    "--case", default="", help="The fault it is for, if the right to do this needs one. Selects nothing."
)

#: What gives a command its options.
Options = Callable[[Callable[..., Any]], Callable[..., Any]]


def case_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--purpose` and `--case`."""
    return _PURPOSE(_CASE(command))


def meant_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--purpose` and `--case`, and no purpose that nobody stated."""
    return _PURPOSE_MEANT(_CASE(command))


def case_if_needed(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--purpose` and `--case` for those whose right depends on them."""

    def stating(*args: Any, case: str, purpose: str | None, **kwargs: Any) -> Any:
        stated = purpose or (_USUAL_PURPOSE if case else "")
        return command(*args, case=case, purpose=stated, **kwargs)

    wrapped: Callable[..., Any] = update_wrapper(stating, command)
    return _PURPOSE_IF_NEEDED(_CASE_IF_NEEDED(wrapped))


def rpc(
    connection: Connection, method: str, tenant: str, subject: str, *, purpose: str = "", case: str = "", **fields: Any
) -> Any:
    """Call a method that has one answer."""
    return answer_to(connection, method, request_of(method, tenant, subject, purpose=purpose, case=case, **fields))


def pages(connection: Connection, method: str, tenant: str, subject: str, **stated: str) -> Iterator[Any]:
    """The pages of a list, one call after the other to the last."""
    token, more = "", True
    while more:
        page = rpc(connection, method, tenant, subject, page_token=token, **stated)
        yield page
        token = page.next_page_token
        more = bool(token)


def answer_to(connection: Connection, method: str, request: Any, within_s: float = DEADLINE_S) -> Any:
    """The one answer to a request."""
    with connection.channel() as channel:
        return rpc_of(channel, method)(request, metadata=connection.metadata, timeout=within_s)


def rpc_of(channel: grpc.Channel, method: str) -> Any:
    """The rpc of that name, to be called."""
    file = _FILE_OF[method]
    stubs = import_module(f"linewarden.v1.{file}_pb2_grpc")
    return getattr(getattr(stubs, f"{file.title()}ServiceStub")(channel), method)


def upload_of(start: capture_pb2.StartCaptureRequest, file: BinaryIO) -> Iterator[capture_pb2.UploadCaptureRequest]:
    """The messages that bring a capture file in, the last one marked. An empty file is one empty message."""
    part, first = file.read(_PART_BYTES), True
    while part or first:
        following = file.read(_PART_BYTES)
        message = capture_pb2.UploadCaptureRequest(content=part, last=not following)
        if first:
            message.start.CopyFrom(start)
        yield message
        part, first = following, False


def request_of(method: str, tenant: str, subject: str, *, purpose: str = "", case: str = "", **fields: Any) -> Any:
    """The request of a method."""
    context = core_pb2.Context(purpose=PURPOSE_NUMBERS.get(purpose, 0), case_reference=case)
    header = core_pb2.RequestHeader(tenant=tenant, subject=person(subject), context=context)
    messages = import_module(f"linewarden.v1.{_FILE_OF[method]}_pb2")
    return getattr(messages, f"{method}Request")(header=header, **fields)


def fields_of(message: Any) -> tuple[str, ...]:
    """The names of all fields of a message."""
    return tuple(field.name for field in message.DESCRIPTOR.fields)

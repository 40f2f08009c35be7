"""Calls of diagnostics from the command line, and the options for the case that a call is for."""

import sys
from collections.abc import Callable, Iterator
from functools import update_wrapper
from importlib import import_module
from typing import Any, BinaryIO

import click
from google.protobuf.json_format import MessageToDict

from linewarden.cli.client import DEADLINE_S, STREAM_S, Connection, header
from linewarden.cli.enum_words import choice_of, number_of
from linewarden.v1 import capture_pb2 as pb
from linewarden.v1 import core_pb2

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

_PURPOSES = choice_of(core_pb2.Purpose)
_USUAL_PURPOSE = "support"


def _asked_for(ctx: click.Context, param: click.Parameter, purpose: str | None) -> str | None:
    """Return the purpose that was stated; on a terminal ask for it, because it is recorded and never assumed."""
    if purpose or ctx.resilient_parsing:
        return purpose
    if not sys.stdin.isatty():
        raise click.MissingParameter(ctx=ctx, param=param)
    return str(click.prompt("What for", type=_PURPOSES, err=True))


_PURPOSE = click.option(
    "--purpose", type=_PURPOSES, default=_USUAL_PURPOSE, show_default=True, help="The purpose of the request."
)
_PURPOSE_MEANT = click.option(
    "--purpose",
    type=_PURPOSES,
    callback=_asked_for,
    help="The purpose of the request: recorded, and never assumed. A terminal asks for it; elsewhere it is required.",
)
_PURPOSE_IF_NEEDED = click.option(
    "--purpose", type=_PURPOSES, help=f"The purpose of the request; {_USUAL_PURPOSE} where a case is given."
)
_CASE = click.option("--case", required=True, help="The fault that the request is for.")
_CASE_IF_NEEDED = click.option(
    "--case", default="", help="The fault that the request is for, if the right to make it depends on one. No filter."
)

#: A decorator that gives a command its options.
Options = Callable[[Callable[..., Any]], Callable[..., Any]]


def case_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--purpose` and `--case`."""
    return _PURPOSE(_CASE(command))


def meant_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--purpose` and `--case`, without a default for the purpose."""
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
    """Call a method page by page, to the last one."""
    token, more = "", True
    while more:
        page = rpc(connection, method, tenant, subject, page_token=token, **stated)
        yield page
        token = page.next_page_token
        more = bool(token)


def answer_to(connection: Connection, method: str, request: Any, within_s: float = DEADLINE_S) -> Any:
    """Send a request, and return the one answer."""
    with connection.channel() as channel:
        return _method(channel, method)(request, metadata=connection.metadata, timeout=within_s)


def stream(connection: Connection, method: str, request: Any) -> Iterator[Any]:
    """Send a request, and yield the answers as they come."""
    with connection.channel() as channel:
        yield from _method(channel, method)(request, metadata=connection.metadata, timeout=STREAM_S)


def upload(connection: Connection, start: pb.StartCaptureRequest, file: BinaryIO) -> pb.UploadCaptureResponse:
    """Start a capture on a file, and wait for its evidence."""
    return answer_to(connection, "UploadCapture", _parts_of(start, file), STREAM_S)  # type: ignore[no-any-return]


def request_of(
    method: str,
    tenant: str,
    subject: str,
    *,
    purpose: str = "",
    case: str = "",
    request_id: str = "",
    **fields: Any,
) -> Any:
    """The request of a method."""
    context = core_pb2.Context(purpose=number_of(core_pb2.Purpose, purpose), case_reference=case)
    messages = import_module(f"linewarden.v1.{_FILE_OF[method]}_pb2")
    return getattr(messages, f"{method}Request")(header=header(tenant, subject, request_id, context), **fields)


def fields_of(message: Any) -> tuple[str, ...]:
    """The names of all fields of a message."""
    return tuple(field.name for field in message.DESCRIPTOR.fields)


def message_row(message: Any) -> dict[str, Any]:
    """The fields of a message by their names in the contract."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _method(channel: Any, method: str) -> Any:
    """The rpc of that name, to be called."""
    file = _FILE_OF[method]
    stubs = import_module(f"linewarden.v1.{file}_pb2_grpc")
    return getattr(getattr(stubs, f"{file.title()}ServiceStub")(channel), method)


def _parts_of(start: pb.StartCaptureRequest, file: BinaryIO) -> Iterator[pb.UploadCaptureRequest]:
    """The messages that bring a capture file in, the last one marked. An empty file is one empty message."""
    part, first = file.read(_PART_BYTES), True
    while part or first:
        following = file.read(_PART_BYTES)
        message = pb.UploadCaptureRequest(content=part, last=not following)
        if first:
            message.start.CopyFrom(start)
        yield message
        part, first = following, False

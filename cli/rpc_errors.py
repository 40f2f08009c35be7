"""Errors of calls as exit codes and texts: the server's own, with the details that it names."""

import re
from collections.abc import Iterable
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from linewarden.cli.exit_codes import DENIED, REFUSED, UNAVAILABLE, USAGE, Report

#: The form of a detail that is shown: a word of the contract or numbers, and nothing that a terminal obeys.
_WORD = re.compile(r"[A-Za-z0-9_.,-]{1,64}")

_EXIT_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.NOT_FOUND: USAGE,
    grpc.StatusCode.ABORTED: USAGE,
    grpc.StatusCode.FAILED_PRECONDITION: DENIED,
    grpc.StatusCode.UNAUTHENTICATED: REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: REFUSED,
    grpc.StatusCode.DATA_LOSS: DENIED,
}


def explain(error: grpc.RpcError) -> Report:
    """The exit code for an error of a call, and a text with its details."""
    if not isinstance(error, grpc.Call):
        return UNAVAILABLE, "the call failed"
    code = error.code()
    status = rpc_status.from_call(error)
    message = error.details() or code.name
    if status is None:  # it does not come from a Linewarden
        return _EXIT_CODES.get(code, UNAVAILABLE), f"{code.name.lower()}: {message}"
    message += _named(status.details)
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            for violation in bad.field_violations:
                message += f"\n  {violation.field}: {violation.description}"
    return _EXIT_CODES.get(code, UNAVAILABLE), message


def policy_faults(error: grpc.RpcError) -> list[tuple[int, str]]:
    """The faults that a server finds in a policy, by line; empty if the error is another one."""
    if not isinstance(error, grpc.Call):
        return []
    status = rpc_status.from_call(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    if status is None or not any(one.Unpack(info) and info.reason == "POLICY_INVALID" for one in status.details):
        return []
    violations = [one for detail in status.details if detail.Unpack(bad) for one in bad.field_violations]
    lines = ((one.field.removeprefix("line "), one.description) for one in violations)
    return [(int(line), message) for line, message in lines if line.isdecimal()]


def _named(details: Iterable[Any]) -> str:
    """The subject of an error, as its ErrorInfo names it: ` (limit: seconds)`."""
    info = error_details_pb2.ErrorInfo()
    pairs = [pair for detail in details if detail.Unpack(info) for pair in sorted(info.metadata.items())]
    shown = [f"{name}: {value}" for name, value in pairs if _WORD.fullmatch(name) and _WORD.fullmatch(value)]
    return f" ({', '.join(shown)})" if shown else ""

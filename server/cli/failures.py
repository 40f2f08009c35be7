"""From exceptions to exit codes and one clear line on stderr."""

import re
from collections.abc import Iterable
from typing import Any

import click
import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from pydantic import ValidationError

from linewarden.audit.errors import AuditError, LogUnavailable, VerificationFailed
from linewarden.authz.errors import PolicyInvalid, PolicyLockout

DENIED = 1
USAGE = 2
UNAVAILABLE = 3
REFUSED = 4

#: What a detail of an error may look like: a word of the contract or a number, and nothing that a terminal obeys.
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_EXIT_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.NOT_FOUND: USAGE,
    grpc.StatusCode.ABORTED: USAGE,
    grpc.StatusCode.FAILED_PRECONDITION: DENIED,
    grpc.StatusCode.UNAUTHENTICATED: REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: REFUSED,
    grpc.StatusCode.DATA_LOSS: DENIED,
}


def failing_clearly(kind: type[click.Group]) -> type[click.Group]:
    """The group with failures of its commands turned into messages and exit codes."""

    class Failing(kind):  # type: ignore[misc, valid-type]
        def invoke(self, ctx: click.Context) -> Any:
            try:
                return super().invoke(ctx)
            except grpc.RpcError as error:
                fail(*_rpc_failure(error))
            except PolicyInvalid as error:
                for wrong in error.errors:
                    click.echo(f"line {wrong.line}: {wrong.message}", err=True)
                fail(DENIED, str(error))
            except PolicyLockout as error:
                fail(DENIED, str(error))
            except ValidationError as error:
                fail(USAGE, "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))
            except VerificationFailed as error:
                fail(DENIED, str(error))
            except LogUnavailable as error:
                fail(UNAVAILABLE, f"{error}: {error.__cause__ or 'no more is known'}")
            except (AuditError, OSError, ValueError) as error:
                fail(USAGE, str(error))

    return Failing


def fail(code: int, message: str) -> None:
    """End with a message on stderr."""
    click.echo(f"linewarden: {message}", err=True)
    raise click.exceptions.Exit(code)


def _rpc_failure(error: grpc.RpcError) -> tuple[int, str]:
    if not isinstance(error, grpc.Call):
        return UNAVAILABLE, "the call failed"
    code = error.code()
    status = rpc_status.from_call(error)
    message = error.details() or code.name
    if status is None:  # not from Linewarden: nobody answers there, or something else does
        return _EXIT_CODES.get(code, UNAVAILABLE), f"{code.name.lower()}: {message}"
    message += _named(status.details)
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            for violation in bad.field_violations:
                message += f"\n  {violation.field}: {violation.description}"
    return _EXIT_CODES.get(code, UNAVAILABLE), message


def _named(details: Iterable[Any]) -> str:
    """What the error is about, as its ErrorInfo names it: ` (limit: seconds)`."""
    info = error_details_pb2.ErrorInfo()
    pairs = [pair for detail in details if detail.Unpack(info) for pair in sorted(info.metadata.items())]
    shown = [f"{name}: {value}" for name, value in pairs if _WORD.fullmatch(name) and _WORD.fullmatch(value)]
    return f" ({', '.join(shown)})" if shown else ""

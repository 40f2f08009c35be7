"""gRPC statuses of errors, with the details of the google.rpc error model."""

import functools
import math
from typing import Any, NamedTuple, NoReturn

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from linewarden.audit import errors as audit
from linewarden.authz import errors as authz
from linewarden.diagnostics import errors as diagnostics
from linewarden.server.errors import (
    INTERNAL,
    TABLE,
    CallerNotPermitted,
    Code,
    CredentialsInvalid,
    ErrorStatus,
    InvalidRequest,
    KeysNotOurs,
    ServerStopping,
    StreamLimitExceeded,
    VerbNotApplicable,
    status_of,
)
from linewarden.server.log import place_of
from linewarden.v1 import access_pb2

DOMAIN = "linewarden"

#: The delay of a retry after UNAVAILABLE, milliseconds.
RETRY_MS = 200

#: The same if an operator must act first.
RECOVERY_MS = 10_000

#: Fields that always fit into the metadata that callers accept by default, 8 KiB. A larger status is lost.
_MAX_FIELDS = 24
_DETAIL = {
    diagnostics.StateConflict: "state",
    diagnostics.LimitTooHigh: "limit",
    diagnostics.TooManyCaptures: "of",
}
_MAX_TEXT = 100
#: The texts of all fields together. A single field may have the whole of it, such as a list of permitted values.
_MAX_TEXTS = _MAX_FIELDS * _MAX_TEXT
_PREFIX = "ERROR_REASON_"
_EVENTS = {KeysNotOurs: "keys_not_ours", authz.PolicyNotOurs: "policy_not_ours"}
_CODES: dict[Code, grpc.StatusCode] = {code: grpc.StatusCode[code] for code in Code}

#: Errors whose status is the same each time.
_ALIKE = (CredentialsInvalid, CallerNotPermitted, ServerStopping, audit.LogOverloaded)


class PlainStatus(Exception):
    """A status of the protocol itself, without details: an unknown path, a message that is too large."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.status: Any = _Status(code, text, ())


class _Status(NamedTuple):
    """A status as gRPC takes it."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


async def abort(context: "grpc.aio.ServicerContext[Any, Any]", error: Exception) -> NoReturn:
    """End the call with the status of the error."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    await context.abort_with_status(grpc_status_of(error))
    raise AssertionError("abort returned")


def grpc_status_of(error: Exception) -> grpc.Status:
    """Return the status of an error, and write a fault of the service into the text log."""
    if isinstance(error, PlainStatus):
        status: grpc.Status = error.status
        return status
    _note(error)
    return _made_once(status_of(error)) if type(error) in _ALIKE else _made(error)


def refusal(error: Exception) -> access_pb2.CheckRefusal:
    """Return the status as an answer within a stream."""
    _note(error)
    what = status_of(error)
    return access_pb2.CheckRefusal(
        code=_CODES[what.code].value[0],
        reason=_PREFIX + what.reason,
        message=what.text,
        fields=[field for field, _ in _fields(error)],
    )


@functools.cache
def _made_once(what: ErrorStatus) -> grpc.Status:
    """Return the status of equal errors from a cache, because a flood causes thousands a second."""
    return _made(next(kind() for kind in _ALIKE if TABLE[kind] is what))


def _made(error: Exception) -> grpc.Status:
    status: grpc.Status = rpc_status.to_status(_status(error))
    return status


def _status(error: Exception) -> status_pb2.Status:
    what = status_of(error)
    info = error_details_pb2.ErrorInfo(reason=what.reason, domain=DOMAIN, metadata=_metadata(error))
    details: list[Message] = [info]
    fields = _fields(error)
    if fields:
        bad = error_details_pb2.BadRequest()
        for field, description in fields:
            bad.field_violations.add(field=field, description=description)
        details.append(bad)
    if what.code is Code.UNAVAILABLE:
        wait = duration_pb2.Duration()
        wait.FromMilliseconds(_wait_ms(error))
        details.append(error_details_pb2.RetryInfo(retry_delay=wait))
    status = status_pb2.Status(code=_CODES[what.code].value[0], message=what.text)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _wait_ms(error: Exception) -> int:
    if isinstance(error, audit.RolledBack):
        return RECOVERY_MS
    if isinstance(error, audit.PersonsTooFast):
        return max(RETRY_MS, math.ceil(error.wait_s * 1_000))
    return RETRY_MS


def _fields(error: Exception) -> list[tuple[str, str]]:
    if isinstance(error, InvalidRequest):
        violations = error.violations[:_MAX_FIELDS]
        return [(one.field, one.message[: _MAX_TEXTS // len(violations)]) for one in violations]
    if isinstance(error, VerbNotApplicable):
        return [(field, "does not fit the type of the resource") for field in error.fields[:_MAX_FIELDS]]
    if isinstance(error, audit.PersonsTooMany):
        return [("persons", f"names more than {error.limit} persons that are new to the log: split the request")]
    if isinstance(error, diagnostics.ReceiptInvalid):
        return [(error.detail, "must be between the publication of the notice and now")]
    if isinstance(error, authz.PolicyInvalid):
        return [(f"line {one.line}", one.message[:_MAX_TEXT]) for one in error.errors[:_MAX_FIELDS]]
    return []


def _metadata(error: Exception) -> dict[str, str]:
    metadata: dict[str, str] = {}
    match error:
        case authz.SubjectNotPermitted():
            metadata["decision"] = error.decision
        case StreamLimitExceeded():
            metadata["limit"] = error.limit
        case authz.PolicyRevisionMismatch():
            metadata["revision"] = str(error.revision)
        case authz.PolicyInvalid():
            metadata["errors"] = str(len(error.errors))
        case audit.LogDamaged(indexes=(_, *_)):
            metadata["entries"] = error.entries()
        case diagnostics.DiagnosticsError() if error.detail and not _fields(error):
            metadata[_DETAIL.get(type(error), "field")] = error.detail
    return metadata


def _note(error: Exception) -> None:
    """Write a fault of the service into the text log, as class names and code places only."""
    if status_of(error) is INTERNAL:
        where = place_of(error.__traceback__)
        event = _EVENTS.get(type(error), "internal_fault")
        log_id = getattr(error, "log", None)
        structlog.get_logger().error(event, error=type(error).__name__, where=where, log=log_id)

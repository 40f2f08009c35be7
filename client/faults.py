"""From errors of gRPC to errors of the client."""

import re
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from linewarden.client.errors import (
    ClientError,
    DeadlineExceeded,
    KeyRefused,
    QuestionInvalid,
    Unavailable,
    Untrusted,
)

_DOMAIN = "linewarden"
_TLS = re.compile(
    r"certificate_verify_failed|hostname verification|not in peer certificate|wrong_version_number|handshak|ssl_error",
    re.IGNORECASE,
)
_KINDS: dict[str, type[ClientError]] = {
    "INVALID_ARGUMENT": QuestionInvalid,
    "UNAUTHENTICATED": KeyRefused,
    "PERMISSION_DENIED": KeyRefused,
    "UNAVAILABLE": Unavailable,
    "CANCELLED": Unavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
}
_TEXTS = {
    "UNAVAILABLE": "the server cannot be reached, or ended the connection: is it running, is the target right?",
    "CANCELLED": "the server ended the call before it answered",
    "DEADLINE_EXCEEDED": "no answer arrived in time; a record may exist, so repeat the request id when asking again",
    "UNIMPLEMENTED": "the server does not know this call: is it a Linewarden of this version?",
    "RESOURCE_EXHAUSTED": "a message is larger than the server or the client takes: ask for fewer items",
}


def error_of(error: grpc.RpcError, request_id: str = "") -> ClientError:
    """Return the error of a call. Only the text of a Linewarden is repeated, because gRPC's own names addresses."""
    code = error.code().name if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else "UNKNOWN"
    if (info := _details(error)) is not None:
        return _KINDS.get(code, ClientError)(_told(error, info), code=code, request_id=request_id, **info)
    if code == "UNAVAILABLE" and _TLS.search(error.details() or ""):
        return Untrusted(
            "there is no TLS connection to a server that can be trusted: check its certificate, the authority `ca`, "
            "and the client's certificate if the server requires one",
            code=code,
            request_id=request_id,
        )
    text = _TEXTS.get(code, f"the call failed with {code}, and not by a Linewarden: is the target right?")
    return _KINDS.get(code, ClientError)(text, code=code, request_id=request_id)


def refusal_error(refusal: Any, request_id: str) -> ClientError:
    """Return the error for a CheckRefusal of a stream."""
    code = next((one.name for one in grpc.StatusCode if one.value[0] == refusal.code), "UNKNOWN")
    reason = _reason_name(refusal.reason)
    fields = tuple((field, "breaks its rule") for field in refusal.fields)
    return _KINDS.get(code, ClientError)(
        refusal.message, code=code, reason=reason, fields=fields, request_id=request_id
    )


def _reason_name(number: int) -> str:
    from linewarden.v1 import error_reason_pb2  # noqa: PLC0415 - only a refusal in a stream needs it

    known = error_reason_pb2.ErrorReason
    return known.Name(number).removeprefix("ERROR_REASON_") if number in known.values() else str(number)


def _details(error: grpc.RpcError) -> dict[str, Any] | None:
    """Return the parts of the ErrorInfo, BadRequest and RetryInfo of a Linewarden; None if they are missing."""
    try:
        status: Any = rpc_status.from_call(error)
    except ValueError:  # the details contradict the status, so they are not those of a Linewarden
        return None
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details if status is not None else ():
        if not (detail.Unpack(info) or detail.Unpack(bad)):
            detail.Unpack(retry)
    if info.domain != _DOMAIN:
        return None
    return {
        "reason": info.reason,
        "metadata": dict(info.metadata),
        "fields": tuple((one.field, one.description) for one in bad.field_violations),
        "retry_after_s": retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9,
    }


def _told(error: Any, info: dict[str, Any]) -> str:
    return "\n  ".join((error.details() or info["reason"], *(f"{field}: {rule}" for field, rule in info["fields"])))

"""What a caller is told when something is refused: one table from exceptions to statuses, reasons and fixed texts.

    ServerError
    ├── InvalidRequest        fields that break their rules, by path
    ├── VerbNotApplicable     the verb does not fit the type of the resource
    ├── CredentialsInvalid    no key, or an unknown, wrong, expired or revoked one
    ├── KeysNotOurs           stored API keys are not those that the service wrote
    ├── CallerNotPermitted    the key is not bound to this tenant and method
    ├── SubjectNotPermitted   policy does not let this person administer or audit
    ├── StreamLimitExceeded   the stream had as many messages or as much time as it may, or was silent for too long
    └── ServerStopping        the server stops and takes no more requests

Texts are fixed and poor: the log has the detail. Nothing of a request is ever repeated in an error.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from linewarden.audit import errors as audit
from linewarden.authz import errors as authz
from linewarden.diagnostics import errors as diagnostics
from linewarden.server.log import place_of
from linewarden.v1 import access_pb2

DOMAIN = "linewarden"

#: When a caller that was told UNAVAILABLE may come again, milliseconds.
RETRY_MS = 200

#: The same where an operator must act first.
RECOVERY_MS = 10_000

#: As much as is sure to fit into the metadata that callers take by default, 8 KiB; a status that does not fit is lost.
_MAX_FIELDS = 24
_DETAIL = {
    diagnostics.StateConflict: "state",
    diagnostics.LimitTooHigh: "limit",
    diagnostics.TooManyCaptures: "of",
}
_MAX_TEXT = 100
_PREFIX = "ERROR_REASON_"


class ServerError(Exception):
    """The root of everything this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks its rule: the path, the id of the rule, and what it says. Never the value."""

    field: str
    rule: str
    message: str


class InvalidRequest(ServerError):
    """Fields break their rules."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__(f"{len(violations)} field(s) break their rules")
        self.violations = violations


class VerbNotApplicable(ServerError):
    """The verb does not fit the type of the resource."""


class CredentialsInvalid(ServerError):
    """No key, or an unknown, wrong, expired or revoked one."""


class KeysNotOurs(ServerError, audit.LogUnavailable):
    """What is stored as API keys is not what the service wrote: nobody can be told from anybody."""


class CallerNotPermitted(ServerError):
    """The key is not bound to this tenant and method."""


class SubjectNotPermitted(ServerError):
    """Policy does not let this person do so. `decision` is the record of the denial."""

    def __init__(self, decision: str) -> None:
        super().__init__("the policy does not permit it")
        self.decision = decision


class StreamLimitExceeded(ServerError):
    """The stream had as many messages or as much time as it may, or was silent for too long. `limit` says which."""

    LIMITS = frozenset(("messages", "seconds", "idle"))

    def __init__(self, limit: str) -> None:
        super().__init__("the stream has reached its limit")
        self.limit = limit if limit in self.LIMITS else ""


class ServerStopping(ServerError):
    """The server stops. Nothing was recorded."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller is told of an exception."""

    status: grpc.StatusCode
    reason: str
    text: str


_INTERNAL = Told(grpc.StatusCode.UNAVAILABLE, "INTERNAL", "a fault of the service; nothing was allowed")
_EVENTS = {KeysNotOurs: "keys_not_ours", authz.PolicyNotOurs: "policy_not_ours"}
_UNAVAILABLE = "the record could not be made durable in time; nothing was allowed"

#: From the most special class to the most general.
TABLE: dict[type[Exception], Told] = {
    InvalidRequest: Told(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "fields break their rules"),
    VerbNotApplicable: Told(
        grpc.StatusCode.INVALID_ARGUMENT, "VERB_NOT_APPLICABLE", "the verb does not fit the type of the resource"
    ),
    audit.TenantUnknown: Told(grpc.StatusCode.INVALID_ARGUMENT, "TENANT_UNKNOWN", "there is no such tenant"),
    CredentialsInvalid: Told(
        grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID", "the API key is missing, wrong, expired or revoked"
    ),
    CallerNotPermitted: Told(
        grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_PERMITTED", "the API key is not bound to this tenant and method"
    ),
    SubjectNotPermitted: Told(
        grpc.StatusCode.PERMISSION_DENIED, "SUBJECT_NOT_PERMITTED", "the policy does not let this person do so"
    ),
    StreamLimitExceeded: Told(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "STREAM_LIMIT_EXCEEDED", "the stream has reached its limit; open another"
    ),
    ServerStopping: Told(
        grpc.StatusCode.UNAVAILABLE, "STOPPING", "the server stops; nothing was recorded, ask another"
    ),
    audit.PersonsTooMany: Told(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "fields break their rules"),
    audit.PersonsTooFast: Told(
        grpc.StatusCode.UNAVAILABLE, "OVERLOADED", "the tenant names new persons too fast; nothing was recorded"
    ),
    audit.LogOverloaded: Told(
        grpc.StatusCode.UNAVAILABLE, "OVERLOADED", "too many requests wait; nothing was recorded"
    ),
    audit.LogBusy: Told(grpc.StatusCode.UNAVAILABLE, "LOG_UNAVAILABLE", _UNAVAILABLE),
    audit.LogUnavailable: Told(grpc.StatusCode.UNAVAILABLE, "LOG_UNAVAILABLE", _UNAVAILABLE),
    authz.PolicyInvalid: Told(grpc.StatusCode.INVALID_ARGUMENT, "POLICY_INVALID", "statements of the policy are wrong"),
    authz.PolicyLockout: Told(grpc.StatusCode.INVALID_ARGUMENT, "POLICY_LOCKOUT", str(authz.PolicyLockout())),
    authz.PolicyRevisionMismatch: Told(
        grpc.StatusCode.ABORTED, "POLICY_REVISION_MISMATCH", "the policy is at another revision"
    ),
    audit.PageTokenInvalid: Told(
        grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "the page token is not one of this query"
    ),
    audit.EntryNotFound: Told(grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND", "the log has no entry at this index"),
    audit.RolledBack: Told(
        grpc.StatusCode.UNAVAILABLE,
        "LOG_ROLLED_BACK",
        "the log is older than it was seen before; nothing was allowed",
    ),
    audit.LogDamaged: Told(
        grpc.StatusCode.DATA_LOSS, "LOG_DAMAGED", "a stored entry is not the one that was hashed when it was appended"
    ),
    diagnostics.NotEnabled: Told(
        grpc.StatusCode.FAILED_PRECONDITION, "DIAGNOSTICS_NOT_ENABLED", "the customer has not enabled diagnostics"
    ),
    diagnostics.ResponsibilitiesNotAccepted: Told(
        grpc.StatusCode.INVALID_ARGUMENT, "RESPONSIBILITIES_NOT_ACCEPTED", "every responsibility must be accepted"
    ),
    diagnostics.NotTheCustomer: Told(
        grpc.StatusCode.PERMISSION_DENIED, "NOT_THE_CUSTOMER", "only the customer's own people can do this"
    ),
    diagnostics.RecordNotFound: Told(
        grpc.StatusCode.NOT_FOUND, "DIAGNOSTICS_RECORD_NOT_FOUND", "there is no such notice, attestation or session"
    ),
    diagnostics.NoticeNotCurrent: Told(
        grpc.StatusCode.FAILED_PRECONDITION, "NOTICE_NOT_CURRENT", "the notice has another version by now"
    ),
    diagnostics.ReceiptInvalid: Told(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "fields break their rules"),
    diagnostics.AttestationInvalid: Told(
        grpc.StatusCode.INVALID_ARGUMENT,
        "ATTESTATION_INVALID",
        "the statement contradicts itself, its notice or the clock",
    ),
    diagnostics.AttestationMissing: Told(
        grpc.StatusCode.FAILED_PRECONDITION, "ATTESTATION_MISSING", "no attestation in force covers this"
    ),
    diagnostics.ApprovalMissing: Told(
        grpc.StatusCode.FAILED_PRECONDITION, "APPROVAL_MISSING", "it is not approved, or no longer"
    ),
    diagnostics.SelfApproval: Told(
        grpc.StatusCode.PERMISSION_DENIED, "SELF_APPROVAL", "nobody approves what they asked for themselves"
    ),
    diagnostics.StateConflict: Told(
        grpc.StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT", "the state of the record does not permit this"
    ),
    diagnostics.LimitTooHigh: Told(grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_TOO_HIGH", "a limit passes its maximum"),
    diagnostics.SelectorNotPermitted: Told(
        grpc.StatusCode.PERMISSION_DENIED, "SELECTOR_NOT_PERMITTED", "that is not the tenant's to look at"
    ),
    diagnostics.FilterInvalid: Told(
        grpc.StatusCode.INVALID_ARGUMENT, "FILTER_INVALID", "the filter expression cannot be used"
    ),
    diagnostics.TooManyCaptures: Told(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CAPTURES", "the tenant has as many captures as it may"
    ),
    diagnostics.CaseMissing: Told(grpc.StatusCode.INVALID_ARGUMENT, "CASE_MISSING", "purpose and case must be stated"),
    diagnostics.ReaderUnusable: Told(
        grpc.StatusCode.INVALID_ARGUMENT, "READER_INVALID", "the public key of a reader cannot be used"
    ),
    diagnostics.DiagnosisUnavailable: Told(
        grpc.StatusCode.UNAVAILABLE, "DIAGNOSIS_UNAVAILABLE", "what the diagnosis needs cannot be used now"
    ),
    diagnostics.DiagnosticsError: _INTERNAL,
    # Of these the server is itself the cause, or nobody outside may hear of them.
    KeysNotOurs: _INTERNAL,
    authz.PolicyNotOurs: _INTERNAL,
    audit.PersonsMet: _INTERNAL,
    audit.RevisionMoved: _INTERNAL,
    audit.ClockBehind: _INTERNAL,
    audit.EffectRefused: _INTERNAL,
    audit.EntryTooLarge: _INTERNAL,
    audit.UnsafeDatabase: _INTERNAL,
    audit.VerificationFailed: _INTERNAL,
    audit.AuditError: _INTERNAL,
    authz.PolicyDiverged: _INTERNAL,
    authz.CasbinUnsuitable: _INTERNAL,
    authz.AuthzError: _INTERNAL,
    ServerError: _INTERNAL,
}

#: Errors whose status is the same each time.
_ALIKE = (CredentialsInvalid, CallerNotPermitted, ServerStopping, audit.LogOverloaded)


def told(error: Exception) -> Told:
    """What a caller is told of an exception; of an unknown one, no more than that it is our fault."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return _INTERNAL


def reason_of(error: Exception) -> str:
    """The reason as it stands in the record of a refusal, in lower case."""
    return told(error).reason.lower()


async def abort(context: "grpc.aio.ServicerContext[Any, Any]", error: Exception) -> NoReturn:
    """End the call with the status that fits."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    _note(error)
    await context.abort_with_status(_made_once(told(error)) if type(error) in _ALIKE else _made(error))
    raise AssertionError("abort returned")


def refusal(error: Exception) -> access_pb2.CheckRefusal:
    """The same as an answer within a stream."""
    _note(error)
    what = told(error)
    return access_pb2.CheckRefusal(
        code=what.status.value[0],
        reason=_PREFIX + what.reason,
        message=what.text,
        fields=[field for field, _ in _fields(error)],
    )


@functools.cache
def _made_once(what: Told) -> grpc.Status:
    """The status of errors that are all alike: under a flood there are thousands a second."""
    return _made(next(kind() for kind in _ALIKE if TABLE[kind] is what))


def _made(error: Exception) -> grpc.Status:
    status: grpc.Status = rpc_status.to_status(_status(error))
    return status


def _status(error: Exception) -> status_pb2.Status:
    what = told(error)
    info = error_details_pb2.ErrorInfo(reason=what.reason, domain=DOMAIN, metadata=_metadata(error))
    details: list[Message] = [info]
    fields = _fields(error)
    if fields:
        bad = error_details_pb2.BadRequest()
        for field, description in fields:
            bad.field_violations.add(field=field, description=description)
        details.append(bad)
    if what.status is grpc.StatusCode.UNAVAILABLE:
        wait = duration_pb2.Duration()
        wait.FromMilliseconds(_wait_ms(error))
        details.append(error_details_pb2.RetryInfo(retry_delay=wait))
    status = status_pb2.Status(code=what.status.value[0], message=what.text)
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
        return [(one.field, one.message[:_MAX_TEXT]) for one in error.violations[:_MAX_FIELDS]]
    if isinstance(error, audit.PersonsTooMany):
        return [("persons", f"names more than {error.limit} persons whom the log does not know: ask in parts")]
    if isinstance(error, diagnostics.ReceiptInvalid):
        return [(error.detail, "must be between the publication of the notice and now")]
    if isinstance(error, authz.PolicyInvalid):
        return [(f"line {one.line}", one.message[:_MAX_TEXT]) for one in error.errors[:_MAX_FIELDS]]
    return []


def _metadata(error: Exception) -> dict[str, str]:
    if isinstance(error, SubjectNotPermitted):
        return {"decision": error.decision}
    if isinstance(error, StreamLimitExceeded):
        return {"limit": error.limit}
    if isinstance(error, authz.PolicyRevisionMismatch):
        return {"revision": str(error.revision)}
    if isinstance(error, diagnostics.DiagnosticsError) and error.detail and not _fields(error):
        return {_DETAIL.get(type(error), "field"): error.detail}
    if isinstance(error, authz.PolicyInvalid):
        return {"errors": str(len(error.errors))}
    return {}


def _note(error: Exception) -> None:
    """Our own faults go into the text log, by the names of classes and places alone."""
    if told(error) is _INTERNAL:
        where = place_of(error.__traceback__)
        event = _EVENTS.get(type(error), "internal_fault")
        log = getattr(error, "log", None)
        structlog.get_logger().error(event, error=type(error).__name__, where=where, log=log)

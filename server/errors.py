"""Error statuses: one table from exceptions to codes, reasons and fixed texts.

    ServerError
    ├── InvalidRequest        fields that break their rules, by path
    ├── VerbNotApplicable     the verb does not fit the type of the resource
    ├── CredentialsInvalid    no key, or an unknown, wrong, expired or revoked one
    ├── KeysNotOurs           stored API keys are not those that the service wrote
    ├── CallerNotPermitted    the key is not bound to this tenant and method
    ├── StreamLimitExceeded   the stream had as many messages or as much time as it may, or was silent for too long
    └── ServerStopping        the server stops and takes no more requests

Texts are fixed and short. The log has the details. An error never repeats a value of a request.
"""

from dataclasses import dataclass
from enum import StrEnum

from linewarden.audit import errors as audit
from linewarden.authz import errors as authz
from linewarden.diagnostics import errors as diagnostics


class ServerError(Exception):
    """The root of all errors that this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A field that breaks a rule: the path, the id of the rule, and its demand. Never the value."""

    field: str
    rule: str
    message: str


class InvalidRequest(ServerError):
    """Fields break their rules."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__(f"{len(violations)} field(s) break their rules")
        self.violations = violations


class VerbNotApplicable(ServerError):
    """The verb does not fit the type of the resource. `fields` are the paths of the verbs."""

    def __init__(self, fields: tuple[str, ...] = ("verb",)) -> None:
        super().__init__(f"{len(fields)} verb(s) do not fit the type of their resource")
        self.fields = fields


class CredentialsInvalid(ServerError):
    """No key, or an unknown, wrong, expired or revoked one."""


class KeysNotOurs(ServerError, audit.LogUnavailable):
    """The stored API keys are not those that the service wrote, so that no caller can be authenticated."""


class CallerNotPermitted(ServerError):
    """The key is not bound to this tenant and method."""


class StreamLimitExceeded(ServerError):
    """The stream has reached its limit of messages, time or silence. `limit` says which."""

    LIMITS = frozenset(("messages", "seconds", "idle"))

    def __init__(self, limit: str) -> None:
        super().__init__("the stream has reached its limit")
        self.limit = limit if limit in self.LIMITS else ""


class ServerStopping(ServerError):
    """The server stops. Nothing was recorded."""


class Code(StrEnum):
    """The canonical codes of google.rpc.Code that callers are sent, whatever protocol they speak."""

    ABORTED = "ABORTED"
    DATA_LOSS = "DATA_LOSS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class ErrorStatus:
    """The status of an exception for the caller."""

    code: Code
    reason: str
    text: str


#: A fault of the service itself, without details.
INTERNAL = ErrorStatus(Code.UNAVAILABLE, "INTERNAL", "a fault of the service; nothing was allowed")
_UNAVAILABLE = "the record could not be made durable in time; nothing was allowed"

#: From the most special class to the most general.
TABLE: dict[type[Exception], ErrorStatus] = {
    InvalidRequest: ErrorStatus(Code.INVALID_ARGUMENT, "INVALID_REQUEST", "fields break their rules"),
    VerbNotApplicable: ErrorStatus(
        Code.INVALID_ARGUMENT, "VERB_NOT_APPLICABLE", "the verb does not fit the type of the resource"
    ),
    audit.TenantUnknown: ErrorStatus(Code.INVALID_ARGUMENT, "TENANT_UNKNOWN", "there is no such tenant"),
    CredentialsInvalid: ErrorStatus(
        Code.UNAUTHENTICATED, "CREDENTIALS_INVALID", "the API key is missing, wrong, expired or revoked"
    ),
    CallerNotPermitted: ErrorStatus(
        Code.PERMISSION_DENIED, "CALLER_NOT_PERMITTED", "the API key is not bound to this tenant and method"
    ),
    authz.SubjectNotPermitted: ErrorStatus(
        Code.PERMISSION_DENIED, "SUBJECT_NOT_PERMITTED", "the policy does not let this person do so"
    ),
    StreamLimitExceeded: ErrorStatus(
        Code.RESOURCE_EXHAUSTED, "STREAM_LIMIT_EXCEEDED", "the stream has reached its limit; open another"
    ),
    ServerStopping: ErrorStatus(Code.UNAVAILABLE, "STOPPING", "the server stops; nothing was recorded, ask another"),
    audit.PersonsTooMany: ErrorStatus(Code.INVALID_ARGUMENT, "INVALID_REQUEST", "fields break their rules"),
    audit.PersonsTooFast: ErrorStatus(
        Code.UNAVAILABLE, "OVERLOADED", "the tenant names new persons too fast; nothing was recorded"
    ),
    audit.LogOverloaded: ErrorStatus(Code.UNAVAILABLE, "OVERLOADED", "too many requests wait; nothing was recorded"),
    audit.LogBusy: ErrorStatus(Code.UNAVAILABLE, "LOG_UNAVAILABLE", _UNAVAILABLE),
    audit.LogUnavailable: ErrorStatus(Code.UNAVAILABLE, "LOG_UNAVAILABLE", _UNAVAILABLE),
    authz.PolicyInvalid: ErrorStatus(Code.INVALID_ARGUMENT, "POLICY_INVALID", "statements of the policy are wrong"),
    authz.PolicyLockout: ErrorStatus(Code.INVALID_ARGUMENT, "POLICY_LOCKOUT", str(authz.PolicyLockout())),
    authz.PolicyRevisionMismatch: ErrorStatus(
        Code.ABORTED, "POLICY_REVISION_MISMATCH", "the policy is at another revision"
    ),
    audit.PageTokenInvalid: ErrorStatus(
        Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "the page token is not one of this query"
    ),
    audit.EntryNotFound: ErrorStatus(Code.NOT_FOUND, "ENTRY_NOT_FOUND", "the log has no entry at this index"),
    audit.RolledBack: ErrorStatus(
        Code.UNAVAILABLE,
        "LOG_ROLLED_BACK",
        "the log is older than it was seen before; nothing was allowed",
    ),
    audit.LogDamaged: ErrorStatus(
        Code.DATA_LOSS, "LOG_DAMAGED", "a stored entry is missing, or is not the one that was hashed"
    ),
    diagnostics.NotEnabled: ErrorStatus(
        Code.FAILED_PRECONDITION, "DIAGNOSTICS_NOT_ENABLED", "the customer has not enabled diagnostics"
    ),
    diagnostics.ResponsibilitiesNotAccepted: ErrorStatus(
        Code.INVALID_ARGUMENT, "RESPONSIBILITIES_NOT_ACCEPTED", "every responsibility must be accepted"
    ),
    diagnostics.NotTheCustomer: ErrorStatus(
        Code.PERMISSION_DENIED, "NOT_THE_CUSTOMER", "only the customer's own people can do this"
    ),
    diagnostics.RecordNotFound: ErrorStatus(
        Code.NOT_FOUND, "DIAGNOSTICS_RECORD_NOT_FOUND", "there is no such notice, attestation or capture"
    ),
    diagnostics.NoticeNotCurrent: ErrorStatus(
        Code.FAILED_PRECONDITION, "NOTICE_NOT_CURRENT", "the notice has another version by now"
    ),
    diagnostics.ReceiptInvalid: ErrorStatus(Code.INVALID_ARGUMENT, "INVALID_REQUEST", "fields break their rules"),
    diagnostics.AttestationInvalid: ErrorStatus(
        Code.INVALID_ARGUMENT,
        "ATTESTATION_INVALID",
        "the statement contradicts itself, its notice or the clock",
    ),
    diagnostics.AttestationMissing: ErrorStatus(
        Code.FAILED_PRECONDITION, "ATTESTATION_MISSING", "no attestation in force covers this"
    ),
    diagnostics.ApprovalMissing: ErrorStatus(
        Code.FAILED_PRECONDITION, "APPROVAL_MISSING", "it is not approved, or no longer"
    ),
    diagnostics.SelfApproval: ErrorStatus(
        Code.PERMISSION_DENIED, "SELF_APPROVAL", "a second person must approve; you requested this capture"
    ),
    diagnostics.StateConflict: ErrorStatus(
        Code.FAILED_PRECONDITION, "STATE_CONFLICT", "the state of the record does not permit this"
    ),
    diagnostics.LimitTooHigh: ErrorStatus(Code.INVALID_ARGUMENT, "LIMIT_TOO_HIGH", "a limit passes its maximum"),
    diagnostics.SelectorNotPermitted: ErrorStatus(
        Code.PERMISSION_DENIED, "SELECTOR_NOT_PERMITTED", "that is not the tenant's to look at"
    ),
    diagnostics.FilterInvalid: ErrorStatus(
        Code.INVALID_ARGUMENT, "FILTER_INVALID", "the filter expression cannot be used"
    ),
    diagnostics.TooManyCaptures: ErrorStatus(
        Code.RESOURCE_EXHAUSTED, "TOO_MANY_CAPTURES", "the tenant has as many captures as it may"
    ),
    diagnostics.CaseMissing: ErrorStatus(Code.INVALID_ARGUMENT, "CASE_MISSING", "purpose and case must be stated"),
    diagnostics.ReaderUnusable: ErrorStatus(
        Code.INVALID_ARGUMENT, "READER_INVALID", "the public key of a reader cannot be used"
    ),
    diagnostics.DiagnosisUnavailable: ErrorStatus(
        Code.UNAVAILABLE, "DIAGNOSIS_UNAVAILABLE", "what the diagnosis needs cannot be used now"
    ),
    diagnostics.DiagnosticsError: INTERNAL,
    # Faults of the server itself, and errors that callers must not see.
    KeysNotOurs: INTERNAL,
    authz.PolicyNotOurs: INTERNAL,
    audit.PersonsMet: INTERNAL,
    audit.RevisionMoved: INTERNAL,
    audit.ClockBehind: INTERNAL,
    audit.EffectRefused: INTERNAL,
    audit.EntryTooLarge: INTERNAL,
    audit.UnsafeDatabase: INTERNAL,
    audit.VerificationFailed: INTERNAL,
    audit.AuditError: INTERNAL,
    authz.AddressInvalid: INTERNAL,
    authz.PolicyDiverged: INTERNAL,
    authz.CasbinUnsuitable: INTERNAL,
    authz.AuthzError: INTERNAL,
    ServerError: INTERNAL,
}


def status_of(error: Exception) -> ErrorStatus:
    """Return the status of an exception. An unknown exception is INTERNAL."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return INTERNAL


def reason_of(error: Exception) -> str:
    """Return the reason as the record of a refusal has it, in lower case."""
    return status_of(error).reason.lower()

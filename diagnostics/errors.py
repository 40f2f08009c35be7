"""Errors of diagnostics. No text repeats a name, an address or a selector.

DiagnosticsError
├── NotEnabled                   the customer has not enabled diagnostics
├── ResponsibilitiesNotAccepted  not every responsibility was accepted
├── NotTheCustomer               a person of another tenant, where only persons of the customer may act
├── RecordNotFound               no such notice, attestation or capture
├── NoticeNotCurrent             the notice has a newer version
├── ReceiptInvalid               a receipt is dated before its notice, or later than now; names the field
├── AttestationInvalid           the statement contradicts itself, its notice or the clock; names the field
├── AttestationMissing           no attestation in force covers this
├── ApprovalMissing              the capture is not approved, or the approval lapsed
├── SelfApproval                 the approver is the person who requested it
├── StateConflict                the state does not permit this; names the state
├── LimitTooHigh                 a limit passes its maximum; names the limit
├── SelectorNotPermitted         interface, trunk or address is not one of the tenant's; names the field
├── FilterInvalid                the filter expression does not compile, or is combined with fields it replaces
├── TooManyCaptures              the tenant has reached a maximum; names which one
├── CaseMissing                  purpose or case is missing
├── ReaderUnusable               the public key of a reader is invalid
└── DiagnosisUnavailable         worker, mail server or evidence cannot be used now
"""


class DiagnosticsError(Exception):
    """The root of all errors that this package raises on purpose. `detail` is a word of the contract, or empty."""

    detail = ""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = str(detail)


class NotEnabled(DiagnosticsError):
    """The customer has not enabled diagnostics."""


class ResponsibilitiesNotAccepted(DiagnosticsError):
    """Not every responsibility was accepted."""


class NotTheCustomer(DiagnosticsError):
    """A person of another tenant cannot do this, whatever the policy says."""


class RecordNotFound(DiagnosticsError):
    """There is no such notice, attestation or capture."""


class NoticeNotCurrent(DiagnosticsError):
    """The notice has a newer version."""


class ReceiptInvalid(DiagnosticsError):
    """A receipt is dated before its notice was published, or later than now. `detail` is the field."""


class AttestationInvalid(DiagnosticsError):
    """The statement contradicts itself, its notice or the clock. `detail` is the field."""


class AttestationMissing(DiagnosticsError):
    """No attestation in force covers this."""


class ApprovalMissing(DiagnosticsError):
    """The capture is not approved, the approval lapsed, or the approver may no longer approve."""


class SelfApproval(DiagnosticsError):
    """The approver is the person who requested the capture."""


class StateConflict(DiagnosticsError):
    """The state does not permit this. `detail` is the state."""


class LimitTooHigh(DiagnosticsError):
    """A limit passes its maximum. `detail` is the limit."""


class SelectorNotPermitted(DiagnosticsError):
    """An interface, trunk or address is not one of the tenant's. `detail` is the field."""


class FilterInvalid(DiagnosticsError):
    """The filter expression does not compile, or it is combined with selector fields that it replaces."""


class TooManyCaptures(DiagnosticsError):
    """The tenant has reached a maximum of captures. `detail` is running, waiting or stored."""


class CaseMissing(DiagnosticsError):
    """Purpose or case is missing."""


class ReaderUnusable(DiagnosticsError):
    """The public key of a reader is invalid."""


class DiagnosisUnavailable(DiagnosticsError):
    """A worker, the mail server or the evidence cannot be used now."""

"""What can go wrong around a diagnosis. No text repeats a name, an address or a selector.

DiagnosticsError
├── NotEnabled                   the customer has not enabled diagnostics
├── ResponsibilitiesNotAccepted  not every responsibility was accepted
├── NotTheCustomer               a person of another tenant, where only the customer's own may act
├── RecordNotFound               no such notice, attestation or capture
├── NoticeNotCurrent             the notice has another version by now
├── ReceiptInvalid               a receipt is dated before its notice, or later than now; names the field
├── AttestationInvalid           the statement contradicts itself, its notice or the clock; names the field
├── AttestationMissing           no attestation in force covers this
├── ApprovalMissing              nobody approved it, or the approval lapsed
├── SelfApproval                 the approver is the one who asked
├── StateConflict                the state does not permit this; names the state
├── LimitTooHigh                 a limit passes its maximum; names the limit
├── SelectorNotPermitted         interface, trunk or address is not one of the tenant's; names the field
├── FilterInvalid                the filter expression is none
├── TooManyCaptures              the tenant has as many as it may; names of what
├── CaseMissing                  purpose or case is not stated
├── ReaderUnusable               the public key of a reader is none
└── DiagnosisUnavailable         worker, mail server or evidence cannot be used now
"""


class DiagnosticsError(Exception):
    """The root of everything these files raise on purpose. `detail` is a word of the contract, if one is named."""

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
    """The notice has another version by now."""


class ReceiptInvalid(DiagnosticsError):
    """A receipt is dated before its notice was published, or later than now. `detail` is the field."""


class AttestationInvalid(DiagnosticsError):
    """The statement contradicts itself, its notice or the clock. `detail` is the field."""


class AttestationMissing(DiagnosticsError):
    """No attestation in force covers this."""


class ApprovalMissing(DiagnosticsError):
    """Nobody approved it, or the approval lapsed, or its giver may approve no more."""


class SelfApproval(DiagnosticsError):
    """The approver is the one who asked."""


class StateConflict(DiagnosticsError):
    """The state does not permit this. `detail` is the state."""


class LimitTooHigh(DiagnosticsError):
    """A limit passes its maximum. `detail` is the limit."""


class SelectorNotPermitted(DiagnosticsError):
    """An interface, trunk or address is not one of the tenant's. `detail` is the field."""


class FilterInvalid(DiagnosticsError):
    """The filter expression is none, or stands beside what it replaces."""


class TooManyCaptures(DiagnosticsError):
    """The tenant has as many captures as it may. `detail` is of what: running, waiting, stored."""


class CaseMissing(DiagnosticsError):
    """Purpose or case is not stated."""


class ReaderUnusable(DiagnosticsError):
    """The public key of a reader is none."""


class DiagnosisUnavailable(DiagnosticsError):
    """Worker, mail server or evidence cannot be used now."""

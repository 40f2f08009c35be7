"""What can go wrong with a log.

AuditError
├── LogUnavailable      the record could not be made durable in time; whether it exists is not known
│   ├── LogOverloaded   too much waits already; nothing was recorded
│   │   └── PersonsTooFast  the tenant names new persons faster than it may; nothing was recorded
│   ├── LogBusy         another holds the lock of the log or of the database; nothing was recorded
│   └── RolledBack      the log is older than, or differs from, what was seen of it before
├── ClockBehind         the log has an entry of a later time: decide again by a newer clock; nothing was recorded
├── RevisionMoved       a guard did not hold: decide again and append again; nothing was recorded
│   └── PersonsMet      another unit introduced one of the persons first
├── PersonsTooMany      one request names more new persons than it may; nothing was recorded
├── EffectRefused       the change that came with the entries was refused; nothing was recorded
├── TenantUnknown       there is no such tenant
├── EntryNotFound       the log has no entry at that index
├── EntryTooLarge       an entry passes MAX_ENTRY_BYTES
├── PageTokenInvalid    a page token that does not belong to the query
├── LogDamaged          a stored entry is not the one that was hashed when it was appended
├── UnsafeDatabase      the database does not promise what the log needs
└── VerificationFailed  proof, checkpoint, signature or export do not hold together
"""


class AuditError(Exception):
    """The root of everything this package raises on purpose."""


class LogUnavailable(AuditError):
    """The record could not be made durable in time. It may exist: nothing may be answered."""


class LogOverloaded(LogUnavailable):
    """Too many entries wait already. Nothing was recorded."""


class LogBusy(LogUnavailable):
    """The lock of the log, or of the whole database, was not free in time. Nothing was recorded."""


class RolledBack(LogUnavailable):
    """The log is older than, or differs from, what was seen of it before. It gives no answers until it is recovered.

    `log` is its number; `expected` and `found` are numbers of entries.
    """

    def __init__(self, what: str, log_id: int = -1, *, expected: int = 0, found: int = 0) -> None:
        super().__init__(f"log {log_id} {what}: {expected} entries expected, {found} found")
        self.log = log_id
        self.expected = expected
        self.found = found


class ClockBehind(AuditError):
    """The log has an entry whose time is later by more than clocks may differ. Nothing was recorded."""


class PersonsTooFast(LogOverloaded):
    """The tenant names new persons faster than it may. `wait_s` is when there is room for as many."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many new persons")
        self.wait_s = wait_s


class PersonsTooMany(AuditError):
    """One request names more persons that are new to the log than `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} new persons")
        self.limit = limit


class RevisionMoved(AuditError):
    """A guard did not hold under the lock. Nothing was recorded."""


class PersonsMet(RevisionMoved):
    """Another unit introduced one of the persons of this one first. Nothing was recorded; look them up again."""


class EffectRefused(AuditError):
    """The change that came with the entries found a state it cannot be applied to. Nothing was recorded."""


class TenantUnknown(AuditError):
    """There is no log for that tenant."""


class EntryNotFound(AuditError):
    """The log has no entry at that index."""


class EntryTooLarge(AuditError):
    """An entry passes the size that a bundle can hold."""


class PageTokenInvalid(AuditError):
    """The page token is not one of this query."""


class LogDamaged(AuditError):
    """A stored entry is not the one that was hashed when it was appended."""


class UnsafeDatabase(AuditError):
    """The database does not promise what the log needs. The text says which promise is missing."""


class VerificationFailed(AuditError):
    """Proof, checkpoint, signature or export do not hold together. The text says where."""

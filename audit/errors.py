"""The errors of this package.

AuditError
├── LogUnavailable      the record could not be made durable in time, and it may or may not exist
│   ├── LogOverloaded   too many entries wait; nothing was recorded
│   │   └── PersonsTooFast  the tenant introduces persons faster than it may; nothing was recorded
│   ├── LogBusy         another process or thread holds a lock of the database; nothing was recorded
│   ├── RolledBack      the log is older than, or differs from, the state seen before
│   └── LogDamaged      a stored entry is missing, or is not the one that was hashed when it was appended
├── ClockBehind         the log has an entry of a later time; nothing was recorded, decide again by a newer clock
├── RevisionMoved       a guard did not hold; nothing was recorded, decide and append again
│   └── PersonsMet      another unit introduced one of the persons first
├── PersonsTooMany      one request introduces more persons than it may; nothing was recorded
├── EffectRefused       the change of the unit does not fit the stored state; nothing was recorded
├── TenantUnknown       there is no such tenant
├── EntryNotFound       the log has no entry at that index
├── EntryTooLarge       an entry has MAX_ENTRY_BYTES or more
├── PageTokenInvalid    the page token does not belong to the query
├── UnsafeDatabase      the database does not guarantee what the log needs
└── VerificationFailed  a proof, checkpoint, signature or export is invalid
"""

from collections.abc import Iterable, Iterator

#: The longest text of damaged entries.
_MAX_ENTRIES_TEXT = 64


class AuditError(Exception):
    """The base of all errors that this package raises on purpose."""


class LogUnavailable(AuditError):
    """The record could not be made durable in time. It may or may not exist, so no answer may be given."""


class LogOverloaded(LogUnavailable):
    """Too many entries wait to be recorded. Nothing was recorded."""


class LogBusy(LogUnavailable):
    """The lock of the log, or of the whole database, was not free in time. Nothing was recorded."""


class RolledBack(LogUnavailable):
    """The log is older than, or differs from, the state seen before. It gives no answers until it is recovered.

    `log` is its number; `expected` and `found` are numbers of entries.
    """

    def __init__(self, what: str, log_id: int = -1, *, expected: int = 0, found: int = 0) -> None:
        super().__init__(f"log {log_id} {what}: {expected} entries expected, {found} found")
        self.log = log_id
        self.expected = expected
        self.found = found


class LogDamaged(LogUnavailable):
    """A stored entry is missing, or is not the one that was hashed when it was appended.

    `indexes` are the damaged entries in ascending order. They are a whole tile of 256 if it is not known which of these
    entries is damaged. They are empty if the damage cannot be attributed to entries.
    """

    def __init__(self, what: str, indexes: Iterable[int] = ()) -> None:
        super().__init__(what)
        self.indexes = tuple(indexes)

    def entries(self) -> str:
        """Return the indexes as text: ranges such as `7` and `0-255`, joined by commas, in at most 64 characters.

        Ranges that have no room are left out.
        """
        text = ""
        for first, last in _ranges(self.indexes):
            one = str(first) if first == last else f"{first}-{last}"
            if len(text) + len(one) >= _MAX_ENTRIES_TEXT:
                break
            text += f",{one}" if text else one
        return text


class ClockBehind(AuditError):
    """The log has an entry with a later time than clock differences explain. Nothing was recorded."""


class PersonsTooFast(LogOverloaded):
    """The tenant introduces persons faster than it may. `wait_s` is the time until it may introduce these, seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"the tenant introduced too many persons recently: try again in {wait_s:.0f} s")
        self.wait_s = wait_s


class PersonsTooMany(AuditError):
    """One request introduces more than `limit` persons."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request names more than {limit} persons new to the log: split it")
        self.limit = limit


class RevisionMoved(AuditError):
    """A guard did not hold under the lock. Nothing was recorded."""


class PersonsMet(RevisionMoved):
    """Another unit introduced one of this unit's persons first. Nothing was recorded; look the persons up again."""


class EffectRefused(AuditError):
    """The change that accompanies the entries does not fit the stored state. Nothing was recorded."""


class TenantUnknown(AuditError):
    """There is no log for that tenant."""


class EntryNotFound(AuditError):
    """The log has no entry at that index."""


class EntryTooLarge(AuditError):
    """An entry is too large for a bundle."""


class PageTokenInvalid(AuditError):
    """The page token does not belong to this query."""


class UnsafeDatabase(AuditError):
    """The database does not guarantee what the log needs. The text names the missing guarantee."""


class VerificationFailed(AuditError):
    """A proof, checkpoint, signature or export is invalid. The text says where."""


def _ranges(indexes: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last index of each range without a gap."""
    first = last = -1
    for index in indexes:
        if first >= 0 and index > last + 1:
            yield first, last
        if first < 0 or index > last + 1:
            first = index
        last = index
    if first >= 0:
        yield first, last

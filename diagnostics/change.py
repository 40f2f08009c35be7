"""A change: log entries and the record changes that they report, appended together or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from linewarden.audit.entry import encode
from linewarden.audit.keyring import Person, Sealed
from linewarden.diagnostics.capture_model import Capture
from linewarden.diagnostics.codec import canonical
from linewarden.diagnostics.consent_model import Receipt, Secret
from linewarden.diagnostics.errors import NotTheCustomer
from linewarden.diagnostics.store.records import (
    Ceiling,
    RecordChange,
    StoredRecord,
    add_receipts,
    apply_changes,
    check_ceilings,
    check_unchanged,
)
from linewarden.diagnostics.usage import Counted, Forgotten

R = TypeVar("R")

#: The prefix of persons of other tenants.
FOREIGN = "//"


@dataclass(frozen=True, slots=True)
class ActorContext:
    """The acting person with caller, log and time. `actor` is None when the service itself acts.

    `key_holder` is the key holder of the tenant. Values that belong to no single person are sealed under its key.
    """

    log: int
    tenant: str
    caller: str
    request_id: str
    now_us: int
    name: str = ""
    actor: Person | None = None
    key_holder: Person | None = None
    purpose: str = ""
    case: str = ""
    zone: str = ""

    @property
    def sid(self) -> str:
        """The pseudonym of the actor; empty for the service itself."""
        return "" if self.actor is None else self.actor.sid

    @property
    def tenant_key_holder(self) -> Person:
        """The key holder of the tenant."""
        if self.key_holder is None:
            raise AssertionError("an act of the service has no private values")
        return self.key_holder

    def by_customer(self) -> None:
        """Make sure that the actor is a person of the customer.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
        """
        if self.name.startswith(FOREIGN):
            raise NotTheCustomer

    def entry(self, kind: str, fields: Mapping[str, Any], sealed: Sequence[Secret] = ()) -> bytes:
        """Return the bytes of a log entry about an act of the actor."""
        frame: dict[str, Any] = {"caller": self.caller, "request_id": self.request_id}
        if self.actor is not None:
            frame["actor"] = {"sid": self.actor.sid}
        return encode(kind, self.now_us, frame | dict(fields), [Sealed(one.sid, one.ct, one.commit) for one in sealed])


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """Entries and record changes that belong together, and the result once they are durable.

    `relies` are records that it was made from and does not change. `ceilings` are counts that it must not exceed.
    """

    log: int
    entries: tuple[bytes, ...]
    changes: tuple[RecordChange, ...]
    result: R
    notice: tuple[str, int] = ("", 0)
    receipts: tuple[Receipt, ...] = ()
    relies: tuple[StoredRecord, ...] = ()
    ceilings: tuple[Ceiling, ...] = ()
    counted: Counted | Forgotten | None = None

    def apply(self, connection: Any) -> None:
        """Apply the change inside the append.

        Raises:
            EffectRefused: a record is no longer as it was read. Make the change again.
        """
        check_unchanged(connection, self.log, self.relies)
        apply_changes(connection, self.log, self.changes)
        check_ceilings(connection, self.log, self.ceilings)
        add_receipts(connection, self.log, *self.notice, self.receipts)
        if self.counted is not None:
            self.counted.apply(connection, self.log)


def fresh(kind: str, id: str, state: str, created_us: int, record: Any) -> RecordChange:
    """Return the change that stores a new record."""
    return RecordChange(kind, id, 0, created_us, state, canonical(record), _due(record))


def changed(stored: StoredRecord, state: str, record: Any) -> RecordChange:
    """Return the change that replaces a record that was read."""
    return RecordChange(
        stored.kind, stored.id, stored.version, stored.created_us, state, canonical(record), _due(record)
    )


def _due(record: Any) -> int | None:
    return record.due_us if isinstance(record, Capture) else None

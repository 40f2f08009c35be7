"""Repository of typed records. Every method reads the database; call it in a thread."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from linewarden.diagnostics import kinds
from linewarden.diagnostics.capture_model import Capture, CaptureState
from linewarden.diagnostics.codec import read
from linewarden.diagnostics.consent_model import Attestation, Notice, Terms
from linewarden.diagnostics.errors import NotEnabled, NoticeNotCurrent, RecordNotFound
from linewarden.diagnostics.store.records import RecordStore, StoredRecord

T = TypeVar("T")

#: The terms of a tenant that has never enabled diagnostics.
NO_TERMS = Terms(
    enabled=False, accepted=(), approval_waived=False, retention_days=0, changed_us=0, changed_by="", shares_usage=False
)


@dataclass(frozen=True, slots=True)
class InForce:
    """An attestation that captures may rely on, and the records that prove it."""

    attestation: Attestation
    records: tuple[StoredRecord, ...]


class Repository:
    """Typed records of all tenants. Every method may raise LogUnavailable."""

    def __init__(self, store: RecordStore) -> None:
        self.store = store

    def terms(self, log_id: int) -> tuple[StoredRecord | None, Terms]:
        """Return the terms of a tenant."""
        stored = self.store.get(log_id, kinds.TERMS, kinds.TERMS_ID)
        return stored, NO_TERMS if stored is None else read(Terms, stored.body)

    def enabled_terms(self, log_id: int) -> tuple[StoredRecord, Terms]:
        """Return the terms of a tenant whose diagnostics are enabled.

        Raises:
            NotEnabled: the customer has not enabled them.
        """
        stored, terms = self.terms(log_id)
        if stored is None or not terms.enabled:
            raise NotEnabled
        return stored, terms

    def notice(self, log_id: int, id: str) -> tuple[StoredRecord, Notice]:
        """Return the current version of a notice.

        Raises:
            RecordNotFound: there is no such notice.
        """
        return self._known(log_id, kinds.NOTICE, id, Notice)

    def notice_version(self, log_id: int, id: str, version: int) -> Notice:
        """Return a notice in any version. Replaced versions are stored in separate records.

        Raises:
            RecordNotFound: there is no such notice, or it never had that version.
        """
        _stored, notice = self.notice(log_id, id)
        if notice.version == version:
            return notice
        return self._known(log_id, kinds.NOTICE_VERSION, kinds.version_id(id, version), Notice)[1]

    def current_notice(self, log_id: int, id: str, version: int) -> Notice:
        """Return a notice, if that version is the current one.

        Raises:
            RecordNotFound: there is no such notice.
            NoticeNotCurrent: the current version is another one.
        """
        _stored, notice = self.notice(log_id, id)
        if notice.version != version:
            raise NoticeNotCurrent
        return notice

    def attestation(self, log_id: int, id: str) -> tuple[StoredRecord, Attestation]:
        """Return an attestation.

        Raises:
            RecordNotFound: there is no such attestation.
        """
        return self._known(log_id, kinds.ATTESTATION, id, Attestation)

    def attestations_in_force(self, log_id: int, now_us: int) -> list[InForce]:
        """Return the attestations in force, each for the current version of its notice, the newest first."""
        found = []
        for stored in self.store.in_state(kinds.ATTESTATION, ["made"], log_id):
            attestation = read(Attestation, stored.body)
            notice = self.current_notice_of(log_id, attestation)
            if attestation.in_force(now_us) and notice is not None:
                found.append(InForce(attestation, (stored, notice)))
        return found

    def current_notice_of(self, log_id: int, attestation: Attestation) -> StoredRecord | None:
        """Return the attested notice; None if it has a newer version."""
        stored, notice = self.notice(log_id, attestation.statement.notice_id)
        current = (attestation.statement.notice_version, attestation.notice_hash) == (notice.version, notice.hash)
        return stored if current else None

    def knows(self, log_id: int, kind: str, id: str) -> bool:
        """Return whether a record of that kind and id exists."""
        return self.store.get(log_id, kind, id) is not None

    def capture(self, log_id: int, id: str) -> tuple[StoredRecord, Capture]:
        """Return a capture.

        Raises:
            RecordNotFound: there is no such capture.
        """
        return self._known(log_id, kinds.CAPTURE_RECORD, id, Capture)

    def captures_in(
        self, states: Iterable[CaptureState], log_id: int | None = None
    ) -> list[tuple[StoredRecord, Capture]]:
        """Return all captures in these states, of one tenant or of all, the newest first."""
        found = self.store.in_state(kinds.CAPTURE_RECORD, states, log_id)
        return [(stored, read(Capture, stored.body)) for stored in found]

    def captures_due(self, now_us: int, after: tuple[int, str], most: int) -> list[tuple[StoredRecord, Capture]]:
        """Return the due captures of all tenants, in the order of log and id, after `after`; at most `most`."""
        return [
            (stored, read(Capture, stored.body)) for stored in self.store.due(kinds.CAPTURE_RECORD, now_us, after, most)
        ]

    def page(
        self, log_id: int, kind: type[T], name: str, before: tuple[int, str] | None, size: int
    ) -> list[tuple[StoredRecord, T]]:
        """Return records of a kind, the newest first."""
        return [(stored, read(kind, stored.body)) for stored in self.store.page(log_id, name, before, size)]

    def _known(self, log_id: int, kind: str, id: str, record: type[T]) -> tuple[StoredRecord, T]:
        stored = self.store.get(log_id, kind, id)
        if stored is None:
            raise RecordNotFound
        return stored, read(record, stored.body)

"""Records read with their types. Everything here asks the database, and belongs in a thread."""

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

#: The terms of a tenant that has never enabled anything.
NO_TERMS = Terms(
    enabled=False, accepted=(), approval_waived=False, retention_days=0, changed_us=0, changed_by="", shares_usage=False
)


@dataclass(frozen=True, slots=True)
class InForce:
    """An attestation that captures may rest on, and the records that say so."""

    attestation: Attestation
    records: tuple[StoredRecord, ...]


class Repository:
    """Typed records of all tenants. Every method may raise LogUnavailable."""

    def __init__(self, store: RecordStore) -> None:
        self.store = store

    def terms(self, log: int) -> tuple[StoredRecord | None, Terms]:
        """The terms of a tenant."""
        stored = self.store.get(log, kinds.TERMS, kinds.TERMS_ID)
        return stored, NO_TERMS if stored is None else read(Terms, stored.body)

    def enabled_terms(self, log: int) -> tuple[StoredRecord, Terms]:
        """The terms of a tenant whose diagnostics are enabled.

        Raises:
            NotEnabled: they are not.
        """
        stored, terms = self.terms(log)
        if stored is None or not terms.enabled:
            raise NotEnabled
        return stored, terms

    def notice(self, log: int, id: str) -> tuple[StoredRecord, Notice]:
        """The current version of a notice.

        Raises:
            RecordNotFound: there is none.
        """
        return self._known(log, kinds.NOTICE, id, Notice)

    def notice_version(self, log: int, id: str, version: int) -> Notice:
        """A notice in any version it ever had: what was replaced is kept beside the current one.

        Raises:
            RecordNotFound: there is no such notice, or it never had that version.
        """
        _stored, notice = self.notice(log, id)
        if notice.version == version:
            return notice
        return self._known(log, kinds.NOTICE_VERSION, kinds.version_id(id, version), Notice)[1]

    def current_notice(self, log: int, id: str, version: int) -> Notice:
        """A notice, if that version is the current one.

        Raises:
            RecordNotFound: there is none.
            NoticeNotCurrent: it has another version.
        """
        _stored, notice = self.notice(log, id)
        if notice.version != version:
            raise NoticeNotCurrent
        return notice

    def attestation(self, log: int, id: str) -> tuple[StoredRecord, Attestation]:
        """An attestation.

        Raises:
            RecordNotFound: there is none.
        """
        return self._known(log, kinds.ATTESTATION, id, Attestation)

    def attestations_in_force(self, log: int, now_us: int) -> list[InForce]:
        """Attestations that captures may rest on now: of the current version of their notice, the newest first."""
        found = []
        for stored in self.store.in_state(kinds.ATTESTATION, ["made"], log):
            attestation = read(Attestation, stored.body)
            notice = self.current_notice_of(log, attestation)
            if attestation.in_force(now_us) and notice is not None:
                found.append(InForce(attestation, (stored, notice)))
        return found

    def current_notice_of(self, log: int, attestation: Attestation) -> StoredRecord | None:
        """The notice that is attested; None if it has another version by now."""
        stored, notice = self.notice(log, attestation.statement.notice_id)
        current = (attestation.statement.notice_version, attestation.notice_hash) == (notice.version, notice.hash)
        return stored if current else None

    def knows(self, log: int, kind: str, id: str) -> bool:
        """Whether there is a record of that kind and id."""
        return self.store.get(log, kind, id) is not None

    def capture(self, log: int, id: str) -> tuple[StoredRecord, Capture]:
        """A capture.

        Raises:
            RecordNotFound: there is none.
        """
        return self._known(log, kinds.CAPTURE_RECORD, id, Capture)

    def captures_in(self, states: Iterable[CaptureState], log: int | None = None) -> list[tuple[StoredRecord, Capture]]:
        """All captures in these states, of one tenant or of all, the newest first."""
        found = self.store.in_state(kinds.CAPTURE_RECORD, states, log)
        return [(stored, read(Capture, stored.body)) for stored in found]

    def captures_due(self, now_us: int, after: tuple[int, str], most: int) -> list[tuple[StoredRecord, Capture]]:
        """Captures of all tenants that the service must look at by now, by log and id after that one, so many."""
        return [
            (stored, read(Capture, stored.body)) for stored in self.store.due(kinds.CAPTURE_RECORD, now_us, after, most)
        ]

    def page(
        self, log: int, kind: type[T], name: str, before: tuple[int, str] | None, size: int
    ) -> list[tuple[StoredRecord, T]]:
        """Records of a kind, the newest first."""
        return [(stored, read(kind, stored.body)) for stored in self.store.page(log, name, before, size)]

    def _known(self, log: int, kind: str, id: str, record: type[T]) -> tuple[StoredRecord, T]:
        stored = self.store.get(log, kind, id)
        if stored is None:
            raise RecordNotFound
        return stored, read(record, stored.body)

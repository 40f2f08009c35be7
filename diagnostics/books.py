"""Records read with their types. Everything here asks the database, and belongs in a thread."""

from collections.abc import Iterable
from typing import TypeVar

from linewarden.diagnostics import kinds
from linewarden.diagnostics.errors import NotEnabled, NoticeNotCurrent, RecordNotFound
from linewarden.diagnostics.model import Attestation, Notice, Terms
from linewarden.diagnostics.records import read
from linewarden.diagnostics.session import Session, SessionState
from linewarden.diagnostics.store.records import RecordStore, StoredRecord

T = TypeVar("T")

#: The terms of a tenant that has never enabled anything.
NO_TERMS = Terms(
    enabled=False, accepted=(), approval_waived=False, retention_days=0, changed_us=0, changed_by="", shares_usage=False
)


class Books:
    """Typed records of all tenants. Every method may raise LogUnavailable."""

    def __init__(self, store: RecordStore) -> None:
        self.store = store

    def terms(self, log: int) -> tuple[StoredRecord | None, Terms]:
        """The terms of a tenant."""
        stored = self.store.get(log, kinds.TERMS, kinds.TERMS_ID)
        return stored, NO_TERMS if stored is None else read(Terms, stored.body)

    def enabled_terms(self, log: int) -> Terms:
        """The terms of a tenant whose diagnostics are enabled.

        Raises:
            NotEnabled: they are not.
        """
        _stored, terms = self.terms(log)
        if not terms.enabled:
            raise NotEnabled
        return terms

    def notice(self, log: int, id: str) -> tuple[StoredRecord, Notice]:
        """The current version of a notice.

        Raises:
            RecordNotFound: there is none.
        """
        return self._known(log, kinds.NOTICE, id, Notice)

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

    def attestations_in_force(self, log: int, now_us: int) -> list[Attestation]:
        """Attestations that captures may rest on now: of the current version of their notice, the newest first."""
        stored = self.store.in_state(kinds.ATTESTATION, ["made"], log)
        made = [read(Attestation, one.body) for one in stored]
        return [one for one in made if one.in_force(now_us) and self._is_current(log, one)]

    def session(self, log: int, id: str) -> tuple[StoredRecord, Session]:
        """A session.

        Raises:
            RecordNotFound: there is none.
        """
        return self._known(log, kinds.SESSION, id, Session)

    def sessions_in(self, states: Iterable[SessionState], log: int | None = None) -> list[tuple[StoredRecord, Session]]:
        """All sessions in these states, of one tenant or of all, the newest first."""
        found = self.store.in_state(kinds.SESSION, states, log)
        return [(stored, read(Session, stored.body)) for stored in found]

    def page(
        self, log: int, kind: type[T], name: str, before: tuple[int, str] | None, size: int
    ) -> list[tuple[StoredRecord, T]]:
        """Records of a kind, the newest first."""
        return [(stored, read(kind, stored.body)) for stored in self.store.page(log, name, before, size)]

    def _is_current(self, log: int, attestation: Attestation) -> bool:
        _stored, notice = self.notice(log, attestation.statement.notice_id)
        return notice.hash == attestation.notice_hash

    def _known(self, log: int, kind: str, id: str, record: type[T]) -> tuple[StoredRecord, T]:
        stored = self.store.get(log, kind, id)
        if stored is None:
            raise RecordNotFound
        return stored, read(record, stored.body)

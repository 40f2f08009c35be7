"""Enabling and disabling diagnostics, and opting in to anonymous counts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from linewarden.diagnostics import kinds
from linewarden.diagnostics.captures.prerequisites import without_grounds
from linewarden.diagnostics.change import Occasion, Step, changed, fresh
from linewarden.diagnostics.consent_model import Responsibility, Terms
from linewarden.diagnostics.errors import NotEnabled, ResponsibilitiesNotAccepted
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.repository import Books
from linewarden.diagnostics.states import LIVE, WAITING, Event
from linewarden.diagnostics.store.records import Change, StoredRecord
from linewarden.diagnostics.usage import Forgotten


@dataclass(frozen=True, slots=True)
class TermsChanged:
    """The terms as they now are, and the captures that lost their grounds."""

    terms: Terms
    ended: tuple[str, ...] = ()


class TermsDesk:
    """What the customer permits. The methods ask the database; they raise LogUnavailable beside what is stated."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def enable(
        self, on: Occasion, accepted: Iterable[Responsibility], *, approval_waived: bool, retention_days: int
    ) -> Step[TermsChanged]:
        """Permit diagnoses, or change the terms.

        Raises:
            NotTheCustomer: a person of another tenant tries.
            ResponsibilitiesNotAccepted: not all were accepted.
        """
        on.by_customer()
        duties = tuple(sorted(set(accepted)))
        if set(duties) != set(Responsibility):
            raise ResponsibilitiesNotAccepted
        stored, before = self._books.terms(on.log)
        terms = Terms(
            enabled=True,
            accepted=duties,
            approval_waived=approval_waived,
            retention_days=retention_days,
            changed_us=on.now_us,
            changed_by=on.sid,
            shares_usage=before.shares_usage,
        )
        fields = {"accepted": duties, "approval_waived": approval_waived, "retention_days": retention_days}
        entry = on.entry(kinds.DIAGNOSTICS_ENABLED, fields)
        return Step(on.log, (entry,), (_change(stored, on, terms),), TermsChanged(terms))

    def disable(self, on: Occasion) -> Step[TermsChanged]:
        """Forbid diagnoses. What waits is rejected, what runs is told to stop.

        Raises:
            NotTheCustomer: a person of another tenant tries.
            NotEnabled: they are forbidden already.
        """
        on.by_customer()
        stored, before = self._books.terms(on.log)
        if not before.enabled:
            raise NotEnabled
        terms = replace(before, enabled=False, changed_us=on.now_us, changed_by=on.sid)
        affected = self._books.captures_in(WAITING | LIVE, on.log)
        lost = without_grounds(on, affected, Event.REJECTED, StopReason.POLICY_CHANGED)
        entries = (on.entry(kinds.DIAGNOSTICS_DISABLED, {}), *lost.entries)
        changes = (_change(stored, on, terms), *lost.changes)
        return Step(on.log, entries, changes, TermsChanged(terms, lost.captures))

    def share_usage(self, on: Occasion, *, share: bool) -> Step[TermsChanged]:
        """Opt in to, or out of, sharing anonymous counts. Has nothing to do with captures being permitted.

        Whoever opts out takes along what was counted on days that are not closed yet.

        Raises:
            NotTheCustomer: a person of another tenant tries.
        """
        on.by_customer()
        stored, before = self._books.terms(on.log)
        terms = replace(before, shares_usage=share)
        entry = on.entry(kinds.USAGE_SHARED if share else kinds.USAGE_KEPT, {})
        gone = None if share else Forgotten()
        return Step(on.log, (entry,), (_change(stored, on, terms),), TermsChanged(terms), counted=gone)


def _change(stored: StoredRecord | None, on: Occasion, terms: Terms) -> Change:
    state = "enabled" if terms.enabled else "disabled"
    if stored is None:
        return fresh(kinds.TERMS, kinds.TERMS_ID, state, on.now_us, terms)
    return changed(stored, state, terms)

"""The terms of a customer: enabling and disabling diagnostics, and opting in to anonymous counts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from linewarden.diagnostics import kinds
from linewarden.diagnostics.captures.prerequisites import revoke_unattested
from linewarden.diagnostics.change import ActorContext, Change, changed, fresh
from linewarden.diagnostics.consent_model import Responsibility, Terms
from linewarden.diagnostics.errors import NotEnabled, ResponsibilitiesNotAccepted
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.states import LIVE, WAITING, Event
from linewarden.diagnostics.store.records import RecordChange, StoredRecord
from linewarden.diagnostics.usage import Forgotten


@dataclass(frozen=True, slots=True)
class TermsChanged:
    """The terms after the change, and the captures that it ended."""

    terms: Terms
    ended: tuple[str, ...] = ()


class TermsService:
    """The use cases of the terms. The methods read the database; each may also raise LogUnavailable."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def enable(
        self, ctx: ActorContext, accepted: Iterable[Responsibility], *, approval_waived: bool, retention_days: int
    ) -> Change[TermsChanged]:
        """Enable diagnostics, or change the terms.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
            ResponsibilitiesNotAccepted: not all responsibilities were accepted.
        """
        ctx.by_customer()
        duties = tuple(sorted(set(accepted)))
        if set(duties) != set(Responsibility):
            raise ResponsibilitiesNotAccepted
        stored, before = self._repository.terms(ctx.log)
        terms = Terms(
            enabled=True,
            accepted=duties,
            approval_waived=approval_waived,
            retention_days=retention_days,
            changed_us=ctx.now_us,
            changed_by=ctx.sid,
            shares_usage=before.shares_usage,
        )
        fields = {"accepted": duties, "approval_waived": approval_waived, "retention_days": retention_days}
        entry = ctx.entry(kinds.DIAGNOSTICS_ENABLED, fields)
        return Change(ctx.log, (entry,), (_change(stored, ctx, terms),), TermsChanged(terms))

    def disable(self, ctx: ActorContext) -> Change[TermsChanged]:
        """Disable diagnostics. Waiting captures are rejected, running captures stop.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
            NotEnabled: diagnostics are already disabled.
        """
        ctx.by_customer()
        stored, before = self._repository.terms(ctx.log)
        if not before.enabled:
            raise NotEnabled
        terms = replace(before, enabled=False, changed_us=ctx.now_us, changed_by=ctx.sid)
        affected = self._repository.captures_in(WAITING | LIVE, ctx.log)
        lost = revoke_unattested(ctx, affected, Event.REJECTED, StopReason.POLICY_CHANGED)
        entries = (ctx.entry(kinds.DIAGNOSTICS_DISABLED, {}), *lost.entries)
        changes = (_change(stored, ctx, terms), *lost.changes)
        return Change(ctx.log, entries, changes, TermsChanged(terms, lost.captures))

    def share_usage(self, ctx: ActorContext, *, share: bool) -> Change[TermsChanged]:
        """Opt in to, or out of, sharing anonymous counts. Captures do not depend on it.

        Opting out deletes the tenant's counts of open days.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
        """
        ctx.by_customer()
        stored, before = self._repository.terms(ctx.log)
        terms = replace(before, shares_usage=share)
        entry = ctx.entry(kinds.USAGE_SHARED if share else kinds.USAGE_OPTED_OUT, {})
        gone = None if share else Forgotten()
        return Change(ctx.log, (entry,), (_change(stored, ctx, terms),), TermsChanged(terms), counted=gone)


def _change(stored: StoredRecord | None, ctx: ActorContext, terms: Terms) -> RecordChange:
    state = "enabled" if terms.enabled else "disabled"
    if stored is None:
        return fresh(kinds.TERMS, kinds.TERMS_ID, state, ctx.now_us, terms)
    return changed(stored, state, terms)

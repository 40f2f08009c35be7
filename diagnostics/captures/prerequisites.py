"""Captures that lose a prerequisite: diagnostics are disabled, or an attestation is withdrawn."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from linewarden.diagnostics import kinds
from linewarden.diagnostics.capture_model import Capture, CaptureState
from linewarden.diagnostics.captures.preconditions import Preconditions
from linewarden.diagnostics.change import ActorContext, Change, changed
from linewarden.diagnostics.errors import AttestationMissing
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.states import CAPTURING, Event, transition
from linewarden.diagnostics.store.records import RecordChange, StoredRecord


@dataclass(frozen=True, slots=True)
class Revoked:
    """The captures that lost a prerequisite, with the entries and record changes that report it."""

    captures: tuple[str, ...]
    entries: tuple[bytes, ...]
    changes: tuple[RecordChange, ...]


def revoke_unattested(
    ctx: ActorContext, captures: Sequence[tuple[StoredRecord, Capture]], waiting: Event, reason: StopReason
) -> Revoked:
    """Give waiting captures the event `waiting`, and stop running captures for `reason`. Leave stopping captures."""
    ids, entries, changes = [], [], []
    for stored, capture in captures:
        if capture.state is CaptureState.STOPPING:
            continue
        if capture.state in CAPTURING:
            after = stopped(capture, reason)
            entries.append(ctx.entry(f"{kinds.CAPTURE}{Event.STOPPED}", {"session": capture.id, "stop_reason": reason}))
        else:
            after = replace(without_approval(capture), state=transition(capture.state, waiting))
            entries.append(ctx.entry(f"{kinds.CAPTURE}{waiting}", {"session": capture.id, "reason": reason}))
        ids.append(capture.id)
        changes.append(changed(stored, after.state, after))
    return Revoked(tuple(ids), tuple(entries), tuple(changes))


class PrerequisiteService:
    """The repeated check of waiting captures. The methods read the database; each may raise LogUnavailable."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._preconditions = Preconditions(repository)

    def recheck(self, ctx: ActorContext, id: str) -> Change[Capture] | None:
        """Let a waiting capture that lost a prerequisite wait for an attestation again; None if it lost none.

        If another attestation already covers it, it takes that one at once. It still needs a new approval.
        """
        stored, capture = self._repository.capture(ctx.log, id)
        found, terms = self._repository.terms(ctx.log)
        if found is None or capture.state not in {CaptureState.PENDING_APPROVAL, CaptureState.ARMED}:
            return None
        reason = self._preconditions.lost_prerequisite(ctx.log, capture, terms, ctx.now_us)
        if reason is None:
            return None
        after = replace(without_approval(capture), state=transition(capture.state, Event.GROUNDS_LOST))
        fields = {"session": id, "reason": reason}
        entries = [ctx.entry(f"{kinds.CAPTURE}{Event.GROUNDS_LOST}", fields)]
        relies: tuple[StoredRecord, ...] = (found,)
        with suppress(AttestationMissing):
            after, records = self._preconditions.with_attestation(ctx.log, after, terms, ctx.now_us)
            relies = (found, *records)
            fields = {"session": id, "attestation": after.attestation, "state": after.state}
            entries.append(ctx.entry(f"{kinds.CAPTURE}{Event.ATTESTED}", fields))
        return Change(ctx.log, tuple(entries), (changed(stored, after.state, after),), after, relies=relies)


def stopped(capture: Capture, reason: StopReason) -> Capture:
    """Return the capture with its one reason to stop.

    Raises:
        StateConflict: the capture neither runs nor is paused.
    """
    return replace(capture, state=transition(capture.state, Event.STOPPED), stop_reason=reason)


def without_approval(capture: Capture) -> Capture:
    """Return the capture without attestation and approval, because an approval is for one attestation."""
    return replace(capture, attestation="", approved_by="", approved_us=None, approved_zone="", start_before_us=None)

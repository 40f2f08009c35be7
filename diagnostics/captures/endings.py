"""Ends of captures: sealed, failed, lapsed or expired."""

from dataclasses import replace

from linewarden.diagnostics import kinds
from linewarden.diagnostics.capture_model import Capture, CaptureState, Evidence, Tally
from linewarden.diagnostics.captures.failures import CaptureFailure
from linewarden.diagnostics.captures.ports import Outcome
from linewarden.diagnostics.captures.prerequisites import stopped
from linewarden.diagnostics.change import ActorContext, Change, changed
from linewarden.diagnostics.codec import read
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.states import CAPTURING, LIVE, WAITING, Event, transition
from linewarden.diagnostics.usage import Counted

_DAY_US = 86_400_000_000
#: The time for start and end of a worker beyond the time limit of the capture, seconds.
_ENDING_S = 120


class EndingService:
    """The use cases of ends. The methods read the database; each may also raise LogUnavailable."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def stop(self, ctx: ActorContext, id: str, reason: StopReason) -> Change[Capture] | None:
        """Stop the capture for `reason`; None if it already has a reason, or has ended."""
        stored, capture = self._repository.capture(ctx.log, id)
        if capture.state not in CAPTURING:
            return None
        after = stopped(capture, reason)
        entry = ctx.entry(
            f"{kinds.CAPTURE}{Event.STOPPED}", {"session": id, "state": after.state, "stop_reason": reason}
        )
        return Change(ctx.log, (entry,), (changed(stored, after.state, after),), after)

    def end(self, ctx: ActorContext, id: str, outcome: Outcome) -> Change[Capture] | None:
        """Record that the worker has ended, sealed or failed; None if that is already recorded.

        A reason to stop that was recorded before stays.
        """
        stored, capture = self._repository.capture(ctx.log, id)
        if capture.state not in LIVE:
            return None
        _at, terms = self._repository.terms(ctx.log)
        # The retention promised at the start holds, unless the customer has shortened it since.
        days = min(terms.retention_days, capture.retention_days or terms.retention_days)
        ended_us = _ended_us(capture, ctx.now_us)
        entries = []
        if capture.state in CAPTURING:
            capture = stopped(capture, outcome.reason)
            fields = {"session": id, "state": capture.state, "stop_reason": outcome.reason} | _detail(outcome.detail)
            entries.append(ctx.entry(f"{kinds.CAPTURE}{Event.STOPPED}", fields))
        event = Event.FAILED if outcome.evidence is None else Event.SEALED
        after = replace(
            capture,
            state=transition(capture.state, event),
            ended_us=ended_us,
            delete_us=ended_us + days * _DAY_US,
            detail=outcome.detail,
            tally=outcome.tally,
            evidence=outcome.evidence,
        )
        entries.append(ctx.entry(f"{kinds.CAPTURE}{event}", _summary(after)))
        counted = Counted(ctx.now_us, (f"stopped_{after.stop_reason}",)) if terms.shares_usage else None
        return Change(ctx.log, tuple(entries), (changed(stored, after.state, after),), after, counted=counted)

    def lose(self, ctx: ActorContext, id: str, evidence: Evidence | None = None) -> Change[Capture] | None:
        """Record that the capture lost its watching process. `evidence` is the evidence that was found.

        The counters are those of the last renewal of the lease, marked incomplete.
        """
        lease = self._repository.store.lease(ctx.log, id)
        tally = Tally() if lease is None else read(Tally, lease.counters)
        detail = CaptureFailure.NOTHING_LEFT if evidence is None else ""
        return self.end(ctx, id, Outcome(StopReason.LEASE_LOST, replace(tally, complete=False), evidence, detail))

    def lapse(self, ctx: ActorContext, id: str) -> Change[Capture] | None:
        """Reject a capture that was not approved or not started in time; None if it was, or if time is left."""
        stored, capture = self._repository.capture(ctx.log, id)
        lapsed = capture.due_us is not None and ctx.now_us >= capture.due_us
        if capture.state not in WAITING or not lapsed:
            return None
        after = replace(capture, state=transition(capture.state, Event.REJECTED))
        entry = ctx.entry(f"{kinds.CAPTURE}{Event.REJECTED}", {"session": id, "state": after.state, "reason": "lapsed"})
        return Change(ctx.log, (entry,), (changed(stored, after.state, after),), after)

    def expire(self, ctx: ActorContext, id: str) -> Change[Capture] | None:
        """Record the deletion of evidence whose retention is over; None if it is not over."""
        stored, capture = self._repository.capture(ctx.log, id)
        over = capture.delete_us is not None and ctx.now_us >= capture.delete_us
        if capture.state not in {CaptureState.SEALED, CaptureState.FAILED} or not over:
            return None
        after = replace(capture, state=transition(capture.state, Event.DELETED))
        entry = ctx.entry(f"{kinds.CAPTURE}{Event.DELETED}", {"session": id, "state": after.state, "reason": "expired"})
        return Change(ctx.log, (entry,), (changed(stored, after.state, after),), after)


def _ended_us(capture: Capture, now_us: int) -> int:
    """Return when a capture ended, bounded by its start and by its time limit, because the clock may be wrong."""
    if capture.started_us is None:
        return now_us
    longest_us = (capture.limits.seconds + _ENDING_S) * 1_000_000
    return min(max(now_us, capture.started_us), capture.started_us + longest_us)


def _detail(cause: str) -> dict[str, object]:
    """Return the field for the cause of a failure; empty without a cause."""
    return {"detail": cause} if cause else {}


def _summary(capture: Capture) -> dict[str, object]:
    tally = capture.tally
    summary: dict[str, object] = {
        "session": capture.id,
        "state": capture.state,
        "stop_reason": capture.stop_reason,
        "counters": {
            "received": tally.received,
            "dropped": tally.dropped,
            "delivered": tally.delivered,
            "written": tally.written,
            "not_selected": tally.not_selected,
            "over_limit": tally.over_limit,
            "unparsed": tally.unparsed,
            "bytes": tally.bytes,
            "rules": tally.rules,
        },
        "lossy": capture.lossy,
        "sound": tally.sound,
        "delete": capture.delete_us,
    } | _detail(capture.detail)
    if capture.evidence is not None:
        evidence = capture.evidence
        summary["evidence"] = {
            "plain_bytes": evidence.plain_bytes,
            "plain_sha256": evidence.plain_sha256,
            "chain": evidence.chain,
            "sealed_bytes": evidence.sealed_bytes,
            "sealed_sha256": evidence.sealed_sha256,
        }
    return summary

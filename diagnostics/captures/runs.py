"""Runs: the life of a capture from its start to its deletion, as far as persons decide it."""

import asyncio
from dataclasses import replace
from typing import NamedTuple

from linewarden.diagnostics import kinds
from linewarden.diagnostics.capture_model import Capture, CaptureRight, CaptureState, Private, Tally, rights_needed
from linewarden.diagnostics.captures.ports import Order
from linewarden.diagnostics.captures.preconditions import check_approval, check_in_time, check_limits, promised
from linewarden.diagnostics.captures.prerequisites import stopped
from linewarden.diagnostics.captures.requests import RequestService, attested_entry, counted, limits_in_entry, moved
from linewarden.diagnostics.change import ActorContext, Change, changed, fresh
from linewarden.diagnostics.codec import read
from linewarden.diagnostics.errors import CaseMissing, RecordNotFound, StateConflict, TooManyCaptures
from linewarden.diagnostics.packets.model import Selector, StopReason
from linewarden.diagnostics.packets.ticket import StartTicket, digest
from linewarden.diagnostics.places import selector_of
from linewarden.diagnostics.ports import Requester, Rights
from linewarden.diagnostics.states import LIVE, WAITING, Event, transition
from linewarden.diagnostics.store.records import Ceiling, RecordChange

#: The worker must begin within this time after its order, seconds. It includes the start of the process.
START_PATIENCE_S = 30

_LONGEST_TEXT = 256
_DIGEST = "ticket"


class Progress(NamedTuple):
    """The progress of a capture. `over` is true if it will not change any more."""

    state: CaptureState
    tally: Tally
    stop_reason: StopReason | None
    over: bool


class CaptureService(RequestService):
    """The use cases of captures. The methods read the database; each may also raise LogUnavailable."""

    def start(
        self, ctx: ActorContext, id: str, *, with_file: bool = False, approver_stands: bool = True
    ) -> Change[tuple[Capture, Order]]:
        """Start the capture, after a check of every precondition. The result has the order to launch.

        `with_file` is true if a capture file comes with the request. It must be true for the import of a file, and
        false for an interface; StateConflict otherwise. `approver_stands` is true if the policy still lets the approver
        approve.

        Raises:
            NotEnabled, RecordNotFound, StateConflict, AttestationMissing, ApprovalMissing, SelectorNotPermitted,
            FilterInvalid, LimitTooHigh, ReaderUnusable, TooManyCaptures, DiagnosisUnavailable: see `errors`.
        """
        found, terms = self._repository.enabled_terms(ctx.log)
        stored, capture = self._repository.capture(ctx.log, id)
        self._check_startable(capture, with_file=with_file)
        attested_capture, relies = self._preconditions.with_attestation(ctx.log, capture, terms, ctx.now_us)
        first, capture = attested_entry(ctx, capture, attested_capture), attested_capture
        check_approval(capture, terms, approver_stands=approver_stands)
        check_in_time(capture, ctx.now_us)
        check_limits(capture.limits, self._maxima.limits)
        room = self._check_quota(ctx, capture)
        order = self._order(ctx, capture)
        sealed = self._private_values.seal(ctx.tenant_key_holder, {_DIGEST: digest(order.ticket).hex()})
        after = replace(
            capture,
            state=transition(capture.state, Event.STARTED),
            started_by=ctx.sid,
            started_us=ctx.now_us,
            started_zone=ctx.zone,
            retention_days=terms.retention_days,
            folder=self._workers.folder(),
            ticket=sealed,
        )
        change = moved(ctx, stored, after, Event.STARTED, _started(after), (found, *relies), [sealed], first)
        return Change(
            ctx.log,
            change.entries,
            (*change.changes, room),
            (after, order),
            relies=change.relies,
            ceilings=(Ceiling(kinds.CAPTURE_RECORD, frozenset(LIVE), self._maxima.running),),
            counted=counted(ctx, terms, "sessions_started", f"profile_{capture.profile}"),
        )

    def pause(self, ctx: ActorContext, id: str) -> Change[Capture]:
        """Pause a running capture. It takes no packets, and its time limit goes on.

        Raises:
            RecordNotFound, StateConflict: there is no such running capture.
        """
        stored, capture = self._repository.capture(ctx.log, id)
        after = replace(capture, state=transition(capture.state, Event.PAUSED))
        return moved(ctx, stored, after, Event.PAUSED, {})

    def resume(self, ctx: ActorContext, id: str, *, approver_stands: bool = True) -> Change[Capture]:
        """Resume a paused capture, after a check of every precondition.

        Raises:
            RecordNotFound, StateConflict: there is no such paused capture.
            NotEnabled, AttestationMissing, ApprovalMissing, SelectorNotPermitted: see `errors`.
        """
        found, terms = self._repository.enabled_terms(ctx.log)
        stored, capture = self._repository.capture(ctx.log, id)
        after = replace(capture, state=transition(capture.state, Event.RESUMED))
        _same, relies = self._preconditions.with_attestation(ctx.log, capture, promised(capture, terms), ctx.now_us)
        check_approval(capture, terms, approver_stands=approver_stands)
        self._selector(ctx, capture)
        return moved(ctx, stored, after, Event.RESUMED, {"attestation": capture.attestation}, (found, *relies))

    def stop(self, ctx: ActorContext, id: str) -> Change[Capture]:
        """Stop a running or paused capture.

        Raises:
            RecordNotFound, StateConflict: there is no such running or paused capture.
        """
        stored, capture = self._repository.capture(ctx.log, id)
        after = stopped(capture, StopReason.REQUESTED)
        return moved(ctx, stored, after, Event.STOPPED, {"stop_reason": StopReason.REQUESTED})

    def give_up(self, ctx: ActorContext, id: str) -> Change[Capture]:
        """End the retention of the evidence now. It is handed out no more, and the next sweep deletes it.

        The deletion itself is recorded once the file is deleted.

        Raises:
            RecordNotFound, StateConflict: there is no such capture that has ended.
        """
        stored, capture = self._repository.capture(ctx.log, id)
        transition(capture.state, Event.DELETED)
        after = replace(capture, delete_us=min(ctx.now_us, capture.delete_us or ctx.now_us))
        fields = {"session": id, "state": after.state, "reason": StopReason.REQUESTED}
        entry = ctx.entry(kinds.CAPTURE_GIVEN_UP, fields)
        return Change(ctx.log, (entry,), (changed(stored, after.state, after),), after)

    def delete(self, ctx: ActorContext, id: str) -> Change[Capture]:
        """Record that the file is deleted. The record of the capture stays.

        Raises:
            RecordNotFound, StateConflict: there is no such capture that has ended.
        """
        stored, capture = self._repository.capture(ctx.log, id)
        after = replace(capture, state=transition(capture.state, Event.DELETED))
        return moved(ctx, stored, after, Event.DELETED, {"reason": StopReason.REQUESTED})

    def open(self, ctx: ActorContext, id: str) -> Change[Capture]:
        """Record that the sealed file of a capture is handed out.

        Raises:
            CaseMissing: no purpose is stated.
            RecordNotFound, StateConflict: there is no such sealed capture.
        """
        if not ctx.purpose:
            raise CaseMissing
        _stored, capture = self._repository.capture(ctx.log, id)
        kept = capture.delete_us is None or ctx.now_us < capture.delete_us
        if capture.state is not CaptureState.SEALED or capture.evidence is None or not kept:
            raise StateConflict(capture.state)
        fields = {"session": id, "purpose": ctx.purpose, "sealed_sha256": capture.evidence.sealed_sha256}
        return Change(ctx.log, (ctx.entry(kinds.CAPTURE_OPENED, fields),), (), capture)

    def rights_to_run(self, log_id: int, id: str) -> frozenset[CaptureRight]:
        """Return the rights to start or resume a capture. The answer does not reveal whether the capture exists."""
        try:
            _stored, capture = self._repository.capture(log_id, id)
        except RecordNotFound:
            return frozenset({CaptureRight.START})
        private = self.private(log_id, capture)
        raw_filter = private is not None and bool(private.wanted.raw_filter)
        return rights_needed(CaptureRight.START, capture.profile, raw_filter=raw_filter)

    async def approval_stands(self, log_id: int, id: str, rights: Rights) -> bool:
        """Return whether the approver of a capture may still approve it; true for a capture without an approver.

                If the approver loses that right at this moment, the first check of the supervisor finds it.

        Raises:
            LogUnavailable: the policy cannot be read.
        """
        approver = await asyncio.to_thread(self._approver, log_id, id)
        return approver is None or await rights.may(log_id, id, approver, {CaptureRight.APPROVE})

    def progress(self, log_id: int, id: str, live: Tally | None) -> Progress:
        """Return state and counters of a capture. `live` are the counters in this process, if it runs here.

        Raises:
            RecordNotFound: there is no such capture.
        """
        _stored, capture = self._repository.capture(log_id, id)
        tally = capture.tally
        if capture.state in LIVE:
            lease = self._repository.store.lease(log_id, id)
            tally = live or (read(Tally, lease.counters) if lease else tally)
        over = capture.state not in LIVE | WAITING | {CaptureState.DRAFT}
        return Progress(capture.state, tally, capture.stop_reason, over)

    def _approver(self, log_id: int, id: str) -> Requester | None:
        try:
            _stored, capture = self._repository.capture(log_id, id)
        except RecordNotFound:
            return None
        if not capture.approved_by:
            return None
        private = self.private(log_id, capture)
        name = self.names(log_id, [capture]).get(capture.approved_by, "")
        return Requester(name, capture.purpose, "" if private is None else private.case, capture.approved_zone)

    def ticket_digest(self, log_id: int, capture: Capture) -> str:
        """Return the digest that the evidence chain begins with, in hex; empty if it is not readable."""
        return "" if capture.ticket is None else self._private_values.open(log_id, capture.ticket).get(_DIGEST, "")

    @staticmethod
    def _check_startable(capture: Capture, *, with_file: bool) -> None:
        """Make sure that the capture waits for this kind of start, with or without a capture file."""
        takes_file = not capture.interface
        if with_file != takes_file:
            raise StateConflict("file" if takes_file else "interface")
        if capture.state not in WAITING:
            raise StateConflict(capture.state)

    def _check_quota(self, ctx: ActorContext, capture: Capture) -> RecordChange:
        """Make sure that the tenant may run one more capture, and may store its largest possible evidence.

        The returned change orders the starts: of two concurrent starts, one is refused and checked again.
        """
        log_id = ctx.log
        if self._repository.store.count(log_id, kinds.CAPTURE_RECORD, LIVE) >= self._maxima.running:
            raise TooManyCaptures("running")
        kept = self._repository.captures_in({CaptureState.SEALED, *LIVE}, log_id)
        stored = sum(one.evidence.sealed_bytes if one.evidence else one.limits.bytes for _at, one in kept)
        if stored + capture.limits.bytes > self._maxima.stored:
            raise TooManyCaptures("stored")
        known = self._repository.store.get(log_id, kinds.CAPTURE_SLOT, kinds.CAPTURE_SLOT_ID)
        last = {"session": capture.id}
        if known is None:
            return fresh(kinds.CAPTURE_SLOT, kinds.CAPTURE_SLOT_ID, "", ctx.now_us, last)
        return changed(known, "", last)

    def _order(self, ctx: ActorContext, capture: Capture) -> Order:
        private, selector = self._selector(ctx, capture)
        self._workers.check_readers(private.readers)
        self._workers.check_ready(capture.worker)
        ticket = StartTicket(
            id=capture.id,
            tenant=ctx.tenant,
            who=_printable(ctx.name),
            why=_printable(private.case),
            profile=capture.profile,
            limits=capture.limits,
            start_before_ns=ctx.now_us * 1_000 + START_PATIENCE_S * 1_000_000_000,
            worker=capture.worker,
            interface=capture.interface,
            file="" if capture.interface else _printable(private.file),
            selector=selector,
            raw_filter=private.wanted.raw_filter,
        )
        return Order(ticket, private.readers)

    def _selector(self, ctx: ActorContext, capture: Capture) -> tuple[Private, Selector]:
        private = self.private(ctx.log, capture)
        if private is None:
            raise StateConflict("erased")
        place = self._places.of(ctx.tenant)
        return private, selector_of(place, capture.interface, private.wanted, capture.worker)


def _printable(text: str) -> str:
    """Return the text without control characters, cut to the length that the evidence permits."""
    return "".join(char if char.isprintable() else "?" for char in text)[:_LONGEST_TEXT] or "?"


def _started(capture: Capture) -> dict[str, object]:
    return {
        "attestation": capture.attestation,
        "profile": capture.profile,
        "limits": limits_in_entry(capture),
        "worker": capture.worker,
        "interface": capture.interface,
    }

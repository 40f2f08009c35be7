"""The way of a capture from its start to its deletion, as far as persons decide it."""

from dataclasses import replace

from linewarden.diagnostics import kinds
from linewarden.diagnostics.capture_model import CaptureRight, Private, Capture, CaptureState, rights_needed
from linewarden.diagnostics.captures.ports import Order
from linewarden.diagnostics.captures.preconditions import check_approval, check_in_time, check_limits, promised
from linewarden.diagnostics.captures.prerequisites import stopped
from linewarden.diagnostics.captures.requests import RequestDesk, attested_entry, counted, limits_in_entry, moved
from linewarden.diagnostics.change import Occasion, Step, changed, fresh
from linewarden.diagnostics.errors import CaseMissing, StateConflict, TooManyCaptures
from linewarden.diagnostics.packets.model import Selector, StopReason
from linewarden.diagnostics.packets.ticket import StartTicket, digest
from linewarden.diagnostics.places import selector_of
from linewarden.diagnostics.states import LIVE, WAITING, Event, follow
from linewarden.diagnostics.store.records import Ceiling, Change

#: The worker must have begun within this time of its order, seconds; covers the start of its process.
START_PATIENCE_S = 30

_LONGEST_TEXT = 256
_DIGEST = "ticket"


class CaptureRuns(RequestDesk):
    """Captures of all tenants. The methods ask the database; they raise LogUnavailable beside what is stated."""

    def start(
        self, on: Occasion, id: str, *, with_file: bool = False, approver_stands: bool = True
    ) -> Step[tuple[Capture, Order]]:
        """Start the capture; every gate is looked at as if for the first time. The result says what to launch.

        `with_file` is whether a capture file comes with it: StateConflict where the capture is not for one, and where
        it is and none comes. `approver_stands` is whether the policy still lets the second person approve.

        Raises:
            NotEnabled, RecordNotFound, StateConflict, AttestationMissing, ApprovalMissing, SelectorNotPermitted,
            FilterInvalid, LimitTooHigh, ReaderUnusable, TooManyCaptures, DiagnosisUnavailable: see `errors`.
        """
        found, terms = self._books.enabled_terms(on.log)
        stored, capture = self._books.capture(on.log, id)
        self._check_startable(capture, with_file=with_file)
        found_on, relies = self._gates.grounded(on.log, capture, terms, on.now_us)
        first, capture = attested_entry(on, capture, found_on), found_on
        check_approval(capture, terms, approver_stands=approver_stands)
        check_in_time(capture, on.now_us)
        check_limits(capture.limits, self._maxima.limits)
        room = self._check_room(on, capture)
        order = self._order(on, capture)
        sealed = self._safe.seal(on.tenant_itself, {_DIGEST: digest(order.ticket).hex()})
        after = replace(
            capture,
            state=follow(capture.state, Event.STARTED),
            started_by=on.sid,
            started_us=on.now_us,
            started_zone=on.zone,
            retention_days=terms.retention_days,
            folder=self._workers.folder(),
            ticket=sealed,
        )
        step = moved(on, stored, after, Event.STARTED, _started(after), (found, *relies), [sealed], first)
        return Step(
            on.log,
            step.entries,
            (*step.changes, room),
            (after, order),
            relies=step.relies,
            ceilings=(Ceiling(kinds.CAPTURE_RECORD, frozenset(LIVE), self._maxima.running),),
            counted=counted(on, terms, "sessions_started", f"profile_{capture.profile}"),
        )

    def pause(self, on: Occasion, id: str) -> Step[Capture]:
        """Let a capture that runs take no packets; its time goes on.

        Raises:
            RecordNotFound, StateConflict: there is none that does.
        """
        stored, capture = self._books.capture(on.log, id)
        after = replace(capture, state=follow(capture.state, Event.PAUSED))
        return moved(on, stored, after, Event.PAUSED, {})

    def resume(self, on: Occasion, id: str, *, approver_stands: bool = True) -> Step[Capture]:
        """Let a paused capture go on; every gate is looked at as if for the first time.

        Raises:
            RecordNotFound, StateConflict: there is none that is paused.
            NotEnabled, AttestationMissing, ApprovalMissing, SelectorNotPermitted: see `errors`.
        """
        found, terms = self._books.enabled_terms(on.log)
        stored, capture = self._books.capture(on.log, id)
        after = replace(capture, state=follow(capture.state, Event.RESUMED))
        _same, relies = self._gates.grounded(on.log, capture, promised(capture, terms), on.now_us)
        check_approval(capture, terms, approver_stands=approver_stands)
        self._selector(on, capture)
        return moved(on, stored, after, Event.RESUMED, {"attestation": capture.attestation}, (found, *relies))

    def stop(self, on: Occasion, id: str) -> Step[Capture]:
        """Stop a capture that runs or pauses.

        Raises:
            RecordNotFound, StateConflict: there is none that does.
        """
        stored, capture = self._books.capture(on.log, id)
        after = stopped(capture, StopReason.REQUESTED)
        return moved(on, stored, after, Event.STOPPED, {"stop_reason": StopReason.REQUESTED})

    def give_up(self, on: Occasion, id: str) -> Step[Capture]:
        """Let the time to keep the evidence end now: it is handed out no more, and deleted by whoever sweeps next.

        Should the file not be deleted at once, no record says that it was, and nobody forgets it.

        Raises:
            RecordNotFound, StateConflict: there is none whose capture has ended.
        """
        stored, capture = self._books.capture(on.log, id)
        follow(capture.state, Event.DELETED)
        after = replace(capture, delete_us=min(on.now_us, capture.delete_us or on.now_us))
        fields = {"session": id, "state": after.state, "reason": StopReason.REQUESTED}
        entry = on.entry(kinds.CAPTURE_GIVEN_UP, fields)
        return Step(on.log, (entry,), (changed(stored, after.state, after),), after)

    def delete(self, on: Occasion, id: str) -> Step[Capture]:
        """Record that the file is deleted; the record of the capture stays.

        Raises:
            RecordNotFound, StateConflict: there is none whose capture has ended.
        """
        stored, capture = self._books.capture(on.log, id)
        after = replace(capture, state=follow(capture.state, Event.DELETED))
        return moved(on, stored, after, Event.DELETED, {"reason": StopReason.REQUESTED})

    def open(self, on: Occasion, id: str) -> Step[Capture]:
        """Hand out the sealed file of a capture.

        Raises:
            CaseMissing: no purpose is stated.
            RecordNotFound, StateConflict: there is none that was sealed.
        """
        if not on.purpose:
            raise CaseMissing
        _stored, capture = self._books.capture(on.log, id)
        kept = capture.delete_us is None or on.now_us < capture.delete_us
        if capture.state is not CaptureState.SEALED or capture.evidence is None or not kept:
            raise StateConflict(capture.state)
        fields = {"session": id, "purpose": on.purpose, "sealed_sha256": capture.evidence.sealed_sha256}
        return Step(on.log, (on.entry(kinds.CAPTURE_OPENED, fields),), (), capture)

    def rights(self, log: int, capture: Capture) -> frozenset[CaptureRight]:
        """What the policy must let a person do who starts the capture, or lets it go on."""
        private = self.private(log, capture)
        return rights_needed(capture.profile, raw_filter=private is not None and bool(private.wanted.raw_filter))

    def ticket_digest(self, log: int, capture: Capture) -> str:
        """What the chain of the evidence begins with, in hex; empty if there is none, or it can no longer be read."""
        return "" if capture.ticket is None else self._safe.open(log, capture.ticket).get(_DIGEST, "")

    @staticmethod
    def _check_startable(capture: Capture, *, with_file: bool) -> None:
        """Make sure that it waits for this kind of start: one that comes with a capture file, or without."""
        takes_file = not capture.interface
        if with_file != takes_file:
            raise StateConflict("file" if takes_file else "interface")
        if capture.state not in WAITING:
            raise StateConflict(capture.state)

    def _check_room(self, on: Occasion, capture: Capture) -> Change:
        """Make sure that the tenant may have one more capture, and keep what it could make.

        The change says that there was a start: of two that were looked at together, one is looked at again.
        """
        log = on.log
        if self._books.store.count(log, kinds.CAPTURE_RECORD, LIVE) >= self._maxima.running:
            raise TooManyCaptures("running")
        kept = self._books.captures_in({CaptureState.SEALED, *LIVE}, log)
        stored = sum(one.evidence.sealed_bytes if one.evidence else one.limits.bytes for _at, one in kept)
        if stored + capture.limits.bytes > self._maxima.stored:
            raise TooManyCaptures("stored")
        known = self._books.store.get(log, kinds.CAPTURE_SLOT, kinds.CAPTURE_SLOT_ID)
        last = {"session": capture.id}
        if known is None:
            return fresh(kinds.CAPTURE_SLOT, kinds.CAPTURE_SLOT_ID, "", on.now_us, last)
        return changed(known, "", last)

    def _order(self, on: Occasion, capture: Capture) -> Order:
        private, selector = self._selector(on, capture)
        self._workers.check_readers(private.readers)
        self._workers.check_ready(capture.worker)
        ticket = StartTicket(
            id=capture.id,
            tenant=on.tenant,
            who=_printable(on.name),
            why=_printable(private.case),
            profile=capture.profile,
            limits=capture.limits,
            start_before_ns=on.now_us * 1_000 + START_PATIENCE_S * 1_000_000_000,
            worker=capture.worker,
            interface=capture.interface,
            file="" if capture.interface else _printable(private.file),
            selector=selector,
            raw_filter=private.wanted.raw_filter,
        )
        return Order(ticket, private.readers)

    def _selector(self, on: Occasion, capture: Capture) -> tuple[Private, Selector]:
        private = self.private(on.log, capture)
        if private is None:
            raise StateConflict("erased")
        place = self._places.of(on.tenant)
        return private, selector_of(place, capture.interface, private.wanted, capture.worker)


def _printable(text: str) -> str:
    """The text as the evidence may hold it."""
    return "".join(char if char.isprintable() else "?" for char in text)[:_LONGEST_TEXT] or "?"


def _started(capture: Capture) -> dict[str, object]:
    return {
        "attestation": capture.attestation,
        "profile": capture.profile,
        "limits": limits_in_entry(capture),
        "worker": capture.worker,
        "interface": capture.interface,
    }

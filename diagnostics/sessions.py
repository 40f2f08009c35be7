"""The way of a session from the request to the start, and its end by a person."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from linewarden.audit.keyring import Person
from linewarden.diagnostics import kinds
from linewarden.diagnostics.books import Books
from linewarden.diagnostics.capture.model import CaptureLimits, Profile, Selector, StopReason
from linewarden.diagnostics.capture.ticket import StartTicket, digest
from linewarden.diagnostics.errors import AttestationMissing, CaseMissing, SelfApproval, StateConflict
from linewarden.diagnostics.gates import (
    START_WITHIN_US,
    check_approval,
    check_in_time,
    check_limits,
    covering,
    needs_second_person,
)
from linewarden.diagnostics.grounds import stopped
from linewarden.diagnostics.model import Attestation, Terms
from linewarden.diagnostics.places import selector_of
from linewarden.diagnostics.ports import Order, Places, WorkerLauncher
from linewarden.diagnostics.records import canonical, read
from linewarden.diagnostics.session import Private, Reader, Session, SessionState, Wanted
from linewarden.diagnostics.states import LIVE, Event, follow
from linewarden.diagnostics.steps import Occasion, Safe, Step, changed, fresh
from linewarden.diagnostics.store.records import StoredRecord
from linewarden.diagnostics.usage import Counted

#: The worker must have begun within this time of its order; covers the start of its process.
_START_PATIENCE_NS = 30_000_000_000

_LONGEST_TEXT = 256
_ID_DOMAIN = "linewarden session v1"
_ID_DIGITS = 32
_FIELD = "asked"
_DIGEST = "ticket"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. Purpose and case are those of the occasion. Either interface or file is given."""

    profile: Profile
    wanted: Wanted
    limits: CaptureLimits
    interface: str
    readers: tuple[Reader, ...]
    extends: str = ""
    file: str = ""
    worker: str = ""


class SessionDesk:
    """Sessions of all tenants. The methods ask the database; they raise LogUnavailable beside what is stated."""

    def __init__(
        self,
        books: Books,
        safe: Safe,
        places: Places,
        workers: WorkerLauncher,
        maxima: CaptureLimits,
        new_id: Callable[[], str],
    ) -> None:
        self._books = books
        self._safe = safe
        self._places = places
        self._workers = workers
        self._maxima = maxima
        self._new_id = new_id

    def new_id(self, log: int = 0, caller: str = "", request_id: str = "") -> str:
        """The id of a session to be requested: the same for the same request of the same caller, if it is named."""
        if not request_id:
            return self._new_id()
        named = canonical([_ID_DOMAIN, log, caller, request_id])
        return hashlib.sha256(named).hexdigest()[:_ID_DIGITS]

    def request(self, on: Occasion, id: str, asked: Asked) -> Step[Session]:
        """Ask for a capture; it waits for what it lacks. Asked for again, the session of the first time is the result.

        Raises:
            CaseMissing, NotEnabled, LimitTooHigh, SelectorNotPermitted, FilterInvalid, ReaderUnusable: see `errors`.
            RecordNotFound, StateConflict: the session it extends is none that ran.
            StateConflict: there is one of this id already, for something else.
        """
        if not on.case or not on.purpose:
            raise CaseMissing
        if (stored := self._books.store.get(on.log, kinds.SESSION, id)) is not None:
            return self._again(on, read(Session, stored.body), asked)
        terms = self._books.enabled_terms(on.log)
        check_limits(asked.limits, self._maxima)
        selector_of(self._places.of(on.tenant), asked.interface, asked.wanted, asked.worker)
        self._workers.check_readers(asked.readers)
        if asked.extends:
            _at, earlier = self._books.session(on.log, asked.extends)
            if earlier.state not in LIVE | {SessionState.SEALED}:
                raise StateConflict(earlier.state)
        session = self._drafted(on, id, asked)
        session = self._attested_if_covered(on, replace(session, state=follow(session.state, Event.SUBMITTED)), terms)
        fields = {
            "session": id,
            "state": session.state,
            "source": "interface" if session.interface else "file",
            "worker": session.worker,
            "profile": session.profile,
            "limits": _limits(session),
            "purpose": session.purpose,
            "attestation": session.attestation,
            "extends": asked.extends,
        }
        entry = on.entry(f"{kinds.CAPTURE}requested", fields, [session.private])
        change = fresh(kinds.SESSION, id, session.state, on.now_us, session)
        return Step(on.log, (entry,), (change,), session, counted=_counted(on, terms, "sessions_requested"))

    def approve(self, on: Occasion, id: str) -> Step[Session]:
        """Approve what somebody else asked for.

        Raises:
            NotTheCustomer, SelfApproval: this person cannot.
            NotEnabled, RecordNotFound, StateConflict, AttestationMissing: see `errors`.
        """
        on.by_customer()
        terms = self._books.enabled_terms(on.log)
        stored, session = self._books.session(on.log, id)
        if session.requested_by == on.sid:
            raise SelfApproval
        session = self._attested_if_covered(on, session, terms)
        if session.state is SessionState.PENDING_ATTESTATION:
            raise AttestationMissing
        after = replace(
            session,
            state=follow(session.state, Event.APPROVED),
            approved_by=on.sid,
            approved_us=on.now_us,
            approved_zone=on.zone,
            start_before_us=on.now_us + START_WITHIN_US,
        )
        return self._moved(on, stored, after, Event.APPROVED, {"attestation": after.attestation})

    def reject(self, on: Occasion, id: str) -> Step[Session]:
        """Refuse a session for good, before it runs.

        Raises:
            NotTheCustomer, RecordNotFound, StateConflict: see `errors`.
        """
        on.by_customer()
        stored, session = self._books.session(on.log, id)
        after = replace(session, state=follow(session.state, Event.REJECTED))
        return self._moved(on, stored, after, Event.REJECTED, {"reason": StopReason.REQUESTED})

    def start(self, on: Occasion, id: str, *, with_file: bool = False) -> Step[tuple[Session, Order]]:
        """Start the capture; every gate is looked at as if for the first time. The result says what to launch.

        `with_file` is whether a capture file comes with it: StateConflict where the session is not for one, and where
        it is and none comes.

        Raises:
            NotEnabled, RecordNotFound, StateConflict, AttestationMissing, ApprovalMissing, SelectorNotPermitted,
            FilterInvalid, LimitTooHigh, ReaderUnusable, DiagnosisUnavailable: see `errors`.
        """
        terms = self._books.enabled_terms(on.log)
        stored, session = self._books.session(on.log, id)
        if with_file is bool(session.interface):
            raise StateConflict("interface" if session.interface else "file")
        session = self._attested_if_covered(on, session, terms)
        if session.state is SessionState.PENDING_ATTESTATION:
            raise AttestationMissing
        after = replace(
            session,
            state=follow(session.state, Event.STARTED),
            started_by=on.sid,
            started_us=on.now_us,
            started_zone=on.zone,
        )
        check_in_time(session, on.now_us)
        self._check_grounds(on, session, terms)
        check_limits(session.limits, self._maxima)
        order = self._order(on, session)
        after = replace(after, ticket=self._safe.seal(_keeper(on), {_DIGEST: digest(order.ticket).hex()}))
        fields = {"attestation": session.attestation, "profile": session.profile, "limits": _limits(session)}
        step = self._moved(on, stored, after, Event.STARTED, fields)
        counted = _counted(on, terms, "sessions_started", f"profile_{session.profile}")
        return Step(on.log, step.entries, step.changes, (after, order), counted=counted)

    def pause(self, on: Occasion, id: str) -> Step[Session]:
        """Let a capture that runs take no packets; its time goes on.

        Raises:
            RecordNotFound, StateConflict: there is none that does.
        """
        stored, session = self._books.session(on.log, id)
        after = replace(session, state=follow(session.state, Event.PAUSED))
        return self._moved(on, stored, after, Event.PAUSED, {})

    def resume(self, on: Occasion, id: str) -> Step[Session]:
        """Let a paused capture go on; every gate is looked at as if for the first time.

        Raises:
            RecordNotFound, StateConflict: there is none that is paused.
            NotEnabled, AttestationMissing, ApprovalMissing, SelectorNotPermitted: see `errors`.
        """
        terms = self._books.enabled_terms(on.log)
        stored, session = self._books.session(on.log, id)
        after = replace(session, state=follow(session.state, Event.RESUMED))
        self._check_grounds(on, session, terms)
        self._selector(on, session)
        return self._moved(on, stored, after, Event.RESUMED, {"attestation": session.attestation})

    def stop(self, on: Occasion, id: str) -> Step[Session]:
        """Stop a capture that runs or pauses.

        Raises:
            RecordNotFound, StateConflict: there is none that does.
        """
        stored, session = self._books.session(on.log, id)
        after = stopped(session, StopReason.REQUESTED)
        return self._moved(on, stored, after, Event.STOPPED, {"stop_reason": StopReason.REQUESTED})

    def give_up(self, on: Occasion, id: str) -> Step[Session]:
        """Let the time to keep the evidence end now: it is handed out no more, and deleted by whoever sweeps next.

        Should the file not be deleted at once, no record says that it was, and nobody forgets it.

        Raises:
            RecordNotFound, StateConflict: there is none whose capture has ended.
        """
        stored, session = self._books.session(on.log, id)
        follow(session.state, Event.DELETED)
        after = replace(session, delete_us=min(on.now_us, session.delete_us or on.now_us))
        fields = {"session": id, "state": after.state, "reason": StopReason.REQUESTED}
        entry = on.entry(kinds.CAPTURE_GIVEN_UP, fields)
        return Step(on.log, (entry,), (changed(stored, after.state, after),), after)

    def delete(self, on: Occasion, id: str) -> Step[Session]:
        """Record that the file is deleted; the record of the session stays.

        Raises:
            RecordNotFound, StateConflict: there is none whose capture has ended.
        """
        stored, session = self._books.session(on.log, id)
        after = replace(session, state=follow(session.state, Event.DELETED))
        return self._moved(on, stored, after, Event.DELETED, {"reason": StopReason.REQUESTED})

    def open(self, on: Occasion, id: str) -> Step[Session]:
        """Hand out the sealed file of a session.

        Raises:
            CaseMissing: no purpose is stated.
            RecordNotFound, StateConflict: there is none that was sealed.
        """
        if not on.purpose:
            raise CaseMissing
        _stored, session = self._books.session(on.log, id)
        kept = session.delete_us is None or on.now_us < session.delete_us
        if session.state is not SessionState.SEALED or session.evidence is None or not kept:
            raise StateConflict(session.state)
        fields = {"session": id, "purpose": on.purpose, "sealed_sha256": session.evidence.sealed_sha256}
        return Step(on.log, (on.entry(kinds.CAPTURE_OPENED, fields),), (), session)

    def private(self, log: int, session: Session) -> Private | None:
        """What was asked for in private; None if it can no longer be read."""
        value = self._safe.open(log, session.private).get(_FIELD)
        return None if value is None else read(Private, value.encode())

    def ticket_digest(self, log: int, session: Session) -> str:
        """What the chain of the evidence begins with, in hex; empty if there is none, or it can no longer be read."""
        return "" if session.ticket is None else self._safe.open(log, session.ticket).get(_DIGEST, "")

    def names(self, log: int, sessions: Sequence[Session]) -> dict[str, str]:
        """The names of those who took part, by pseudonym."""
        people = [(one.requested_by, one.approved_by, one.started_by) for one in sessions]
        return self._safe.names(log, [sid for trio in people for sid in trio])

    def _drafted(self, on: Occasion, id: str, asked: Asked) -> Session:
        private = Private(on.case, asked.wanted, asked.readers, asked.file)
        secret = self._safe.seal(_keeper(on), {_FIELD: canonical(private).decode()})
        return Session(
            id=id,
            state=SessionState.DRAFT,
            requested_by=on.sid,
            requested_us=on.now_us,
            purpose=on.purpose,
            profile=asked.profile,
            limits=asked.limits,
            interface=asked.interface,
            private=secret,
            worker=asked.worker,
            extends=asked.extends,
        )

    def _again(self, on: Occasion, session: Session, asked: Asked) -> Step[Session]:
        """The session that was asked for before, if this is what was asked for."""
        private = Private(on.case, asked.wanted, asked.readers, asked.file)
        before = (
            session.requested_by,
            session.purpose,
            session.profile,
            session.limits,
            session.interface,
            session.worker,
        )
        now = (on.sid, on.purpose, asked.profile, asked.limits, asked.interface, asked.worker)
        if before != now or session.extends != asked.extends or self.private(on.log, session) != private:
            raise StateConflict(session.state)
        return Step(on.log, (), (), session)

    def _attested_if_covered(self, on: Occasion, session: Session, terms: Terms) -> Session:
        if session.state is not SessionState.PENDING_ATTESTATION:
            return session
        try:
            attestation = covering(self._books.attestations_in_force(on.log, on.now_us), session, terms)
        except AttestationMissing:
            return session
        return attested(session, attestation, terms, on.now_us)

    def _check_grounds(self, on: Occasion, session: Session, terms: Terms) -> None:
        check_approval(session, terms)
        in_force = self._books.attestations_in_force(on.log, on.now_us)
        covering([one for one in in_force if one.id == session.attestation], session, terms)

    def _order(self, on: Occasion, session: Session) -> Order:
        private, selector = self._selector(on, session)
        self._workers.check_readers(private.readers)
        self._workers.check_ready(session.worker)
        ticket = StartTicket(
            id=session.id,
            tenant=on.tenant,
            who=_printable(on.name),
            why=_printable(private.case),
            profile=session.profile,
            limits=session.limits,
            start_before_ns=on.now_us * 1_000 + _START_PATIENCE_NS,
            worker=session.worker,
            interface=session.interface,
            file="" if session.interface else _printable(private.file),
            selector=selector,
            raw_filter=private.wanted.raw_filter,
        )
        return Order(ticket, private.readers)

    def _selector(self, on: Occasion, session: Session) -> tuple[Private, Selector]:
        private = self.private(on.log, session)
        if private is None:
            raise StateConflict("erased")
        return private, selector_of(self._places.of(on.tenant), session.interface, private.wanted, session.worker)

    @staticmethod
    def _moved(
        on: Occasion, stored: StoredRecord, after: Session, event: Event, fields: Mapping[str, object]
    ) -> Step[Session]:
        entry = on.entry(f"{kinds.CAPTURE}{event}", {"session": after.id, "state": after.state, **fields})
        return Step(on.log, (entry,), (changed(stored, after.state, after),), after)


def attested(session: Session, attestation: Attestation, terms: Terms, now_us: int) -> Session:
    """The session with the attestation it rests on; armed at once where no second person is needed."""
    after = replace(session, state=follow(session.state, Event.ATTESTED), attestation=attestation.id)
    if needs_second_person(after, terms):
        return after
    return replace(after, state=follow(after.state, Event.APPROVED), start_before_us=now_us + START_WITHIN_US)


def _keeper(on: Occasion) -> Person:
    if on.keeper is None:
        raise AssertionError("nobody keeps what is asked for")
    return on.keeper


def _limits(session: Session) -> dict[str, int]:
    limits = session.limits
    return {"seconds": limits.seconds, "bytes": limits.bytes, "packets": limits.packets, "snaplen": limits.snaplen}


def _printable(text: str) -> str:
    """The text as the evidence may hold it."""
    return "".join(char if char.isprintable() else "?" for char in text)[:_LONGEST_TEXT] or "?"


def _counted(on: Occasion, terms: Terms, *names: str) -> Counted | None:
    return Counted(on.now_us, names) if terms.shares_usage else None

"""The way of a capture from the request to the moment when it may start."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from linewarden.diagnostics import kinds
from linewarden.diagnostics.capture_model import Private, Reader, Capture, CaptureState, Wanted
from linewarden.diagnostics.captures.ports import WorkerLauncher
from linewarden.diagnostics.captures.preconditions import START_WITHIN_US, Gates, check_limits
from linewarden.diagnostics.change import Occasion, Safe, Step, changed, fresh
from linewarden.diagnostics.codec import canonical, read
from linewarden.diagnostics.consent_model import Secret, Terms
from linewarden.diagnostics.errors import AttestationMissing, CaseMissing, SelfApproval, StateConflict, TooManyCaptures
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, StopReason
from linewarden.diagnostics.places import selector_of
from linewarden.diagnostics.ports import Places
from linewarden.diagnostics.repository import Books
from linewarden.diagnostics.states import LIVE, WAITING, Event, follow
from linewarden.diagnostics.store.records import Ceiling, StoredRecord
from linewarden.diagnostics.usage import Counted

_ID_DOMAIN = "linewarden capture v1"
_ID_DIGITS = 32
_FIELD = "asked"


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


@dataclass(frozen=True, slots=True)
class Maxima:
    """What captures may take at most: `limits` each; of a tenant so many at once, waiting, and bytes kept sealed."""

    limits: CaptureLimits
    running: int
    waiting: int
    stored: int


class RequestDesk:
    """Requests and approvals of all tenants.

    The methods ask the database; they raise LogUnavailable beside what is stated.
    """

    def __init__(
        self,
        books: Books,
        safe: Safe,
        places: Places,
        workers: WorkerLauncher,
        maxima: Maxima,
        new_id: Callable[[], str],
    ) -> None:
        self._books = books
        self._safe = safe
        self._places = places
        self._workers = workers
        self._maxima = maxima
        self._new_id = new_id
        self._gates = Gates(books)

    def new_id(self, log: int = 0, caller: str = "", request_id: str = "") -> str:
        """The id of a capture to be requested: the same for the same request of the same caller, if it is named."""
        if not request_id:
            return self._new_id()
        named = canonical([_ID_DOMAIN, log, caller, request_id])
        return hashlib.sha256(named).hexdigest()[:_ID_DIGITS]

    def request(self, on: Occasion, id: str, asked: Asked) -> Step[Capture]:
        """Ask for a capture; it waits for what it lacks. Asked for again, the capture of the first time is the result.

        Raises:
            CaseMissing, NotEnabled, LimitTooHigh, SelectorNotPermitted, FilterInvalid, ReaderUnusable,
            TooManyCaptures, DiagnosisUnavailable: see `errors`.
            RecordNotFound, StateConflict: the capture it extends is none that ran for the same.
            StateConflict: there is one of this id already, for something else.
        """
        if not on.case or not on.purpose:
            raise CaseMissing
        if (stored := self._books.store.get(on.log, kinds.CAPTURE_RECORD, id)) is not None:
            return self._again(on, read(Capture, stored.body), asked)
        found, terms = self._books.enabled_terms(on.log)
        check_limits(asked.limits, self._maxima.limits)
        selector_of(self._places.of(on.tenant), asked.interface, asked.wanted, asked.worker)
        self._workers.check_readers(asked.readers)
        if asked.wanted.raw_filter:
            self._workers.check_filter(asked.wanted.raw_filter)
        if self._books.store.count(on.log, kinds.CAPTURE_RECORD, WAITING) >= self._maxima.waiting:
            raise TooManyCaptures("waiting")
        if asked.extends:
            self._check_extended(on, asked)
        capture, relies = self._grounded_if_covered(on, self._drafted(on, id, asked), terms)
        entry = on.entry(f"{kinds.CAPTURE}requested", _requested(capture), [capture.private])
        change = fresh(kinds.CAPTURE_RECORD, id, capture.state, on.now_us, capture)
        return Step(
            on.log,
            (entry,),
            (change,),
            capture,
            relies=(found, *relies),
            ceilings=(Ceiling(kinds.CAPTURE_RECORD, frozenset(WAITING), self._maxima.waiting),),
            counted=counted(on, terms, "sessions_requested"),
        )

    def approve(self, on: Occasion, id: str) -> Step[Capture]:
        """Approve what somebody else asked for.

        Raises:
            NotTheCustomer, SelfApproval: this person cannot.
            NotEnabled, RecordNotFound, StateConflict, AttestationMissing: see `errors`.
        """
        on.by_customer()
        found, terms = self._books.enabled_terms(on.log)
        stored, capture = self._books.capture(on.log, id)
        if capture.requested_by == on.sid:
            raise SelfApproval
        if capture.state not in {CaptureState.PENDING_ATTESTATION, CaptureState.PENDING_APPROVAL}:
            raise StateConflict(capture.state)
        found_on, relies = self._gates.grounded(on.log, capture, terms, on.now_us)
        first, capture = attested_entry(on, capture, found_on), found_on
        after = replace(
            capture,
            state=follow(capture.state, Event.APPROVED),
            approved_by=on.sid,
            approved_us=on.now_us,
            approved_zone=on.zone,
            start_before_us=on.now_us + START_WITHIN_US,
        )
        return moved(
            on, stored, after, Event.APPROVED, {"attestation": after.attestation}, (found, *relies), first=first
        )

    def reject(self, on: Occasion, id: str) -> Step[Capture]:
        """Refuse a capture for good, before it runs.

        Raises:
            NotTheCustomer, RecordNotFound, StateConflict: see `errors`.
        """
        on.by_customer()
        stored, capture = self._books.capture(on.log, id)
        after = replace(capture, state=follow(capture.state, Event.REJECTED))
        return moved(on, stored, after, Event.REJECTED, {"reason": StopReason.REQUESTED})

    def private(self, log: int, capture: Capture) -> Private | None:
        """What was asked for in private; None if it can no longer be read."""
        value = self._safe.open(log, capture.private).get(_FIELD)
        return None if value is None else read(Private, value.encode())

    def lacking(self, log: int, capture: Capture, now_us: int) -> tuple[str, ...]:
        """What a capture waits for an attestation of; nothing unless it does."""
        if capture.state is not CaptureState.PENDING_ATTESTATION:
            return ()
        return self._gates.lacking(log, capture, now_us)

    def names(self, log: int, captures: Sequence[Capture]) -> dict[str, str]:
        """The names of those who took part, by pseudonym."""
        people = [(one.requested_by, one.approved_by, one.started_by) for one in captures]
        return self._safe.names(log, [sid for trio in people for sid in trio])

    def _check_extended(self, on: Occasion, asked: Asked) -> None:
        """Only what is the same goes on; all else is another capture, and called so."""
        _at, earlier = self._books.capture(on.log, asked.extends)
        same = (earlier.purpose, earlier.profile, earlier.interface, earlier.worker)
        private = self.private(on.log, earlier)
        differs = same != (on.purpose, asked.profile, asked.interface, asked.worker)
        if differs or private is None or private.case != on.case:
            raise StateConflict("another")
        if earlier.state not in LIVE | {CaptureState.SEALED}:
            raise StateConflict(earlier.state)

    def _drafted(self, on: Occasion, id: str, asked: Asked) -> Capture:
        private = Private(on.case, asked.wanted, asked.readers, asked.file)
        secret = self._safe.seal(on.tenant_itself, {_FIELD: canonical(private).decode()})
        return Capture(
            id=id,
            state=follow(CaptureState.DRAFT, Event.SUBMITTED),
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

    def _again(self, on: Occasion, capture: Capture, asked: Asked) -> Step[Capture]:
        """The capture that was asked for before, if this is what was asked for."""
        private = Private(on.case, asked.wanted, asked.readers, asked.file)
        before = (capture.requested_by, capture.purpose, capture.profile, capture.limits)
        where = (capture.interface, capture.worker, capture.extends)
        now = (on.sid, on.purpose, asked.profile, asked.limits)
        same = before == now and where == (asked.interface, asked.worker, asked.extends)
        if not same or self.private(on.log, capture) != private:
            raise StateConflict(capture.state)
        return Step(on.log, (), (), capture)

    def _grounded_if_covered(
        self, on: Occasion, capture: Capture, terms: Terms
    ) -> tuple[Capture, tuple[StoredRecord, ...]]:
        try:
            return self._gates.grounded(on.log, capture, terms, on.now_us)
        except AttestationMissing:
            return capture, ()


def moved(
    on: Occasion,
    stored: StoredRecord,
    after: Capture,
    event: Event,
    fields: Mapping[str, object],
    relies: tuple[StoredRecord, ...] = (),
    sealed: Sequence[Secret] = (),
    first: tuple[bytes, ...] = (),
) -> Step[Capture]:
    """The step of one capture by one event; `first` are the entries of what comes with it and before it."""
    entry = on.entry(f"{kinds.CAPTURE}{event}", {"session": after.id, "state": after.state, **fields}, sealed)
    return Step(on.log, (*first, entry), (changed(stored, after.state, after),), after, relies=relies)


def attested_entry(on: Occasion, before: Capture, after: Capture) -> tuple[bytes, ...]:
    """The entry of a capture that found an attestation to rest on, if it did."""
    if before.state is not CaptureState.PENDING_ATTESTATION:
        return ()
    fields = {"session": after.id, "attestation": after.attestation, "state": after.state}
    return (on.entry(f"{kinds.CAPTURE}{Event.ATTESTED}", fields),)


def limits_in_entry(capture: Capture) -> dict[str, int]:
    """The limits of a capture as they stand in entries."""
    return asdict(capture.limits)


def counted(on: Occasion, terms: Terms, *names: str) -> Counted | None:
    """What is counted of a step, where the tenant shares counts."""
    return Counted(on.now_us, names) if terms.shares_usage else None


def _requested(capture: Capture) -> dict[str, object]:
    return {
        "session": capture.id,
        "state": capture.state,
        "source": "interface" if capture.interface else "file",
        "worker": capture.worker,
        "interface": capture.interface,
        "profile": capture.profile,
        "limits": limits_in_entry(capture),
        "purpose": capture.purpose,
        "attestation": capture.attestation,
        "extends": capture.extends,
    }

"""Requests and approvals: the life of a capture until it may start."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from linewarden.diagnostics import kinds
from linewarden.diagnostics.capture_model import (
    Capture,
    CaptureRight,
    CaptureState,
    PacketSelector,
    Private,
    Reader,
    rights_needed,
)
from linewarden.diagnostics.captures.ports import WorkerLauncher
from linewarden.diagnostics.captures.preconditions import START_WITHIN_US, Preconditions, check_limits
from linewarden.diagnostics.change import ActorContext, Change, changed, fresh
from linewarden.diagnostics.codec import canonical, read
from linewarden.diagnostics.consent_model import Secret, Terms
from linewarden.diagnostics.errors import AttestationMissing, CaseMissing, SelfApproval, StateConflict, TooManyCaptures
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, StopReason
from linewarden.diagnostics.places import selector_of
from linewarden.diagnostics.ports import Places
from linewarden.diagnostics.private_values import PrivateValues
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.states import LIVE, WAITING, Event, transition
from linewarden.diagnostics.store.records import Ceiling, StoredRecord
from linewarden.diagnostics.usage import Counted

_ID_DOMAIN = "linewarden capture v1"
_ID_DIGITS = 32
_FIELD = "asked"


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """A request for a capture. Purpose and case are in the actor context. Either interface or file is given."""

    profile: Profile
    selector: PacketSelector
    limits: CaptureLimits
    interface: str
    readers: tuple[Reader, ...]
    extends: str = ""
    file: str = ""
    worker: str = ""

    @property
    def rights(self) -> frozenset[CaptureRight]:
        """The rights that the request needs."""
        return rights_needed(CaptureRight.REQUEST, self.profile, raw_filter=bool(self.selector.raw_filter))


@dataclass(frozen=True, slots=True)
class Maxima:
    """The maxima: `limits` of each capture; of a tenant the captures running and waiting, and the bytes stored."""

    limits: CaptureLimits
    running: int
    waiting: int
    stored: int


class RequestService:
    """Requests and approvals of all tenants.

    The methods read the database; each may also raise LogUnavailable.
    """

    def __init__(
        self,
        repository: Repository,
        private_values: PrivateValues,
        places: Places,
        workers: WorkerLauncher,
        maxima: Maxima,
        new_id: Callable[[], str],
    ) -> None:
        self._repository = repository
        self._private_values = private_values
        self._places = places
        self._workers = workers
        self._maxima = maxima
        self._new_id = new_id
        self._preconditions = Preconditions(repository)

    def new_id(self, log_id: int = 0, caller: str = "", request_id: str = "") -> str:
        """Return the id of a new capture. A caller that repeats its request_id gets the same id."""
        if not request_id:
            return self._new_id()
        named = canonical([_ID_DOMAIN, log_id, caller, request_id])
        return hashlib.sha256(named).hexdigest()[:_ID_DIGITS]

    def request(self, ctx: ActorContext, id: str, request: CaptureRequest) -> Change[Capture]:
        """Request a capture. The result of a repeated request is the capture of the first one.

        Raises:
            CaseMissing, NotEnabled, LimitTooHigh, SelectorNotPermitted, FilterInvalid, ReaderUnusable,
            TooManyCaptures, DiagnosisUnavailable: see `errors`.
            RecordNotFound, StateConflict: the capture that it extends does not exist, or differs in purpose or place.
            StateConflict: the id belongs to a capture with another content.
        """
        if not ctx.case or not ctx.purpose:
            raise CaseMissing
        if (stored := self._repository.store.get(ctx.log, kinds.CAPTURE_RECORD, id)) is not None:
            return self._again(ctx, read(Capture, stored.body), request)
        found, terms = self._repository.enabled_terms(ctx.log)
        check_limits(request.limits, self._maxima.limits)
        selector_of(self._places.of(ctx.tenant), request.interface, request.selector, request.worker)
        self._workers.check_readers(request.readers)
        if request.selector.raw_filter:
            self._workers.check_filter(request.selector.raw_filter)
        if self._repository.store.count(ctx.log, kinds.CAPTURE_RECORD, WAITING) >= self._maxima.waiting:
            raise TooManyCaptures("waiting")
        if request.extends:
            self._check_extended(ctx, request)
        capture, relies = self._attested_if_covered(ctx, self._drafted(ctx, id, request), terms)
        entry = ctx.entry(kinds.CAPTURE_REQUESTED, _requested(capture), [capture.private])
        change = fresh(kinds.CAPTURE_RECORD, id, capture.state, ctx.now_us, capture)
        return Change(
            ctx.log,
            (entry,),
            (change,),
            capture,
            relies=(found, *relies),
            ceilings=(Ceiling(kinds.CAPTURE_RECORD, frozenset(WAITING), self._maxima.waiting),),
            counted=counted(ctx, terms, "sessions_requested"),
        )

    def approve(self, ctx: ActorContext, id: str) -> Change[Capture]:
        """Approve the request of another person.

        Raises:
            NotTheCustomer, SelfApproval: this person may not approve it.
            NotEnabled, RecordNotFound, StateConflict, AttestationMissing: see `errors`.
        """
        ctx.by_customer()
        found, terms = self._repository.enabled_terms(ctx.log)
        stored, capture = self._repository.capture(ctx.log, id)
        if capture.requested_by == ctx.sid:
            raise SelfApproval
        if capture.state not in {CaptureState.PENDING_ATTESTATION, CaptureState.PENDING_APPROVAL}:
            raise StateConflict(capture.state)
        attested_capture, relies = self._preconditions.with_attestation(ctx.log, capture, terms, ctx.now_us)
        first, capture = attested_entry(ctx, capture, attested_capture), attested_capture
        after = replace(
            capture,
            state=transition(capture.state, Event.APPROVED),
            approved_by=ctx.sid,
            approved_us=ctx.now_us,
            approved_zone=ctx.zone,
            start_before_us=ctx.now_us + START_WITHIN_US,
        )
        return moved(
            ctx, stored, after, Event.APPROVED, {"attestation": after.attestation}, (found, *relies), first=first
        )

    def reject(self, ctx: ActorContext, id: str) -> Change[Capture]:
        """Reject a capture for good, before it runs.

        Raises:
            NotTheCustomer, RecordNotFound, StateConflict: see `errors`.
        """
        ctx.by_customer()
        stored, capture = self._repository.capture(ctx.log, id)
        after = replace(capture, state=transition(capture.state, Event.REJECTED))
        return moved(ctx, stored, after, Event.REJECTED, {"reason": StopReason.REQUESTED})

    def private(self, log_id: int, capture: Capture) -> Private | None:
        """Return the private part of a capture; None if it is no longer readable."""
        value = self._private_values.open(log_id, capture.private).get(_FIELD)
        return None if value is None else read(Private, value.encode())

    def lacking(self, log_id: int, capture: Capture, now_us: int) -> tuple[str, ...]:
        """Return the parts that a capture needs an attestation for; empty unless it waits for one."""
        if capture.state is not CaptureState.PENDING_ATTESTATION:
            return ()
        return self._preconditions.lacking(log_id, capture, now_us)

    def names(self, log_id: int, captures: Sequence[Capture]) -> dict[str, str]:
        """Return the names of requesters, approvers and starters, by pseudonym."""
        people = [(one.requested_by, one.approved_by, one.started_by) for one in captures]
        return self._private_values.names(log_id, [sid for trio in people for sid in trio])

    def _check_extended(self, ctx: ActorContext, request: CaptureRequest) -> None:
        """Make sure that the capture continues an equal one; any other capture is a separate one."""
        _at, earlier = self._repository.capture(ctx.log, request.extends)
        same = (earlier.purpose, earlier.profile, earlier.interface, earlier.worker)
        private = self.private(ctx.log, earlier)
        differs = same != (ctx.purpose, request.profile, request.interface, request.worker)
        if differs or private is None or private.case != ctx.case:
            raise StateConflict("another")
        if earlier.state not in LIVE | {CaptureState.SEALED}:
            raise StateConflict(earlier.state)

    def _drafted(self, ctx: ActorContext, id: str, request: CaptureRequest) -> Capture:
        private = Private(ctx.case, request.selector, request.readers, request.file)
        secret = self._private_values.seal(ctx.tenant_key_holder, {_FIELD: canonical(private).decode()})
        return Capture(
            id=id,
            state=transition(CaptureState.DRAFT, Event.SUBMITTED),
            requested_by=ctx.sid,
            requested_us=ctx.now_us,
            purpose=ctx.purpose,
            profile=request.profile,
            limits=request.limits,
            interface=request.interface,
            private=secret,
            worker=request.worker,
            extends=request.extends,
        )

    def _again(self, ctx: ActorContext, capture: Capture, request: CaptureRequest) -> Change[Capture]:
        """Return the capture of an equal earlier request."""
        private = Private(ctx.case, request.selector, request.readers, request.file)
        before = (capture.requested_by, capture.purpose, capture.profile, capture.limits)
        where = (capture.interface, capture.worker, capture.extends)
        now = (ctx.sid, ctx.purpose, request.profile, request.limits)
        same = before == now and where == (request.interface, request.worker, request.extends)
        if not same or self.private(ctx.log, capture) != private:
            raise StateConflict(capture.state)
        return Change(ctx.log, (), (), capture)

    def _attested_if_covered(
        self, ctx: ActorContext, capture: Capture, terms: Terms
    ) -> tuple[Capture, tuple[StoredRecord, ...]]:
        try:
            return self._preconditions.with_attestation(ctx.log, capture, terms, ctx.now_us)
        except AttestationMissing:
            return capture, ()


def moved(
    ctx: ActorContext,
    stored: StoredRecord,
    after: Capture,
    event: Event,
    fields: Mapping[str, object],
    relies: tuple[StoredRecord, ...] = (),
    sealed: Sequence[Secret] = (),
    first: tuple[bytes, ...] = (),
) -> Change[Capture]:
    """Return the change of one capture by one event. `first` are entries to append before the entry of the event."""
    entry = ctx.entry(f"{kinds.CAPTURE}{event}", {"session": after.id, "state": after.state, **fields}, sealed)
    return Change(ctx.log, (*first, entry), (changed(stored, after.state, after),), after, relies=relies)


def attested_entry(ctx: ActorContext, before: Capture, after: Capture) -> tuple[bytes, ...]:
    """Return the entry that a waiting capture got an attestation; empty if it did not wait for one."""
    if before.state is not CaptureState.PENDING_ATTESTATION:
        return ()
    fields = {"session": after.id, "attestation": after.attestation, "state": after.state}
    return (ctx.entry(f"{kinds.CAPTURE}{Event.ATTESTED}", fields),)


def limits_in_entry(capture: Capture) -> dict[str, int]:
    """Return the limits of a capture as a log entry has them."""
    return asdict(capture.limits)


def counted(ctx: ActorContext, terms: Terms, *names: str) -> Counted | None:
    """Return the counts of a change; None unless the tenant shares counts."""
    return Counted(ctx.now_us, names) if terms.shares_usage else None


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

"""What must hold before a capture may run.

The gates are looked at when a session is requested, when it is approved, when it is started or resumed, and again and
again while it runs; an earlier look never stands in for a later one. Whoever makes a step from such a look names the
records it saw (`Step.relies`), so that nothing is appended on grounds that are gone by then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from linewarden.diagnostics.capture_model import Session, SessionState
from linewarden.diagnostics.consent_model import Attestation, Terms
from linewarden.diagnostics.errors import ApprovalMissing, AttestationMissing, LimitTooHigh
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, StopReason
from linewarden.diagnostics.repository import Books, InForce
from linewarden.diagnostics.states import CAPTURING, Event, follow
from linewarden.diagnostics.store.records import StoredRecord

#: An approved session must be started within this time: what was approved is a capture now, not one some day.
START_WITHIN_US = 24 * 3_600_000_000

_RANK = {Profile.HEADERS: 0, Profile.SIGNALLING: 1, Profile.MEDIA: 2}


def check_limits(limits: CaptureLimits, maxima: CaptureLimits) -> None:
    """Make sure that no limit is laxer than the server's.

    Raises:
        LimitTooHigh: one is; `detail` names it.
    """
    most = asdict(maxima)
    for name, value in asdict(limits).items():
        lax = value < most[name] if name == "disk_free_min" else value > most[name]
        if lax:
            raise LimitTooHigh(name)


def needs_second_person(session: Session, terms: Terms) -> bool:
    """Whether somebody else must approve the session."""
    return session.profile is Profile.MEDIA or not terms.approval_waived


def lacking(attestation: Attestation, session: Session, terms: Terms) -> tuple[str, ...]:
    """What of a session users were not told by an attestation, in words of the contract; nothing if it covers it.

    Whether the attestation is in force is another question.
    """
    statement, promised = attestation.statement, attestation.statement.promised
    lacks = {
        "purpose": statement.purpose != session.purpose,
        "profile": _RANK[session.profile] > _RANK[promised.profile],
        "seconds": session.limits.seconds > promised.seconds,
        "retention_days": terms.retention_days > promised.retention_days,
        "dpia_reference": session.profile is Profile.MEDIA and not has_dpia(attestation),
    }
    return tuple(name for name, lacks_it in lacks.items() if lacks_it)


def has_dpia(attestation: Attestation) -> bool:
    """Whether the attestation names a data protection impact assessment."""
    return attestation.statement.has_dpia


def covering(in_force: Iterable[InForce], session: Session, terms: Terms) -> InForce:
    """The attestation the session can rest on: of those that cover it, the one that lasts longest.

    Raises:
        AttestationMissing: none does.
    """
    fitting = [one for one in in_force if not lacking(one.attestation, session, terms)]
    if not fitting:
        raise AttestationMissing
    return max(fitting, key=lambda one: one.attestation.statement.valid_until_us)


def attested(session: Session, attestation: Attestation, terms: Terms, now_us: int) -> Session:
    """The session with the attestation it rests on; armed at once where no second person is needed."""
    after = replace(session, state=follow(session.state, Event.ATTESTED), attestation=attestation.id)
    if needs_second_person(after, terms):
        return after
    return replace(after, state=follow(after.state, Event.APPROVED), start_before_us=now_us + START_WITHIN_US)


def promised(session: Session, terms: Terms) -> Terms:
    """The terms as they were promised when the session started: laxer ones since then do not touch it."""
    return replace(terms, retention_days=min(terms.retention_days, session.retention_days or terms.retention_days))


def check_approval(session: Session, terms: Terms, *, approver_stands: bool) -> None:
    """Make sure that the session was approved where it must be, by somebody who still may.

    Raises:
        ApprovalMissing: it was not.
    """
    if session.approved_by and not approver_stands:
        raise ApprovalMissing
    if needs_second_person(session, terms) and not session.approved_by:
        raise ApprovalMissing


def check_in_time(session: Session, now_us: int) -> None:
    """Make sure that the session, once armed, was not left for too long.

    Raises:
        ApprovalMissing: it was.
    """
    if session.start_before_us is None or now_us >= session.start_before_us:
        raise ApprovalMissing


class Gates:
    """The gates of all tenants. The methods ask the database; they raise LogUnavailable beside what is stated."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def grounded(
        self, log: int, session: Session, terms: Terms, now_us: int
    ) -> tuple[Session, tuple[StoredRecord, ...]]:
        """The session on an attestation that covers it now, and the records that say so.

        It keeps the one it has. One that waits for approval may change it; one that is approved may not, for an
        approval is for the grounds it was given on.

        Raises:
            AttestationMissing: there is none.
        """
        in_force = self._books.attestations_in_force(log, now_us)
        own = [one for one in in_force if one.attestation.id == session.attestation]
        match session.state:
            case SessionState.PENDING_ATTESTATION:
                found = covering(in_force, session, terms)
                return attested(session, found.attestation, terms, now_us), found.records
            case SessionState.PENDING_APPROVAL:
                found = covering(_preferred(own, session, terms) or in_force, session, terms)
                return replace(session, attestation=found.attestation.id), found.records
            case _:
                return session, covering(own, session, terms).records

    def why_gone(self, log: int, session: Session, terms: Terms, now_us: int) -> StopReason | None:
        """Why a session has lost the grounds it rests on; None if it has them."""
        _stored, attestation = self._books.attestation(log, session.attestation)
        laxer = bool(lacking(attestation, session, promised(session, terms)))
        if session.state in CAPTURING and not session.approved_by:
            laxer |= needs_second_person(session, terms)
        gone = {
            StopReason.ATTESTATION_WITHDRAWN: attestation.withdrawn_us is not None,
            StopReason.NOTICE_REPLACED: self._books.current_notice_of(log, attestation) is None,
            StopReason.ATTESTATION_EXPIRED: not attestation.in_force(now_us),
            StopReason.POLICY_CHANGED: not terms.enabled or laxer,
        }
        return next((reason for reason, is_so in gone.items() if is_so), None)

    def lacking(self, log: int, session: Session, now_us: int) -> tuple[str, ...]:
        """What attestations in force lack for a session that waits for one; `attestation` if there is none."""
        _stored, terms = self._books.terms(log)
        in_force = self._books.attestations_in_force(log, now_us)
        found = [lacking(one.attestation, session, terms) for one in in_force]
        return min(found, key=len) if found else ("attestation",)


def _preferred(own: Sequence[InForce], session: Session, terms: Terms) -> list[InForce]:
    return [one for one in own if not lacking(one.attestation, session, terms)]

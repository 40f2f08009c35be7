"""Preconditions of a capture.

They are checked when a capture is requested, approved, started or resumed, and again and again while it runs. An
earlier check never replaces a later one. A change that follows from a check names the records that were read
(`Change.relies`), so that nothing is appended on prerequisites that are lost by then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

from linewarden.diagnostics.capture_model import Capture, CaptureState
from linewarden.diagnostics.consent_model import Attestation, Terms
from linewarden.diagnostics.errors import ApprovalMissing, AttestationMissing, LimitTooHigh
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, StopReason
from linewarden.diagnostics.repository import InForce, Repository
from linewarden.diagnostics.states import CAPTURING, Event, transition
from linewarden.diagnostics.store.records import StoredRecord

#: An approved capture must be started within this time, because the approval is for a capture now.
START_WITHIN_US = 24 * 3_600_000_000

_RANK = {Profile.HEADERS: 0, Profile.SIGNALLING: 1, Profile.MEDIA: 2}


def check_limits(limits: CaptureLimits, maxima: CaptureLimits) -> None:
    """Make sure that no limit is laxer than the server's.

    Raises:
        LimitTooHigh: a limit is; `detail` names it.
    """
    most = asdict(maxima)
    for name, value in asdict(limits).items():
        lax = value < most[name] if name == "disk_free_min" else value > most[name]
        if lax:
            raise LimitTooHigh(name)


def needs_second_person(capture: Capture, terms: Terms) -> bool:
    """Return whether a second person must approve the capture."""
    return capture.profile is Profile.MEDIA or not terms.approval_waived


def lacking(attestation: Attestation, capture: Capture, terms: Terms) -> tuple[str, ...]:
    """Return the parts of a capture that an attestation does not cover, in words of the contract.

    This does not check that the attestation is in force.
    """
    statement, promised = attestation.statement, attestation.statement.promised
    lacks = {
        "purpose": statement.purpose != capture.purpose,
        "profile": _RANK[capture.profile] > _RANK[promised.profile],
        "seconds": capture.limits.seconds > promised.seconds,
        "retention_days": terms.retention_days > promised.retention_days,
        "dpia_reference": capture.profile is Profile.MEDIA and not has_dpia(attestation),
    }
    return tuple(name for name, lacks_it in lacks.items() if lacks_it)


def has_dpia(attestation: Attestation) -> bool:
    """Return whether the attestation names a data protection impact assessment."""
    return attestation.statement.has_dpia


def covering(in_force: Iterable[InForce], capture: Capture, terms: Terms) -> InForce:
    """Return the attestation for the capture: of those that cover it, the one that lasts longest.

    Raises:
        AttestationMissing: no attestation covers it.
    """
    fitting = [one for one in in_force if not lacking(one.attestation, capture, terms)]
    if not fitting:
        raise AttestationMissing
    return max(fitting, key=lambda one: one.attestation.statement.valid_until_us)


def attested(capture: Capture, attestation: Attestation, terms: Terms, now_us: int) -> Capture:
    """Return the capture with the attestation it relies on; armed at once if no second person is needed."""
    after = replace(capture, state=transition(capture.state, Event.ATTESTED), attestation=attestation.id)
    if needs_second_person(after, terms):
        return after
    return replace(after, state=transition(after.state, Event.APPROVED), start_before_us=now_us + START_WITHIN_US)


def promised(capture: Capture, terms: Terms) -> Terms:
    """Return the terms that were promised when the capture started. A longer retention since then is ignored."""
    return replace(terms, retention_days=min(terms.retention_days, capture.retention_days or terms.retention_days))


def check_approval(capture: Capture, terms: Terms, *, approver_stands: bool) -> None:
    """Make sure that the capture is approved if it must be, by a person who may still approve.

    Raises:
        ApprovalMissing: the approval is missing, or the approver may no longer approve.
    """
    if capture.approved_by and not approver_stands:
        raise ApprovalMissing
    if needs_second_person(capture, terms) and not capture.approved_by:
        raise ApprovalMissing


def check_in_time(capture: Capture, now_us: int) -> None:
    """Make sure that the armed capture is started in time.

    Raises:
        ApprovalMissing: the time is over.
    """
    if capture.start_before_us is None or now_us >= capture.start_before_us:
        raise ApprovalMissing


class Preconditions:
    """The checks that need records. The methods read the database; each may also raise LogUnavailable."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def with_attestation(
        self, log_id: int, capture: Capture, terms: Terms, now_us: int
    ) -> tuple[Capture, tuple[StoredRecord, ...]]:
        """Return the capture with an attestation that covers it now, and the records that prove it.

        A capture keeps its attestation. While it waits for approval it may take another one. An approved capture may
        not, because the approval was given for its attestation.

        Raises:
            AttestationMissing: no attestation covers it.
        """
        in_force = self._repository.attestations_in_force(log_id, now_us)
        own = [one for one in in_force if one.attestation.id == capture.attestation]
        match capture.state:
            case CaptureState.PENDING_ATTESTATION:
                found = covering(in_force, capture, terms)
                return attested(capture, found.attestation, terms, now_us), found.records
            case CaptureState.PENDING_APPROVAL:
                found = covering(_preferred(own, capture, terms) or in_force, capture, terms)
                return replace(capture, attestation=found.attestation.id), found.records
            case _:
                return capture, covering(own, capture, terms).records

    def lost_prerequisite(self, log_id: int, capture: Capture, terms: Terms, now_us: int) -> StopReason | None:
        """Return the prerequisite that a capture has lost, as a reason to stop; None if it has all of them."""
        _stored, attestation = self._repository.attestation(log_id, capture.attestation)
        laxer = bool(lacking(attestation, capture, promised(capture, terms)))
        if capture.state in CAPTURING and not capture.approved_by:
            laxer |= needs_second_person(capture, terms)
        lost = {
            StopReason.ATTESTATION_WITHDRAWN: attestation.withdrawn_us is not None,
            StopReason.NOTICE_REPLACED: self._repository.current_notice_of(log_id, attestation) is None,
            StopReason.ATTESTATION_EXPIRED: not attestation.in_force(now_us),
            StopReason.POLICY_CHANGED: not terms.enabled or laxer,
        }
        return next((reason for reason, is_lost in lost.items() if is_lost), None)

    def lacking(self, log_id: int, capture: Capture, now_us: int) -> tuple[str, ...]:
        """Return the parts of a capture that no attestation in force covers; `attestation` if none is in force."""
        _stored, terms = self._repository.terms(log_id)
        in_force = self._repository.attestations_in_force(log_id, now_us)
        found = [lacking(one.attestation, capture, terms) for one in in_force]
        return min(found, key=len) if found else ("attestation",)


def _preferred(own: Sequence[InForce], capture: Capture, terms: Terms) -> list[InForce]:
    return [one for one in own if not lacking(one.attestation, capture, terms)]

"""What must hold before a capture may run, as plain functions of what is known.

The gates are looked at when a session is requested, when it is approved, when it is started, and again and again while
it runs; an earlier look never stands in for a later one.
"""

from collections.abc import Iterable
from dataclasses import asdict

from linewarden.diagnostics.capture.model import CaptureLimits, Profile
from linewarden.diagnostics.errors import ApprovalMissing, AttestationMissing, LimitTooHigh
from linewarden.diagnostics.model import Attestation, Terms
from linewarden.diagnostics.session import Session

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


def covers(attestation: Attestation, session: Session, terms: Terms) -> bool:
    """Whether what users were told includes this session. Whether it is in force is another question."""
    statement, promised = attestation.statement, attestation.statement.promised
    return (
        statement.purpose == session.purpose
        and _RANK[session.profile] <= _RANK[promised.profile]
        and session.limits.seconds <= promised.seconds
        and terms.retention_days <= promised.retention_days
        and (session.profile is not Profile.MEDIA or bool(statement.dpia_reference))
    )


def covering(attestations: Iterable[Attestation], session: Session, terms: Terms) -> Attestation:
    """The attestation the session can rest on: of those that cover it, the one that lasts longest.

    Raises:
        AttestationMissing: none does.
    """
    fitting = [one for one in attestations if covers(one, session, terms)]
    if not fitting:
        raise AttestationMissing
    return max(fitting, key=lambda one: one.statement.valid_until_us)


def check_approval(session: Session, terms: Terms) -> None:
    """Make sure that the session was approved where it must be.

    Raises:
        ApprovalMissing: it was not.
    """
    if needs_second_person(session, terms) and not session.approved_by:
        raise ApprovalMissing


def check_in_time(session: Session, now_us: int) -> None:
    """Make sure that the session, once armed, was not left for too long.

    Raises:
        ApprovalMissing: it was.
    """
    if session.start_before_us is None or now_us >= session.start_before_us:
        raise ApprovalMissing

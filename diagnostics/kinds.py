"""The kinds of log entries of diagnostics, and the kinds of records that they report.

diagnostics.enabled, diagnostics.disabled    the terms, with the responsibilities accepted
diagnostics.refused                          a request that was refused, with the reason
notice.published                             a version of a notice: its hash and languages
notice.dispatched                            mails are about to leave, with their recipients
notice.received                              receipts: imported, or results of mails
notice.confirmed, notice.listed              a user confirmed a notice, or listed the captures that run
notice.read                                  notices were listed, or one was shown
attestation.made, attestation.withdrawn      the statement that users were informed, with the signed note
capture.requested, .attested, .approved, .rejected, .started, .paused, .resumed, .stopped, .sealed, .failed,
.deleted, .grounds_lost
                                             the transitions of a capture
capture.given_up                             its evidence is to be deleted before its time
capture.opened                               the sealed file was handed out
probe.run                                    a probe, with the hash of its findings
usage.shared, usage.kept                     the tenant opted in to, or out of, sharing counts
"""

from linewarden.diagnostics.states import Event

DIAGNOSTICS_ENABLED = "diagnostics.enabled"
DIAGNOSTICS_DISABLED = "diagnostics.disabled"
DIAGNOSTICS_REFUSED = "diagnostics.refused"
NOTICE_PUBLISHED = "notice.published"
NOTICE_DISPATCHED = "notice.dispatched"
NOTICE_RECEIVED = "notice.received"
NOTICE_CONFIRMED = "notice.confirmed"
NOTICE_LISTED = "notice.listed"
NOTICE_READ = "notice.read"
ATTESTATION_MADE = "attestation.made"
ATTESTATION_WITHDRAWN = "attestation.withdrawn"
CAPTURE = "capture."
CAPTURE_REQUESTED = "capture.requested"
CAPTURE_OPENED = "capture.opened"
CAPTURE_GIVEN_UP = "capture.given_up"
PROBE_RUN = "probe.run"
USAGE_SHARED = "usage.shared"
USAGE_OPTED_OUT = "usage.kept"

#: All kinds of entries. The request of a capture is its event SUBMITTED.
KINDS = frozenset((
    DIAGNOSTICS_ENABLED, DIAGNOSTICS_DISABLED, DIAGNOSTICS_REFUSED, NOTICE_PUBLISHED, NOTICE_DISPATCHED,
    NOTICE_RECEIVED, NOTICE_CONFIRMED, NOTICE_LISTED, NOTICE_READ, ATTESTATION_MADE, ATTESTATION_WITHDRAWN,
    CAPTURE_REQUESTED, CAPTURE_OPENED, CAPTURE_GIVEN_UP, PROBE_RUN, USAGE_SHARED, USAGE_OPTED_OUT,
    *(f"{CAPTURE}{event}" for event in Event if event is not Event.SUBMITTED),
))  # fmt: skip

#: Kinds of records.
TERMS = "terms"
NOTICE = "notice"
NOTICE_VERSION = "notice_version"
SENDING = "sending"
ATTESTATION = "attestation"
CAPTURE_RECORD = "session"
CAPTURE_SLOT = "room"

#: The one record of terms of a tenant, and the one record that each start changes, so that starts have an order.
TERMS_ID = "terms"
CAPTURE_SLOT_ID = "room"


def version_id(notice: str, version: int) -> str:
    """Return the id of the record of a version of a notice. The id of a notice has no @."""
    return f"{notice}@{version}"

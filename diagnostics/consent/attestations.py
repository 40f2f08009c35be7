"""Attestations: signed statements that users were informed.

The service signs for the attestor. The signed bytes are canonical JSON of all fields that are not private, with a
commitment to the private texts. The signature therefore reveals nothing that could be guessed, and a person who is
shown the private texts can check them against it. All texts in the attestor's own words are private, also the audience
and the reference of the impact assessment.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from linewarden.audit.note import Signer, sign_note
from linewarden.diagnostics import kinds
from linewarden.diagnostics.capture_model import CaptureState
from linewarden.diagnostics.captures.preconditions import attested, lacking
from linewarden.diagnostics.captures.prerequisites import revoke_unattested
from linewarden.diagnostics.change import ActorContext, Change, changed, fresh
from linewarden.diagnostics.consent.notices import NoticeService
from linewarden.diagnostics.consent_model import Attestation, AttestedTexts, Notice, Statement
from linewarden.diagnostics.errors import AttestationInvalid, NoticeNotCurrent, StateConflict
from linewarden.diagnostics.packets.model import Profile, StopReason
from linewarden.diagnostics.private_values import PrivateValues
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.states import LIVE, WAITING, Event
from linewarden.diagnostics.store.records import RecordChange

#: No attestation lasts longer, because users change and forget.
LONGEST_US = 366 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class AttestationChanged:
    """The attestation after the change, and the captures that advanced or lost their prerequisites."""

    attestation: Attestation
    captures: tuple[str, ...]


class AttestationService:
    """The use cases of attestations. The methods read the database; each may also raise LogUnavailable."""

    def __init__(
        self,
        repository: Repository,
        private_values: PrivateValues,
        notices: NoticeService,
        signer: Callable[[int], Signer],
        new_id: Callable[[], str],
    ) -> None:
        """`signer` is the key that signs for a log."""
        self._repository = repository
        self._private_values = private_values
        self._notices = notices
        self._signer = signer
        self._new_id = new_id

    def make(self, ctx: ActorContext, statement: Statement) -> Change[AttestationChanged]:
        """Attest that users were informed. Captures that waited for the attestation advance.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
            NotEnabled: diagnostics are not enabled.
            RecordNotFound, NoticeNotCurrent: there is no such notice, or it has another version.
            AttestationInvalid: the statement contradicts itself, the notice or the clock, or informs no user.
        """
        ctx.by_customer()
        found, terms = self._repository.enabled_terms(ctx.log)
        attested_notice, notice = self._repository.notice(ctx.log, statement.notice_id)
        if notice.version != statement.notice_version:
            raise NoticeNotCurrent
        _check(statement, self._notices.opened(ctx.log, notice), ctx.now_us)
        attestation = self._signed(ctx, statement, notice)
        entries, changes, ids = [_made(ctx, attestation)], [_new(ctx, attestation)], []
        for stored, capture in self._repository.captures_in((CaptureState.PENDING_ATTESTATION,), ctx.log):
            if not attestation.in_force(ctx.now_us) or lacking(attestation, capture, terms):
                continue
            after = attested(capture, attestation, terms, ctx.now_us)
            fields = {"session": capture.id, "attestation": attestation.id, "state": after.state}
            entries.append(ctx.entry(f"{kinds.CAPTURE}{Event.ATTESTED}", fields))
            changes.append(changed(stored, after.state, after))
            ids.append(capture.id)
        result = AttestationChanged(attestation, tuple(ids))
        return Change(ctx.log, tuple(entries), tuple(changes), result, relies=(found, attested_notice))

    def withdraw(self, ctx: ActorContext, id: str) -> Change[AttestationChanged]:
        """Withdraw an attestation. Captures that rely on it wait again, or stop.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
            RecordNotFound: there is no such attestation.
            StateConflict: it is already withdrawn.
        """
        ctx.by_customer()
        stored, attestation = self._repository.attestation(ctx.log, id)
        if attestation.withdrawn_us is not None:
            raise StateConflict("withdrawn")
        after = replace(attestation, withdrawn_us=ctx.now_us)
        affected = [
            (at, capture)
            for at, capture in self._repository.captures_in(WAITING | LIVE, ctx.log)
            if capture.attestation == id
        ]
        lost = revoke_unattested(ctx, affected, Event.GROUNDS_LOST, StopReason.ATTESTATION_WITHDRAWN)
        entries = (ctx.entry(kinds.ATTESTATION_WITHDRAWN, {"attestation": id}), *lost.entries)
        changes = (changed(stored, "withdrawn", after), *lost.changes)
        return Change(ctx.log, entries, changes, AttestationChanged(after, lost.captures))

    def opened(self, log_id: int, attestation: Attestation) -> Statement:
        """Return the statement with its private texts; empty texts if they are no longer readable."""
        return replace(
            attestation.statement, texts=AttestedTexts(**self._private_values.open(log_id, attestation.private))
        )

    def verifier_key(self, log_id: int) -> str:
        """Return the key that verifies the notes of a log."""
        return str(self._signer(log_id).verifier)

    def _signed(self, ctx: ActorContext, statement: Statement, notice: Notice) -> Attestation:
        if ctx.actor is None:
            raise AssertionError("an attestation needs an attestor")
        private = self._private_values.seal(ctx.actor, asdict(statement.texts))
        public = replace(statement, texts=AttestedTexts())
        bare = Attestation(self._new_id(), ctx.sid, ctx.now_us, notice.hash, public, private, note="")
        return replace(bare, note=sign_note(signed_text(bare), self._signer(ctx.log)))


def signed_text(attestation: Attestation) -> str:
    """Return the signed text: one line of canonical JSON."""
    statement = {name: value for name, value in asdict(attestation.statement).items() if name != "texts"}
    content = {
        "attestation": attestation.id,
        "attestor": attestation.attestor,
        "made": attestation.made_us,
        "notice_hash": attestation.notice_hash,
        "private": attestation.private.commit,
        "statement": statement,
    }
    # ASCII only, so that no character of a text can be a control character of the note.
    return json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n"


def _check(statement: Statement, notice: Notice, now_us: int) -> None:
    used = {one.channel for one in statement.channels}
    faults = {
        "notified_until": not statement.notified_from_us <= statement.notified_until_us,
        "notified_from": statement.notified_from_us < notice.published_us,
        "valid_until": not max(now_us, statement.notified_until_us) < statement.valid_until_us <= now_us + LONGEST_US,
        "informed_count": statement.informed_count == 0,
        "confirmed_count": statement.confirmed_count > statement.informed_count,
        "audience": statement.texts.audience != notice.audience,
        "channels": not used <= set(notice.channels) or len(used) < len(statement.channels),
        "dpia_reference": statement.promised.profile is Profile.MEDIA and not statement.has_dpia,
    }
    for field, wrong in faults.items():
        if wrong:
            raise AttestationInvalid(field)


def _made(ctx: ActorContext, attestation: Attestation) -> bytes:
    statement = attestation.statement
    fields = {
        "attestation": attestation.id,
        "note": attestation.note,
        "notice": statement.notice_id,
        "notice_version": statement.notice_version,
        "valid_until": statement.valid_until_us,
    }
    return ctx.entry(kinds.ATTESTATION_MADE, fields, [attestation.private])


def _new(ctx: ActorContext, attestation: Attestation) -> RecordChange:
    return fresh(kinds.ATTESTATION, attestation.id, "made", ctx.now_us, attestation)

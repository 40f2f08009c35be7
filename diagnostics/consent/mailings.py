"""Mailings of notices: recorded before the first mail leaves, so that no mail leaves twice."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from linewarden.diagnostics import kinds
from linewarden.diagnostics.change import ActorContext, Change, changed, fresh
from linewarden.diagnostics.codec import canonical, read
from linewarden.diagnostics.consent.notices import NoticeService
from linewarden.diagnostics.consent_model import DeliveryOutcome, Mailing, MailResult, Notice, NoticeChannel, Receipt
from linewarden.diagnostics.errors import DiagnosisUnavailable, RecordNotFound, StateConflict
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.store.records import StoredRecord

#: A mailing without results is lost after this time, because its process has ended, microseconds.
LOST_AFTER_US = 180 * 1_000_000

_ID_DOMAIN = "linewarden sending v1"
_ID_DIGITS = 32
_BEGUN, _DONE, _UNSENT = "begun", "done", "unsent"


@dataclass(frozen=True, slots=True)
class Begun:
    """A mailing with its notice. Only a new mailing is to be sent; another one has the known results."""

    notice: Notice
    mailing: Mailing
    new: bool


class MailingService:
    """The use cases of mailings. The methods read the database; each may also raise LogUnavailable."""

    def __init__(self, repository: Repository, notices: NoticeService, new_id: Callable[[], str]) -> None:
        self._repository = repository
        self._notices = notices
        self._new_id = new_id

    def new_id(self, log_id: int, caller: str, request_id: str) -> str:
        """Return the id of a mailing. A caller that repeats its request_id gets the same id."""
        if not request_id:
            return self._new_id()
        return hashlib.sha256(canonical([_ID_DOMAIN, log_id, caller, request_id])).hexdigest()[:_ID_DIGITS]

    def begin(self, ctx: ActorContext, id: str, requested: Mailing, check_room: Callable[[], None]) -> Change[Begun]:
        """Record that mails are about to leave. The result of a recorded mailing is that mailing.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
            RecordNotFound, NoticeNotCurrent: there is no such notice or capture, or it has another version.
            StateConflict: the id belongs to another mailing.
            DiagnosisUnavailable: see `check_room`.
        """
        ctx.by_customer()
        requested = replace(requested, sender=ctx.sid, begun_us=ctx.now_us)
        stored = self._repository.store.get(ctx.log, kinds.SENDING, id)
        if stored is not None:
            known = read(Mailing, stored.body)
            if replace(known, begun_us=requested.begun_us, results=()) != requested:
                raise StateConflict("sending")
            if stored.state != _UNSENT:
                return Change(ctx.log, (), (), Begun(self._notice(ctx.log, known), known, new=False))
        self._repository.current_notice(ctx.log, requested.notice, requested.version)
        if requested.capture:
            self._repository.capture(ctx.log, requested.capture)
        check_room()
        about = {"notice": requested.notice, "version": requested.version, "session": requested.capture}
        entry = ctx.entry(kinds.NOTICE_DISPATCHED, about | {"persons": requested.persons})
        change = fresh(kinds.SENDING, id, _BEGUN, ctx.now_us, requested)
        if stored is not None:
            change = changed(stored, _BEGUN, requested)
        return Change(ctx.log, (entry,), (change,), Begun(self._notice(ctx.log, requested), requested, new=True))

    def done(self, ctx: ActorContext, id: str, results: tuple[MailResult, ...]) -> Change[Mailing]:
        """Record the results of the mails. Results that are already recorded stay.

        Raises:
            RecordNotFound: there is no such mailing.
        """
        stored, mailing = self._known(ctx.log, id)
        after = mailing if stored.state == _DONE else replace(mailing, results=results)
        receipts = [
            Receipt(sid, result.fact, ctx.now_us, NoticeChannel.EMAIL, after.capture)
            for sid, result in zip(after.persons, after.results, strict=True)
        ]
        change = self._notices.delivered(ctx, self._notice(ctx.log, after), receipts)
        return Change(ctx.log, change.entries, (changed(stored, _DONE, after),), after, change.notice, change.receipts)

    def unsent(self, ctx: ActorContext, id: str) -> Change[Mailing]:
        """Record that no mail left. The same request may send again.

        Raises:
            RecordNotFound: there is no such mailing.
        """
        stored, mailing = self._known(ctx.log, id)
        change = self._notices.delivered(ctx, self._notice(ctx.log, mailing), ())
        return Change(ctx.log, change.entries, (changed(stored, _UNSENT, mailing),), mailing)

    def lost(self, ctx: ActorContext, id: str) -> Change[Mailing]:
        """Record that the results are unknown, because the sending process ended before it recorded them.

        Results that were recorded meanwhile stay.

        Raises:
            RecordNotFound: there is no such mailing.
            DiagnosisUnavailable: mails may still be leaving, or none left.
        """
        stored, mailing = self._known(ctx.log, id)
        too_early = ctx.now_us - mailing.begun_us < LOST_AFTER_US
        if stored.state == _UNSENT or (stored.state == _BEGUN and too_early):
            raise DiagnosisUnavailable
        return self.done(ctx, id, tuple(MailResult(DeliveryOutcome.UNANSWERED) for _ in mailing.persons))

    def _notice(self, log_id: int, mailing: Mailing) -> Notice:
        return self._notices.shown(log_id, mailing.notice, mailing.version)

    def _known(self, log_id: int, id: str) -> tuple[StoredRecord, Mailing]:
        stored = self._repository.store.get(log_id, kinds.SENDING, id)
        if stored is None:
            raise RecordNotFound
        return stored, read(Mailing, stored.body)

"""Notices that leave by mail: written down before the first mail leaves, so that none leaves twice."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from linewarden.diagnostics import kinds
from linewarden.diagnostics.change import Occasion, Step, changed, fresh
from linewarden.diagnostics.codec import canonical, read
from linewarden.diagnostics.consent.notices import NoticeDesk
from linewarden.diagnostics.consent_model import DeliveryOutcome, MailResult, Notice, NoticeChannel, Receipt, Sending
from linewarden.diagnostics.errors import DiagnosisUnavailable, RecordNotFound, StateConflict
from linewarden.diagnostics.repository import Books
from linewarden.diagnostics.store.records import StoredRecord

#: After so long the results of mails are not waited for any more: whoever sent them has ended.
LOST_AFTER_US = 180 * 1_000_000

_ID_DOMAIN = "linewarden sending v1"
_ID_DIGITS = 32
_BEGUN, _DONE, _UNSENT = "begun", "done", "unsent"


@dataclass(frozen=True, slots=True)
class Begun:
    """A sending with its notice. Only one that is new is to be sent; of another one `sending` says what is known."""

    notice: Notice
    sending: Sending
    new: bool


class SendingDesk:
    """Sendings of all tenants. The methods ask the database; they raise LogUnavailable beside what is stated."""

    def __init__(self, books: Books, notices: NoticeDesk, new_id: Callable[[], str]) -> None:
        self._books = books
        self._notices = notices
        self._new_id = new_id

    def new_id(self, log: int, caller: str, request_id: str) -> str:
        """The id of a sending: the same for the same request of the same caller, if it is named."""
        if not request_id:
            return self._new_id()
        return hashlib.sha256(canonical([_ID_DOMAIN, log, caller, request_id])).hexdigest()[:_ID_DIGITS]

    def begin(self, on: Occasion, id: str, wanted: Sending, check_room: Callable[[], None]) -> Step[Begun]:
        """Record that mails are about to leave; for a sending that is known already, the result is what is known.

        Raises:
            NotTheCustomer: a person of another tenant tries.
            RecordNotFound, NoticeNotCurrent: there is no such notice or capture, or it has another version.
            StateConflict: the id stands for another sending.
            DiagnosisUnavailable: see `check_room`.
        """
        on.by_customer()
        wanted = replace(wanted, sender=on.sid, begun_us=on.now_us)
        stored = self._books.store.get(on.log, kinds.SENDING, id)
        if stored is not None:
            known = read(Sending, stored.body)
            if replace(known, begun_us=wanted.begun_us, results=()) != wanted:
                raise StateConflict("sending")
            if stored.state != _UNSENT:
                return Step(on.log, (), (), Begun(self._notice(on.log, known), known, new=False))
        self._books.current_notice(on.log, wanted.notice, wanted.version)
        if wanted.capture:
            self._books.capture(on.log, wanted.capture)
        check_room()
        about = {"notice": wanted.notice, "version": wanted.version, "session": wanted.capture}
        entry = on.entry(kinds.NOTICE_DISPATCHED, about | {"persons": wanted.persons})
        change = fresh(kinds.SENDING, id, _BEGUN, on.now_us, wanted)
        if stored is not None:
            change = changed(stored, _BEGUN, wanted)
        return Step(on.log, (entry,), (change,), Begun(self._notice(on.log, wanted), wanted, new=True))

    def done(self, on: Occasion, id: str, results: tuple[MailResult, ...]) -> Step[Sending]:
        """Record what became of the mails. What is recorded already stays.

        Raises:
            RecordNotFound: there is no such sending.
        """
        stored, sending = self._known(on.log, id)
        after = sending if stored.state == _DONE else replace(sending, results=results)
        receipts = [
            Receipt(sid, result.fact, on.now_us, NoticeChannel.EMAIL, after.capture)
            for sid, result in zip(after.persons, after.results, strict=True)
        ]
        step = self._notices.delivered(on, self._notice(on.log, after), receipts)
        return Step(on.log, step.entries, (changed(stored, _DONE, after),), after, step.notice, step.receipts)

    def unsent(self, on: Occasion, id: str) -> Step[Sending]:
        """Record that nothing left: the same request may send.

        Raises:
            RecordNotFound: there is no such sending.
        """
        stored, sending = self._known(on.log, id)
        step = self._notices.delivered(on, self._notice(on.log, sending), ())
        return Step(on.log, step.entries, (changed(stored, _UNSENT, sending),), sending)

    def lost(self, on: Occasion, id: str) -> Step[Sending]:
        """Record that nobody knows what became of the mails: whoever sent them ended before it could say so.

        Should it have said so meanwhile, that stays.

        Raises:
            RecordNotFound: there is no such sending.
            DiagnosisUnavailable: they may still be leaving, or nothing left.
        """
        stored, sending = self._known(on.log, id)
        too_early = on.now_us - sending.begun_us < LOST_AFTER_US
        if stored.state == _UNSENT or (stored.state == _BEGUN and too_early):
            raise DiagnosisUnavailable
        return self.done(on, id, tuple(MailResult(DeliveryOutcome.UNANSWERED) for _ in sending.persons))

    def _notice(self, log: int, sending: Sending) -> Notice:
        return self._notices.shown(log, sending.notice, sending.version)

    def _known(self, log: int, id: str) -> tuple[StoredRecord, Sending]:
        stored = self._books.store.get(log, kinds.SENDING, id)
        if stored is None:
            raise RecordNotFound
        return stored, read(Sending, stored.body)

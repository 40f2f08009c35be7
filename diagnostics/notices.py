"""Notices, and who received, read and confirmed them."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from linewarden.diagnostics import kinds
from linewarden.diagnostics.books import Books
from linewarden.diagnostics.model import Notice, NoticeChannel, NoticeText, Receipt, ReceiptFact
from linewarden.diagnostics.records import canonical
from linewarden.diagnostics.session import Session
from linewarden.diagnostics.states import LIVE
from linewarden.diagnostics.steps import Occasion, Step, changed, fresh

#: Pseudonyms of one list of receipts that are named in one entry.
_RECEIPTS_PER_ENTRY = 250


@dataclass(frozen=True, slots=True)
class ActiveNotice:
    """A capture that runs, with the notice its users were given."""

    session: Session
    notice: Notice


class NoticeDesk:
    """What users are told. The methods ask the database; they raise LogUnavailable beside what is stated."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def publish(
        self, on: Occasion, id: str, texts: Sequence[NoticeText], channels: Sequence[NoticeChannel], audience: str
    ) -> Step[Notice]:
        """Publish a notice, as a new version where there is one of that name.

        Raises:
            NotTheCustomer: a person of another tenant tries.
            NotEnabled: diagnostics are not enabled.
        """
        on.by_customer()
        self._books.enabled_terms(on.log)
        stored = self._books.store.get(on.log, kinds.NOTICE, id)
        version = 1 if stored is None else self._books.notice(on.log, id)[1].version + 1
        texts = tuple(sorted(texts, key=lambda one: one.language))
        digest = notice_hash(texts, channels, audience)
        notice = Notice(id, version, texts, tuple(sorted(channels)), audience, digest, on.now_us, on.sid)
        fields = {"notice": id, "version": version, "hash": digest, "languages": [one.language for one in texts]}
        entry = on.entry(kinds.NOTICE_PUBLISHED, fields | {"channels": notice.channels})
        change = fresh(kinds.NOTICE, id, "published", on.now_us, notice)
        if stored is not None:
            change = changed(stored, "published", notice)
        return Step(on.log, (entry,), (change,), notice)

    def receive(self, on: Occasion, id: str, version: int, receipts: Sequence[Receipt]) -> Step[tuple[Notice, int]]:
        """Record receipts; those known already are passed over. The result is the notice and how many are new.

        Raises:
            NotTheCustomer: a person of another tenant tries.
            RecordNotFound, NoticeNotCurrent: there is no such notice, or it has another version.
        """
        on.by_customer()
        return self.delivered(on, self._books.current_notice(on.log, id, version), receipts)

    def delivered(self, on: Occasion, notice: Notice, receipts: Sequence[Receipt]) -> Step[tuple[Notice, int]]:
        """Record receipts of a notice that may have another version by now: what was sent was sent.

        Raises:
            RecordNotFound: a receipt is about a session that does not exist.
        """
        new = self._new(on, notice, receipts)
        groups = [new[n : n + _RECEIPTS_PER_ENTRY] for n in range(0, len(new), _RECEIPTS_PER_ENTRY)] or [[]]
        about = {"notice": notice.id, "version": notice.version}
        entries = [on.entry(kinds.NOTICE_RECEIVED, about | {"receipts": list(map(_in_entry, one))}) for one in groups]
        return Step(on.log, tuple(entries), (), (notice, len(new)), (notice.id, notice.version), tuple(new))

    def confirm(self, on: Occasion, id: str, version: int, session: str) -> Step[int]:
        """Record that the actor has read the notice; the result is since when that is known.

        Raises:
            NotTheCustomer: a person of another tenant tries.
            RecordNotFound, NoticeNotCurrent: there is no such notice or session, or it has another version.
        """
        on.by_customer()
        if session:
            self._books.session(on.log, session)
        self._books.current_notice(on.log, id, version)
        receipt = Receipt(on.sid, ReceiptFact.CONFIRMED, on.now_us, NoticeChannel.INTRANET, session)
        known = self._books.store.receipts(on.log, id, version, session, ReceiptFact.CONFIRMED).get(on.sid)
        new = () if known is not None else (receipt,)
        fields = {"notice": id, "version": version, "session": session, "again": known is not None}
        entry = on.entry(kinds.NOTICE_CONFIRMED, fields)
        return Step(on.log, (entry,), (), on.now_us if known is None else known, (id, version), new)

    def active(self, on: Occasion) -> Step[Sequence[ActiveNotice]]:
        """The captures that run now, each with its notice. None that runs is left out.

        Raises:
            NotTheCustomer: a person of another tenant asks.
        """
        on.by_customer()
        live = self._books.sessions_in(LIVE, on.log)
        found = []
        for _stored, session in live:
            _at, attestation = self._books.attestation(on.log, session.attestation)
            _at, notice = self._books.notice(on.log, attestation.statement.notice_id)
            found.append(ActiveNotice(session, notice))
        entry = on.entry(kinds.NOTICE_LISTED, {"sessions": [one.session.id for one in found]})
        return Step(on.log, (entry,), (), found)

    def _new(self, on: Occasion, notice: Notice, receipts: Sequence[Receipt]) -> list[Receipt]:
        known: dict[tuple[str, ReceiptFact], set[str]] = {}
        new: dict[tuple[str, ReceiptFact, str], Receipt] = {}
        for receipt in receipts:
            key = (receipt.session, receipt.fact)
            if key not in known:
                if receipt.session:
                    self._books.session(on.log, receipt.session)
                known[key] = set(self._books.store.receipts(on.log, notice.id, notice.version, *key))
            if receipt.sid not in known[key]:
                new.setdefault((*key, receipt.sid), receipt)
        return list(new.values())


def notice_hash(texts: Sequence[NoticeText], channels: Sequence[NoticeChannel], audience: str) -> str:
    """SHA-256, in hex, over the canonical JSON of a notice."""
    ordered = sorted(texts, key=lambda one: one.language)
    content = {"audience": audience, "channels": sorted(channels), "texts": [asdict(one) for one in ordered]}
    return hashlib.sha256(canonical(content)).hexdigest()


def _in_entry(receipt: Receipt) -> list[str | int]:
    return [receipt.sid, receipt.fact, receipt.channel, receipt.at_us, receipt.session]

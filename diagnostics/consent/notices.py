"""Notices and receipts: who received, read and confirmed a notice.

A replaced version is kept in a separate record, which is written with the change that replaces it. The text of an
attested version can therefore be shown as long as the tenant's key exists. Audience and texts are sealed under that
key.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from linewarden.diagnostics import kinds
from linewarden.diagnostics.capture_model import Capture
from linewarden.diagnostics.change import ActorContext, Change, changed, fresh
from linewarden.diagnostics.codec import canonical, read
from linewarden.diagnostics.consent_model import Notice, NoticeChannel, NoticeText, Receipt, ReceiptFact
from linewarden.diagnostics.errors import ReceiptInvalid
from linewarden.diagnostics.private_values import PrivateValues
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.states import LIVE
from linewarden.diagnostics.store.records import RecordChange, StoredRecord

#: Receipts of one list in one log entry.
_RECEIPTS_PER_ENTRY = 250

_PUBLISHED, _REPLACED = "published", "replaced"
_FIELD = "told"


@dataclass(frozen=True, slots=True)
class ActiveNotice:
    """A capture that runs, with the notice of its attestation."""

    capture: Capture
    notice: Notice


@dataclass(frozen=True, slots=True)
class _PrivateContent:
    """The sealed part of a notice."""

    audience: str
    texts: tuple[NoticeText, ...]


class NoticeService:
    """The use cases of notices. The methods read the database; each may also raise LogUnavailable."""

    def __init__(self, repository: Repository, private_values: PrivateValues) -> None:
        self._repository = repository
        self._private_values = private_values

    def publish(
        self, ctx: ActorContext, id: str, texts: Sequence[NoticeText], channels: Sequence[NoticeChannel], audience: str
    ) -> Change[Notice]:
        """Publish a notice. A known id gets a new version.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
            NotEnabled: diagnostics are not enabled.
        """
        ctx.by_customer()
        self._repository.enabled_terms(ctx.log)
        stored = self._repository.store.get(ctx.log, kinds.NOTICE, id)
        before = None if stored is None else read(Notice, stored.body)
        content = _PrivateContent(audience, tuple(sorted(texts, key=lambda one: one.language)))
        notice = self._sealed(ctx, id, 1 if before is None else before.version + 1, content, tuple(sorted(channels)))
        fields = {
            "notice": id,
            "version": notice.version,
            "hash": notice.hash,
            "languages": [one.language for one in content.texts],
            "channels": notice.channels,
        }
        entry = ctx.entry(
            kinds.NOTICE_PUBLISHED, fields, [self._private_values.seal(ctx.tenant_key_holder, {"audience": audience})]
        )
        changes = [fresh(kinds.NOTICE, id, _PUBLISHED, ctx.now_us, notice)]
        if stored is not None and before is not None:
            changes = [changed(stored, _PUBLISHED, notice), _kept(before)]
        return Change(ctx.log, (entry,), tuple(changes), replace(notice, texts=content.texts, audience=audience))

    def receive(
        self, ctx: ActorContext, id: str, version: int, receipts: Sequence[Receipt]
    ) -> Change[tuple[Notice, int]]:
        """Record new receipts and skip known ones. The result is the notice and the number of new receipts.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
            RecordNotFound, NoticeNotCurrent: there is no such notice, or it has another version.
            ReceiptInvalid: a receipt is dated before the notice, or later than now.
        """
        ctx.by_customer()
        notice = self._repository.current_notice(ctx.log, id, version)
        for number, receipt in enumerate(receipts):
            if not notice.published_us <= receipt.at_us <= ctx.now_us:
                raise ReceiptInvalid(f"receipts[{number}].at")
        return self.delivered(ctx, self.opened(ctx.log, notice), receipts)

    def delivered(self, ctx: ActorContext, notice: Notice, receipts: Sequence[Receipt]) -> Change[tuple[Notice, int]]:
        """Record receipts of a notice that may have a newer version, because the mails of this version have left.

        Raises:
            RecordNotFound: a receipt is about a capture that does not exist.
        """
        new = self._new(ctx, notice, receipts)
        groups = [new[n : n + _RECEIPTS_PER_ENTRY] for n in range(0, len(new), _RECEIPTS_PER_ENTRY)] or [[]]
        about = {"notice": notice.id, "version": notice.version}
        entries = [ctx.entry(kinds.NOTICE_RECEIVED, about | {"receipts": list(map(_in_entry, one))}) for one in groups]
        return Change(ctx.log, tuple(entries), (), (notice, len(new)), (notice.id, notice.version), tuple(new))

    def confirm(self, ctx: ActorContext, id: str, version: int, capture: str) -> Change[int]:
        """Record that the actor has read the notice. The result is the time of the first confirmation.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
            RecordNotFound, NoticeNotCurrent: there is no such notice or capture, or it has another version.
        """
        ctx.by_customer()
        if capture:
            self._repository.capture(ctx.log, capture)
        self._repository.current_notice(ctx.log, id, version)
        receipt = Receipt(ctx.sid, ReceiptFact.CONFIRMED, ctx.now_us, None, capture)
        known = self._repository.store.receipts(ctx.log, id, version, capture, ReceiptFact.CONFIRMED).get(ctx.sid)
        new = () if known is not None else (receipt,)
        fields = {"notice": id, "version": version, "session": capture, "again": known is not None}
        entry = ctx.entry(kinds.NOTICE_CONFIRMED, fields)
        return Change(ctx.log, (entry,), (), ctx.now_us if known is None else known, (id, version), new)

    def active(self, ctx: ActorContext) -> Change[Sequence[ActiveNotice]]:
        """Return the captures that run now, each with its attested notice. Every capture that runs is listed.

        Raises:
            NotTheCustomer: the actor is a person of another tenant.
        """
        ctx.by_customer()
        found = []
        for _stored, capture in self._repository.captures_in(LIVE, ctx.log):
            _at, attestation = self._repository.attestation(ctx.log, capture.attestation)
            statement = attestation.statement
            notice = self.shown(ctx.log, statement.notice_id, statement.notice_version)
            found.append(ActiveNotice(capture, notice))
        entry = ctx.entry(kinds.NOTICE_LISTED, {"sessions": [one.capture.id for one in found]})
        return Change(ctx.log, (entry,), (), found)

    def listed(
        self, ctx: ActorContext, before: tuple[int, str] | None, size: int
    ) -> Change[tuple[list[tuple[StoredRecord, Notice]], bool]]:
        """Read notices in their current versions, the newest first, and whether there are more."""
        page = self._repository.page(ctx.log, Notice, kinds.NOTICE, before, size + 1)
        shown = [(stored, self.opened(ctx.log, notice)) for stored, notice in page[:size]]
        return Change(ctx.log, (_read(ctx, [notice for _stored, notice in shown]),), (), (shown, len(page) > size))

    def look_up(self, ctx: ActorContext, id: str, version: int) -> Change[tuple[Notice, int]]:
        """Return a version of a notice, the current one for 0, and the number of the current version.

        Raises:
            RecordNotFound: there is no such notice, or it never had that version.
        """
        _stored, current = self._repository.notice(ctx.log, id)
        notice = self.shown(ctx.log, id, version or current.version)
        return Change(ctx.log, (_read(ctx, [notice]),), (), (notice, current.version))

    def shown(self, log_id: int, id: str, version: int) -> Notice:
        """Return a version of a notice with audience and texts.

        Raises:
            RecordNotFound: there is no such notice, or it never had that version.
        """
        return self.opened(log_id, self._repository.notice_version(log_id, id, version))

    def opened(self, log_id: int, notice: Notice) -> Notice:
        """Return the notice with audience and texts; empty if they are no longer readable."""
        if notice.private is None:
            return notice
        value = self._private_values.open(log_id, notice.private).get(_FIELD)
        content = _PrivateContent("", ()) if value is None else read(_PrivateContent, value.encode())
        return replace(notice, audience=content.audience, texts=content.texts)

    def _sealed(
        self, ctx: ActorContext, id: str, version: int, content: _PrivateContent, channels: tuple[NoticeChannel, ...]
    ) -> Notice:
        private = self._private_values.seal(ctx.tenant_key_holder, {_FIELD: canonical(content).decode()})
        digest = notice_hash(content.texts, channels, content.audience)
        return Notice(id, version, (), channels, "", digest, ctx.now_us, ctx.sid, private)

    def _new(self, ctx: ActorContext, notice: Notice, receipts: Sequence[Receipt]) -> list[Receipt]:
        known: dict[tuple[str, ReceiptFact], set[str]] = {}
        new: dict[tuple[str, ReceiptFact, str], Receipt] = {}
        for receipt in receipts:
            key = (receipt.capture, receipt.fact)
            if key not in known:
                if receipt.capture:
                    self._repository.capture(ctx.log, receipt.capture)
                known[key] = set(self._repository.store.receipts(ctx.log, notice.id, notice.version, *key))
            if receipt.sid not in known[key]:
                new.setdefault((*key, receipt.sid), receipt)
        return list(new.values())


def notice_hash(texts: Sequence[NoticeText], channels: Sequence[NoticeChannel], audience: str) -> str:
    """Return SHA-256, in hex, over the canonical JSON of a notice."""
    ordered = sorted(texts, key=lambda one: one.language)
    content = {"audience": audience, "channels": sorted(channels), "texts": [asdict(one) for one in ordered]}
    return hashlib.sha256(canonical(content)).hexdigest()


def _kept(replaced: Notice) -> RecordChange:
    id = kinds.version_id(replaced.id, replaced.version)
    return fresh(kinds.NOTICE_VERSION, id, _REPLACED, replaced.published_us, replaced)


def _read(ctx: ActorContext, notices: Sequence[Notice]) -> bytes:
    return ctx.entry(kinds.NOTICE_READ, {"notices": [[one.id, one.version] for one in notices]})


def _in_entry(receipt: Receipt) -> list[str | int]:
    return [receipt.sid, receipt.fact, receipt.channel or "", receipt.at_us, receipt.capture]

"""NoticeService: notices to users, mailings and receipts."""

import asyncio
import re
from typing import Any

from linewarden.authz.model import Verb
from linewarden.authz.service import Access
from linewarden.diagnostics.captures.runs import START_PATIENCE_S
from linewarden.diagnostics.change import FOREIGN, ActorContext, Change
from linewarden.diagnostics.consent.notices import ActiveNotice
from linewarden.diagnostics.consent_model import DeliveryOutcome, Mailing, MailResult, Notice, NoticeText, Receipt
from linewarden.diagnostics.store.records import StoredRecord
from linewarden.server.admission import AdmittedRequest
from linewarden.server.diagnostics.messages import CHANNELS, FACTS, notice_message, number, texts_in
from linewarden.server.diagnostics.rpc import DiagnosticsServicer, named_in, own_diagnostics
from linewarden.server.errors import InvalidRequest, Violation
from linewarden.server.messages import microseconds, timestamp
from linewarden.server.names import PURPOSE_NUMBERS, by_number
from linewarden.server.pages import asked_page, next_token
from linewarden.v1 import notice_pb2 as pb

_ADDRESS = re.compile(r"[^@]+@[A-Za-z0-9.-]+")
_OUTCOMES: dict[DeliveryOutcome, Any] = {
    word: number for number, word in by_number(pb.DeliveryOutcome, "DELIVERY_OUTCOME_", DeliveryOutcome).items()
}


class NoticeServicer(DiagnosticsServicer):
    """Serves the rpcs of notices, receipts and mails."""

    async def publish_notice(
        self, admitted: AdmittedRequest, request: pb.PublishNoticeRequest
    ) -> pb.PublishNoticeResponse:
        """Publish a notice."""

        def make(ctx: ActorContext) -> Change[Notice]:
            texts = [NoticeText(one.language, one.text) for one in request.texts]
            channels = [CHANNELS[number] for number in request.channels]
            return self._services.notices.publish(ctx, request.notice_id, texts, channels, request.audience)

        access = own_diagnostics(admitted, Verb.PUBLISH_NOTICE)
        notice = await self._recorder.commit(admitted, [access], make, named_in(request))
        return pb.PublishNoticeResponse(notice=await self._notice(admitted.log, notice))

    async def list_notices(self, admitted: AdmittedRequest, request: pb.ListNoticesRequest) -> pb.ListNoticesResponse:
        """List the notices, without their texts."""
        before, size = asked_page(request)

        def make(ctx: ActorContext) -> Change[tuple[list[tuple[StoredRecord, Notice]], bool]]:
            return self._services.notices.listed(ctx, before, size)

        page, more = await self._recorder.commit(admitted, _to_read(admitted), make, named_in(request))
        messages = [await self._notice(admitted.log, notice) for _stored, notice in page]
        for message in messages:
            message.ClearField("texts")
        return pb.ListNoticesResponse(notices=messages, next_page_token=next_token(page, more=more))

    async def get_notice(self, admitted: AdmittedRequest, request: pb.GetNoticeRequest) -> pb.GetNoticeResponse:
        """Show one version of a notice."""

        def make(ctx: ActorContext) -> Change[tuple[Notice, int]]:
            return self._services.notices.look_up(ctx, request.notice_id, request.notice_version)

        notice, current = await self._recorder.commit(admitted, _to_read(admitted), make, named_in(request))
        message = await self._notice(admitted.log, notice)
        del message.texts[:]
        message.texts.extend(texts_in(notice, request.language))
        return pb.GetNoticeResponse(notice=message, current_version=current)

    async def list_active_notices(
        self, admitted: AdmittedRequest, request: pb.ListActiveNoticesRequest
    ) -> pb.ListActiveNoticesResponse:
        """List the captures that run, for a user."""
        active = await self._recorder.commit(admitted, [], self._services.notices.active, named_in(request))
        listed = [await asyncio.to_thread(self._active, admitted.log, one, request) for one in active]
        return pb.ListActiveNoticesResponse(notices=listed)

    async def confirm_notice(
        self, admitted: AdmittedRequest, request: pb.ConfirmNoticeRequest
    ) -> pb.ConfirmNoticeResponse:
        """Record that a user has read the notice."""

        def make(ctx: ActorContext) -> Change[int]:
            return self._services.notices.confirm(ctx, request.notice_id, request.notice_version, request.capture_id)

        since_us = await self._recorder.commit(admitted, [], make, named_in(request))
        return pb.ConfirmNoticeResponse(confirmed_at=timestamp(since_us))

    async def record_receipts(
        self, admitted: AdmittedRequest, request: pb.RecordReceiptsRequest
    ) -> pb.RecordReceiptsResponse:
        """Record a list of receipts."""
        access = own_diagnostics(admitted, Verb.SEND_NOTICE)
        await self._recorder.require(admitted, access)
        people = await self._recorder.people(admitted, [one.person for one in request.receipts])
        channel, capture = CHANNELS[request.channel], request.capture_id
        receipts = [
            Receipt(people[one.person].sid, FACTS[one.fact], microseconds(one.at), channel, capture)
            for one in request.receipts
        ]

        def make(ctx: ActorContext) -> Change[tuple[Notice, int]]:
            return self._services.notices.receive(ctx, request.notice_id, request.notice_version, receipts)

        notice, new = await self._recorder.commit(admitted, [access], make, named_in(request), people)
        return pb.RecordReceiptsResponse(recorded=new, notice=await self._notice(admitted.log, notice))

    async def send_notice(self, admitted: AdmittedRequest, request: pb.SendNoticeRequest) -> pb.SendNoticeResponse:
        """Send the notice by mail."""
        _check_addresses(request)
        await self._recorder.require(admitted, own_diagnostics(admitted, Verb.SEND_NOTICE))
        names = [one.person for one in request.recipients]
        people = await self._recorder.people(admitted, names)
        mailing = Mailing(
            request.notice_id,
            request.notice_version,
            request.capture_id,
            request.language,
            sender="",
            persons=tuple(people[name].sid for name in names),
            begun_us=0,
        )
        addresses = [one.address for one in request.recipients]
        notice, recorded = await self._services.mail_jobs.send(admitted, mailing, addresses, named_in(request), people)
        results = [_delivery(name, result) for name, result in zip(names, recorded.results, strict=True)]
        return pb.SendNoticeResponse(results=results, notice=await self._notice(admitted.log, notice))

    async def _notice(self, log_id: int, notice: Notice) -> pb.Notice:
        counts = await asyncio.to_thread(self._services.repository.store.counts, log_id, notice.id, notice.version)
        return notice_message(notice, counts)

    def _active(self, log_id: int, one: ActiveNotice, request: pb.ListActiveNoticesRequest) -> pb.ActiveNotice:
        capture, notice = one.capture, one.notice
        private = self._services.captures.private(log_id, capture)
        certain = private is not None and private.wanted.certainly_takes(request.extensions)
        started_us = capture.started_us or 0
        return pb.ActiveNotice(
            capture_id=capture.id,
            coverage=pb.COVERAGE_CERTAIN if certain else pb.COVERAGE_POSSIBLE,
            profile=number(capture.profile),
            purpose=PURPOSE_NUMBERS[capture.purpose],
            started_at=timestamp(started_us),
            ends_before=timestamp(started_us + (START_PATIENCE_S + capture.limits.seconds) * 1_000_000),
            notice_id=notice.id,
            notice_version=notice.version,
            texts=texts_in(notice, request.language),
        )


def _to_read(admitted: AdmittedRequest) -> list[Access]:
    """Return the accesses that reading notices needs: empty for persons of the tenant, because notices are for them."""
    foreign = admitted.call.subject.startswith(FOREIGN)
    return [own_diagnostics(admitted, Verb.VIEW_METADATA)] if foreign else []


def _check_addresses(request: pb.SendNoticeRequest) -> None:
    wrong = [n for n, one in enumerate(request.recipients) if not _ADDRESS.fullmatch(one.address)]
    if wrong:
        rule = ("recipients.address", "must have one @ before a domain")
        raise InvalidRequest(tuple(Violation(f"recipients[{n}].address", *rule) for n in wrong))


def _delivery(person: str, result: MailResult) -> pb.Delivery:
    return pb.Delivery(
        person=person, fact=number(result.fact), reply_code=result.reply_code, outcome=_OUTCOMES[result.outcome]
    )

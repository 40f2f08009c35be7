"""DiagnosticsService: what users are told, who told them, and who read it."""

import asyncio
import re
from typing import Any

from linewarden.authz.model import Verb
from linewarden.authz.service import Access
from linewarden.diagnostics.captures.runs import START_PATIENCE_S
from linewarden.diagnostics.change import FOREIGN, Occasion, Step
from linewarden.diagnostics.consent.notices import ActiveNotice
from linewarden.diagnostics.consent_model import DeliveryOutcome, MailResult, Notice, NoticeText, Receipt
from linewarden.diagnostics.store.records import StoredRecord
from linewarden.server.access import ServicerContext, subject_name, timestamp
from linewarden.server.diagnostics.messages import CHANNELS, FACTS, microseconds, notice_message, number, texts_in
from linewarden.server.diagnostics.rpc import DEFAULT_PAGE_SIZE, of_own
from linewarden.server.diagnostics.terms import CustomerService
from linewarden.server.door import Entrance
from linewarden.server.errors import InvalidRequest, Violation
from linewarden.server.names import PURPOSE_NUMBERS, by_number
from linewarden.server.pages import read_token, write_token
from linewarden.v1 import diagnostics_pb2 as pb

_ADDRESS = re.compile(r"[^@]+@[A-Za-z0-9.-]+")
_OUTCOMES: dict[DeliveryOutcome, Any] = {
    word: number for number, word in by_number(pb.DeliveryOutcome, "DELIVERY_OUTCOME_", DeliveryOutcome).items()
}


class NoticeService(CustomerService):
    """Notices, receipts and mail, beside what the customer permits."""

    async def PublishNotice(
        self, request: pb.PublishNoticeRequest, context: ServicerContext
    ) -> pb.PublishNoticeResponse:
        """Publish a notice."""

        def make(on: Occasion) -> Step[Notice]:
            texts = [NoticeText(one.language, one.text) for one in request.texts]
            channels = [CHANNELS[one] for one in request.channels]
            return self._desks.notices.publish(on, request.notice_id, texts, channels, request.audience)

        async def answer(entrance: Entrance) -> pb.PublishNoticeResponse:
            notice = await self._steps.take(entrance, request, [of_own(entrance, Verb.PUBLISH_NOTICE)], make)
            return pb.PublishNoticeResponse(notice=await self._notice(entrance.log, notice))

        return await self._serve(context, request, answer)

    async def ListNotices(self, request: pb.ListNoticesRequest, context: ServicerContext) -> pb.ListNoticesResponse:
        """List the notices, without their texts."""
        size = request.page_size or DEFAULT_PAGE_SIZE

        async def answer(entrance: Entrance) -> pb.ListNoticesResponse:
            before = read_token(request.page_token)

            def make(on: Occasion) -> Step[tuple[list[tuple[StoredRecord, Notice]], bool]]:
                return self._desks.notices.listed(on, before, size)

            shown, more = await self._steps.take(entrance, request, _to_read(entrance, request), make)
            told = [await self._notice(entrance.log, notice) for _stored, notice in shown]
            for one in told:
                one.ClearField("texts")
            return pb.ListNoticesResponse(notices=told, next_page_token=write_token(shown[-1][0]) if more else "")

        return await self._serve(context, request, answer)

    async def GetNotice(self, request: pb.GetNoticeRequest, context: ServicerContext) -> pb.GetNoticeResponse:
        """Show one version of a notice."""

        def make(on: Occasion) -> Step[tuple[Notice, int]]:
            return self._desks.notices.look_up(on, request.notice_id, request.notice_version)

        async def answer(entrance: Entrance) -> pb.GetNoticeResponse:
            notice, current = await self._steps.take(entrance, request, _to_read(entrance, request), make)
            told = await self._notice(entrance.log, notice)
            del told.texts[:]
            told.texts.extend(texts_in(notice, request.language))
            return pb.GetNoticeResponse(notice=told, current_version=current)

        return await self._serve(context, request, answer)

    async def ListActiveNotices(
        self, request: pb.ListActiveNoticesRequest, context: ServicerContext
    ) -> pb.ListActiveNoticesResponse:
        """Tell a user what runs."""

        async def answer(entrance: Entrance) -> pb.ListActiveNoticesResponse:
            active = await self._steps.take(entrance, request, [], self._desks.notices.active)
            listed = [await asyncio.to_thread(self._active, entrance.log, one, request) for one in active]
            return pb.ListActiveNoticesResponse(notices=listed)

        return await self._serve(context, request, answer)

    async def ConfirmNotice(
        self, request: pb.ConfirmNoticeRequest, context: ServicerContext
    ) -> pb.ConfirmNoticeResponse:
        """Record that a user has read the notice."""

        def make(on: Occasion) -> Step[int]:
            return self._desks.notices.confirm(on, request.notice_id, request.notice_version, request.capture_id)

        async def answer(entrance: Entrance) -> pb.ConfirmNoticeResponse:
            since_us = await self._steps.take(entrance, request, [], make)
            return pb.ConfirmNoticeResponse(confirmed_at=timestamp(since_us))

        return await self._serve(context, request, answer)

    async def RecordReceipts(
        self, request: pb.RecordReceiptsRequest, context: ServicerContext
    ) -> pb.RecordReceiptsResponse:
        """Record a list of receipts."""

        async def answer(entrance: Entrance) -> pb.RecordReceiptsResponse:
            access = of_own(entrance, Verb.SEND_NOTICE)
            await self._steps.refuse_early(entrance, request, access)
            people = await self._steps.people(entrance.log, [one.person for one in request.receipts], entrance.now_us)
            channel, about = CHANNELS[request.channel], request.capture_id
            receipts = [
                Receipt(people[one.person].sid, FACTS[one.fact], microseconds(one.at), channel, about)
                for one in request.receipts
            ]

            def make(on: Occasion) -> Step[tuple[Notice, int]]:
                return self._desks.notices.receive(on, request.notice_id, request.notice_version, receipts)

            notice, new = await self._steps.take(entrance, request, [access], make, people)
            return pb.RecordReceiptsResponse(recorded=new, notice=await self._notice(entrance.log, notice))

        return await self._serve(context, request, answer)

    async def SendNotice(self, request: pb.SendNoticeRequest, context: ServicerContext) -> pb.SendNoticeResponse:
        """Send the notice by mail."""

        async def answer(entrance: Entrance) -> pb.SendNoticeResponse:
            _check_addresses(request)
            await self._steps.refuse_early(entrance, request, of_own(entrance, Verb.SEND_NOTICE))
            names = [one.person for one in request.recipients]
            people = await self._steps.people(entrance.log, names, entrance.now_us)
            notice, sending = await self._desks.mailing.send(entrance, request, names, people)
            results = [_delivery(name, result) for name, result in zip(names, sending.results, strict=True)]
            return pb.SendNoticeResponse(results=results, notice=await self._notice(entrance.log, notice))

        return await self._serve(context, request, answer)

    async def _notice(self, log: int, notice: Notice) -> pb.Notice:
        counts = await asyncio.to_thread(self._desks.books.store.counts, log, notice.id, notice.version)
        return notice_message(notice, counts)

    def _active(self, log: int, one: ActiveNotice, request: pb.ListActiveNoticesRequest) -> pb.ActiveNotice:
        capture, notice = one.capture, one.notice
        private = self._desks.captures.private(log, capture)
        # Of selected calls anybody may be a party: certain is only who is selected, or that all are.
        certain = private is not None and (
            private.wanted.takes_all or bool(set(private.wanted.extensions) & set(request.extensions))
        )
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


def _to_read(entrance: Entrance, request: Any) -> list[Access]:
    """What is needed to read notices: nothing by those whom they are for."""
    foreign = subject_name(entrance.tenant, request.subject).startswith(FOREIGN)
    return [of_own(entrance, Verb.VIEW_METADATA)] if foreign else []


def _check_addresses(request: pb.SendNoticeRequest) -> None:
    wrong = [n for n, one in enumerate(request.recipients) if not _ADDRESS.fullmatch(one.address)]
    if wrong:
        rule = ("recipients.address", "must have one @ before a domain")
        raise InvalidRequest(tuple(Violation(f"recipients[{n}].address", *rule) for n in wrong))


def _delivery(person: str, result: MailResult) -> pb.Delivery:
    return pb.Delivery(
        person=person, fact=number(result.fact), reply_code=result.reply_code, outcome=_OUTCOMES[result.outcome]
    )

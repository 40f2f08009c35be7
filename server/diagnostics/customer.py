"""DiagnosticsService: what the customer permits, what its users are told, and what it lets be counted."""

import asyncio
from typing import Any

from linewarden.authz.model import Verb
from linewarden.diagnostics.mail import send_notice
from linewarden.diagnostics.model import Notice, NoticeChannel, NoticeText, Receipt, Terms
from linewarden.diagnostics.steps import Occasion, Step
from linewarden.diagnostics.terms import TermsChanged
from linewarden.server.access import ServicerContext, timestamp
from linewarden.server.diagnostics.desk_service import DeskService, of_own
from linewarden.server.diagnostics.words import (
    CHANNELS,
    FACTS,
    RESPONSIBILITIES,
    microseconds,
    notice_message,
    number,
    terms_message,
    texts_in,
)
from linewarden.server.door import Entrance
from linewarden.server.names import PURPOSE_NUMBERS
from linewarden.v1 import diagnostics_pb2 as pb


class CustomerService(DeskService):
    """Terms, notices, receipts, usage."""

    async def EnableDiagnostics(
        self, request: pb.EnableDiagnosticsRequest, context: ServicerContext
    ) -> pb.EnableDiagnosticsResponse:
        """Permit diagnoses."""

        def make(on: Occasion) -> Step[TermsChanged]:
            accepted = [RESPONSIBILITIES[one] for one in request.accepted]
            waived, days = request.approval_waived, request.retention_days
            return self._desks.terms.enable(on, accepted, approval_waived=waived, retention_days=days)

        async def answer(entrance: Entrance) -> pb.EnableDiagnosticsResponse:
            done = await self._steps.take(entrance, request, [of_own(entrance, Verb.ENABLE_DIAGNOSTICS)], make)
            return pb.EnableDiagnosticsResponse(diagnostics=await self._terms(entrance.log, done.terms))

        return await self._serve(context, request, answer)

    async def DisableDiagnostics(
        self, request: pb.DisableDiagnosticsRequest, context: ServicerContext
    ) -> pb.DisableDiagnosticsResponse:
        """Forbid diagnoses, and stop what runs."""

        async def answer(entrance: Entrance) -> pb.DisableDiagnosticsResponse:
            access = of_own(entrance, Verb.ENABLE_DIAGNOSTICS)
            done = await self._steps.take(entrance, request, [access], self._desks.terms.disable)
            await self._nudge(entrance.log, done.ended)
            terms = await self._terms(entrance.log, done.terms)
            return pb.DisableDiagnosticsResponse(diagnostics=terms, sessions_ended=len(done.ended))

        return await self._serve(context, request, answer)

    async def GetDiagnostics(
        self, request: pb.GetDiagnosticsRequest, context: ServicerContext
    ) -> pb.GetDiagnosticsResponse:
        """Say how it stands."""

        async def answer(entrance: Entrance) -> pb.GetDiagnosticsResponse:
            await self._steps.look(entrance, request, of_own(entrance, Verb.VIEW_METADATA))
            _stored, terms = await asyncio.to_thread(self._desks.books.terms, entrance.log)
            return pb.GetDiagnosticsResponse(diagnostics=await self._terms(entrance.log, terms))

        return await self._serve(context, request, answer)

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
            return self._desks.notices.confirm(on, request.notice_id, request.notice_version, request.session_id)

        async def answer(entrance: Entrance) -> pb.ConfirmNoticeResponse:
            since_us = await self._steps.take(entrance, request, [], make)
            return pb.ConfirmNoticeResponse(confirmed_at=timestamp(since_us))

        return await self._serve(context, request, answer)

    async def RecordReceipts(
        self, request: pb.RecordReceiptsRequest, context: ServicerContext
    ) -> pb.RecordReceiptsResponse:
        """Record a list of receipts."""

        async def answer(entrance: Entrance) -> pb.RecordReceiptsResponse:
            sids = await self._steps.people(entrance.log, [one.person for one in request.receipts], entrance.now_us)
            channel, about = CHANNELS[request.channel], request.session_id
            receipts = [
                Receipt(sids[one.person], FACTS[one.fact], microseconds(one.at), channel, about)
                for one in request.receipts
            ]
            notice, new = await self._receive(entrance, request, receipts)
            return pb.RecordReceiptsResponse(recorded=new, notice=await self._notice(entrance.log, notice))

        return await self._serve(context, request, answer)

    async def SendNotice(self, request: pb.SendNoticeRequest, context: ServicerContext) -> pb.SendNoticeResponse:
        """Send the notice by mail."""

        async def answer(entrance: Entrance) -> pb.SendNoticeResponse:
            # Permission and the notice's version are settled before the first mail leaves. What became of the mails is
            # said whatever the policy says by then, so that nothing makes them leave twice.
            notice, _new = await self._receive(entrance, request, [])
            if request.session_id:
                await asyncio.to_thread(self._desks.books.session, entrance.log, request.session_id)
            letters = [(one.person, one.address) for one in request.recipients]
            text = "\n\n".join(one.text for one in texts_in(notice, request.language))
            results = await send_notice(self._desks.mailer, notice, text, letters)
            sids = await self._steps.people(entrance.log, [person for person, _ in letters], entrance.now_us)
            receipts = [
                Receipt(sids[one.person], one.fact, entrance.now_us, NoticeChannel.EMAIL, request.session_id)
                for one in results
            ]
            await self._steps.tell(entrance, request, lambda on: self._desks.notices.delivered(on, notice, receipts))
            told = [pb.Delivery(person=one.person, fact=number(one.fact), reply_code=one.reply_code) for one in results]
            return pb.SendNoticeResponse(results=told, notice=await self._notice(entrance.log, notice))

        return await self._serve(context, request, answer)

    async def ShareUsage(self, request: pb.ShareUsageRequest, context: ServicerContext) -> pb.ShareUsageResponse:
        """Opt in or out."""

        async def answer(entrance: Entrance) -> pb.ShareUsageResponse:
            access = of_own(entrance, Verb.SHARE_USAGE)
            done = await self._steps.take(
                entrance, request, [access], lambda on: self._desks.terms.share_usage(on, share=request.share)
            )
            return pb.ShareUsageResponse(shares_usage=done.terms.shares_usage)

        return await self._serve(context, request, answer)

    async def GetUsage(self, request: pb.GetUsageRequest, context: ServicerContext) -> pb.GetUsageResponse:
        """Show what would be sent."""

        async def answer(entrance: Entrance) -> pb.GetUsageResponse:
            await self._steps.look(entrance, request, of_own(entrance, Verb.SHARE_USAGE))
            await asyncio.to_thread(self._desks.usage.close_days, entrance.now_us)
            return pb.GetUsageResponse(document=await asyncio.to_thread(self._desks.usage.document))

        return await self._serve(context, request, answer)

    async def _receive(self, entrance: Entrance, request: Any, receipts: list[Receipt]) -> tuple[Notice, int]:
        def make(on: Occasion) -> Step[tuple[Notice, int]]:
            return self._desks.notices.receive(on, request.notice_id, request.notice_version, receipts)

        return await self._steps.take(entrance, request, [of_own(entrance, Verb.SEND_NOTICE)], make)

    async def _terms(self, log: int, terms: Terms) -> pb.Diagnostics:
        names = await asyncio.to_thread(self._desks.safe.names, log, [terms.changed_by])
        return terms_message(terms, names.get(terms.changed_by, ""))

    async def _notice(self, log: int, notice: Notice) -> pb.Notice:
        counts = await asyncio.to_thread(self._desks.books.store.counts, log, notice.id, notice.version)
        return notice_message(notice, counts)

    def _active(self, log: int, one: Any, request: pb.ListActiveNoticesRequest) -> pb.ActiveNotice:
        session, notice = one.session, one.notice
        private = self._desks.sessions.private(log, session)
        # Of selected calls anybody may be a party: certain is only who is selected, or that all are.
        certain = private is not None and (
            private.wanted.takes_all or bool(set(private.wanted.extensions) & set(request.extensions))
        )
        started_us = session.started_us or 0
        return pb.ActiveNotice(
            session_id=session.id,
            coverage=pb.COVERAGE_CERTAIN if certain else pb.COVERAGE_POSSIBLE,
            profile=number(session.profile),
            purpose=PURPOSE_NUMBERS[session.purpose],
            started_at=timestamp(started_us),
            ends_before=timestamp(started_us + session.limits.seconds * 1_000_000),
            notice_id=notice.id,
            notice_version=notice.version,
            texts=texts_in(notice, request.language),
        )

"""DiagnosticsService: the customer's side, terms, notices, attestations; sessions are in `server.sessions`.

Each answer follows one pattern: the policy decides who may, the desk of `diagnostics` makes the step, and both are
appended together. What a desk refuses is recorded as well.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor

from linewarden.authz.model import Verb
from linewarden.diagnostics.attestations import AttestationDesk
from linewarden.diagnostics.books import Books
from linewarden.diagnostics.kinds import ATTESTATION
from linewarden.diagnostics.mail import Mailer, send_notice
from linewarden.diagnostics.model import Attestation, Notice, NoticeChannel, NoticeText, Receipt, Terms
from linewarden.diagnostics.notices import NoticeDesk
from linewarden.diagnostics.sessions import SessionDesk
from linewarden.diagnostics.steps import Occasion, Safe, Step
from linewarden.diagnostics.supervisor import Supervisor
from linewarden.diagnostics.terms import TermsChanged, TermsDesk
from linewarden.diagnostics.usage import Usage
from linewarden.server.access import ServicerContext, timestamp
from linewarden.server.diagnostics_steps import Steps, of_tenant
from linewarden.server.diagnostics_words import (
    CHANNELS,
    FACTS,
    RESPONSIBILITIES,
    attestation_message,
    microseconds,
    notice_message,
    number,
    statement_of,
    terms_message,
    texts_in,
)
from linewarden.server.door import Door, Entrance
from linewarden.server.errors import abort
from linewarden.server.names import PURPOSE_NUMBERS
from linewarden.server.pages import read_token, write_token
from linewarden.server.validation import Validator, compile_validator
from linewarden.v1 import diagnostics_pb2 as pb
from linewarden.v1.diagnostics_pb2_grpc import DiagnosticsServiceServicer

T = TypeVar("T")

SERVICE = "DiagnosticsService"

_DEFAULT_PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Desks:
    """Everything the service hands requests to."""

    books: Books
    safe: Safe
    terms: TermsDesk
    notices: NoticeDesk
    attestations: AttestationDesk
    sessions: SessionDesk
    supervisor: Supervisor
    usage: Usage
    mailer: Mailer | None


class CustomerService(DiagnosticsServiceServicer):
    """Answers what the customer permits and tells its users. `SessionService` adds the captures."""

    def __init__(self, door: Door, steps: Steps, desks: Desks) -> None:
        self._door = door
        self._steps = steps
        self._desks = desks
        self._validators = {
            name: compile_validator(message)
            for name, message in pb.DESCRIPTOR.message_types_by_name.items()
            if name.endswith("Request")
        }

    async def EnableDiagnostics(
        self, request: pb.EnableDiagnosticsRequest, context: ServicerContext
    ) -> pb.EnableDiagnosticsResponse:
        """Permit diagnoses."""

        def make(on: Occasion) -> Step[TermsChanged]:
            accepted = [RESPONSIBILITIES[one] for one in request.accepted]
            waived, days = request.approval_waived, request.retention_days
            return self._desks.terms.enable(on, accepted, approval_waived=waived, retention_days=days)

        async def answer(entrance: Entrance) -> pb.EnableDiagnosticsResponse:
            done = await self._steps.take(entrance, request, [_own(entrance, Verb.ENABLE_DIAGNOSTICS)], make)
            return pb.EnableDiagnosticsResponse(diagnostics=await self._terms(entrance.log, done.terms))

        return await self._serve(context, request, answer)

    async def DisableDiagnostics(
        self, request: pb.DisableDiagnosticsRequest, context: ServicerContext
    ) -> pb.DisableDiagnosticsResponse:
        """Forbid diagnoses, and stop what runs."""

        async def answer(entrance: Entrance) -> pb.DisableDiagnosticsResponse:
            access = _own(entrance, Verb.ENABLE_DIAGNOSTICS)
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
            await self._steps.look(entrance, request, _own(entrance, Verb.VIEW_METADATA))
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
            notice = await self._steps.take(entrance, request, [_own(entrance, Verb.PUBLISH_NOTICE)], make)
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

    async def MakeAttestation(
        self, request: pb.MakeAttestationRequest, context: ServicerContext
    ) -> pb.MakeAttestationResponse:
        """Attest that users were told."""
        statement = request.statement

        async def answer(entrance: Entrance) -> pb.MakeAttestationResponse:
            access = _own(entrance, Verb.ATTEST_NOTICE)
            done = await self._steps.take(
                entrance, request, [access], lambda on: self._desks.attestations.make(on, statement_of(statement))
            )
            message = await asyncio.to_thread(self._attestation, entrance.log, done.attestation)
            return pb.MakeAttestationResponse(attestation=message, sessions_advanced=done.sessions)

        return await self._serve(context, request, answer)

    async def WithdrawAttestation(
        self, request: pb.WithdrawAttestationRequest, context: ServicerContext
    ) -> pb.WithdrawAttestationResponse:
        """Take an attestation back, and stop what rests on it."""

        async def answer(entrance: Entrance) -> pb.WithdrawAttestationResponse:
            access = _own(entrance, Verb.ATTEST_NOTICE)
            done = await self._steps.take(
                entrance, request, [access], lambda on: self._desks.attestations.withdraw(on, request.attestation_id)
            )
            await self._nudge(entrance.log, done.sessions)
            message = await asyncio.to_thread(self._attestation, entrance.log, done.attestation)
            return pb.WithdrawAttestationResponse(attestation=message, sessions_ended=len(done.sessions))

        return await self._serve(context, request, answer)

    async def ListAttestations(
        self, request: pb.ListAttestationsRequest, context: ServicerContext
    ) -> pb.ListAttestationsResponse:
        """Read attestations."""

        async def answer(entrance: Entrance) -> pb.ListAttestationsResponse:
            before = read_token(request.page_token)
            await self._steps.look(entrance, request, _own(entrance, Verb.VIEW_METADATA))
            size = request.page_size or _DEFAULT_PAGE_SIZE
            books = self._desks.books
            page = await asyncio.to_thread(books.page, entrance.log, Attestation, ATTESTATION, before, size + 1)
            shown = page[:size]
            told = [await asyncio.to_thread(self._attestation, entrance.log, one) for _stored, one in shown]
            token = write_token(shown[-1][0]) if len(page) > size else ""
            return pb.ListAttestationsResponse(attestations=told, next_page_token=token)

        return await self._serve(context, request, answer)

    async def ShareUsage(self, request: pb.ShareUsageRequest, context: ServicerContext) -> pb.ShareUsageResponse:
        """Opt in or out."""

        async def answer(entrance: Entrance) -> pb.ShareUsageResponse:
            access = _own(entrance, Verb.SHARE_USAGE)
            done = await self._steps.take(
                entrance, request, [access], lambda on: self._desks.terms.share_usage(on, share=request.share)
            )
            return pb.ShareUsageResponse(shares_usage=done.terms.shares_usage)

        return await self._serve(context, request, answer)

    async def GetUsage(self, request: pb.GetUsageRequest, context: ServicerContext) -> pb.GetUsageResponse:
        """Show what would be sent."""

        async def answer(entrance: Entrance) -> pb.GetUsageResponse:
            await self._steps.look(entrance, request, _own(entrance, Verb.SHARE_USAGE))
            await asyncio.to_thread(self._desks.usage.close_days, entrance.now_us)
            return pb.GetUsageResponse(document=await asyncio.to_thread(self._desks.usage.document))

        return await self._serve(context, request, answer)

    async def _serve(
        self, context: ServicerContext, request: Any, answer: Callable[[Entrance], Awaitable[T]], name: str = ""
    ) -> T:
        """Let a request in by its own name, or that of its method, and answer it, or end the call as fits."""
        kind: Descriptor = request.DESCRIPTOR
        method = (SERVICE, f"{SERVICE}/{name or kind.name.removesuffix('Request')}")
        try:
            return await self._door.serve(context, request, method, self._validator(kind), answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await abort(context, error)

    def _validator(self, kind: Descriptor) -> Validator:
        return self._validators[kind.name]

    async def _receive(self, entrance: Entrance, request: Any, receipts: list[Receipt]) -> tuple[Notice, int]:
        def make(on: Occasion) -> Step[tuple[Notice, int]]:
            return self._desks.notices.receive(on, request.notice_id, request.notice_version, receipts)

        return await self._steps.take(entrance, request, [_own(entrance, Verb.SEND_NOTICE)], make)

    async def _nudge(self, log: int, sessions: tuple[str, ...]) -> None:
        """Let workers of this process hear at once what is recorded; those of others look every second."""
        for id in sessions:
            _stored, session = await asyncio.to_thread(self._desks.books.session, log, id)
            if session.stop_reason is not None:
                self._desks.supervisor.nudge(log, id, session.stop_reason)

    async def _terms(self, log: int, terms: Terms) -> pb.Diagnostics:
        names = await asyncio.to_thread(self._desks.safe.names, log, [terms.changed_by])
        return terms_message(terms, names.get(terms.changed_by, ""))

    async def _notice(self, log: int, notice: Notice) -> pb.Notice:
        counts = await asyncio.to_thread(self._desks.books.store.counts, log, notice.id, notice.version)
        return notice_message(notice, counts)

    def _attestation(self, log: int, attestation: Attestation) -> pb.Attestation:
        desk = self._desks.attestations
        names = self._desks.safe.names(log, [attestation.attestor])
        statement = desk.opened(log, attestation)
        return attestation_message(attestation, statement, names.get(attestation.attestor, ""), desk.verifier_key(log))

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


def _own(entrance: Entrance, verb: Verb) -> Any:
    return of_tenant(entrance.tenant, verb)

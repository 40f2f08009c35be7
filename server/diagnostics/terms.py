"""DiagnosticsService: what the customer permits, and what it lets be counted."""

import asyncio

from linewarden.authz.model import Verb
from linewarden.diagnostics.change import Occasion, Step
from linewarden.diagnostics.consent.terms import TermsChanged
from linewarden.diagnostics.consent_model import Terms
from linewarden.server.access import ServicerContext
from linewarden.server.diagnostics.messages import (
    RESPONSIBILITIES,
    terms_message,
)
from linewarden.server.diagnostics.rpc import DeskService, of_own
from linewarden.server.door import Entrance
from linewarden.v1 import diagnostics_pb2 as pb


class CustomerService(DeskService):
    """Terms and usage."""

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
            return pb.DisableDiagnosticsResponse(diagnostics=terms, captures_ended=len(done.ended))

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

    async def _terms(self, log: int, terms: Terms) -> pb.Diagnostics:
        names = await asyncio.to_thread(self._desks.safe.names, log, [terms.changed_by])
        return terms_message(terms, names.get(terms.changed_by, ""))

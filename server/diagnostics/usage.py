"""UsageService: anonymous counts of customers that opted in."""

import asyncio

from linewarden.authz.model import Verb
from linewarden.diagnostics.change import ActorContext, Change
from linewarden.diagnostics.consent.terms import TermsChanged
from linewarden.server.admission import AdmittedRequest
from linewarden.server.diagnostics.rpc import DiagnosticsServicer, named_in, own_diagnostics
from linewarden.v1 import usage_pb2 as pb


class UsageServicer(DiagnosticsServicer):
    """Serves ShareUsage and GetUsage."""

    async def share_usage(self, admitted: AdmittedRequest, request: pb.ShareUsageRequest) -> pb.ShareUsageResponse:
        """Opt the tenant in or out."""

        def make(ctx: ActorContext) -> Change[TermsChanged]:
            return self._services.terms.share_usage(ctx, share=request.share)

        access = own_diagnostics(admitted, Verb.SHARE_USAGE)
        done = await self._recorder.commit(admitted, [access], make, named_in(request))
        return pb.ShareUsageResponse(shares_usage=done.terms.shares_usage)

    async def get_usage(self, admitted: AdmittedRequest, _request: pb.GetUsageRequest) -> pb.GetUsageResponse:
        """Show exactly the document that would be sent."""
        await self._recorder.read(admitted, own_diagnostics(admitted, Verb.SHARE_USAGE))
        await asyncio.to_thread(self._services.usage.close_days, admitted.now_us)
        return pb.GetUsageResponse(document=await asyncio.to_thread(self._services.usage.document))

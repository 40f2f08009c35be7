"""TermsService: the terms on which a customer permits diagnostics."""

import asyncio

from linewarden.authz.model import Verb
from linewarden.diagnostics.change import ActorContext, Change
from linewarden.diagnostics.consent.terms import TermsChanged
from linewarden.diagnostics.consent_model import Terms
from linewarden.server.admission import AdmittedRequest
from linewarden.server.diagnostics.messages import RESPONSIBILITIES, terms_message
from linewarden.server.diagnostics.rpc import DiagnosticsServicer, named_in, own_diagnostics
from linewarden.v1 import terms_pb2 as pb


class TermsServicer(DiagnosticsServicer):
    """Serves EnableDiagnostics, DisableDiagnostics and GetDiagnostics."""

    async def enable_diagnostics(
        self, admitted: AdmittedRequest, request: pb.EnableDiagnosticsRequest
    ) -> pb.EnableDiagnosticsResponse:
        """Enable diagnostics, or change the terms."""

        def make(ctx: ActorContext) -> Change[TermsChanged]:
            accepted = [RESPONSIBILITIES[number] for number in request.accepted]
            waived, days = request.approval_waived, request.retention_days
            return self._services.terms.enable(ctx, accepted, approval_waived=waived, retention_days=days)

        access = own_diagnostics(admitted, Verb.ENABLE_DIAGNOSTICS)
        done = await self._recorder.commit(admitted, [access], make, named_in(request))
        return pb.EnableDiagnosticsResponse(diagnostics=await self._message(admitted.log, done.terms))

    async def disable_diagnostics(
        self, admitted: AdmittedRequest, request: pb.DisableDiagnosticsRequest
    ) -> pb.DisableDiagnosticsResponse:
        """Disable diagnostics, and stop running captures."""
        access = own_diagnostics(admitted, Verb.ENABLE_DIAGNOSTICS)
        done = await self._recorder.commit(admitted, [access], self._services.terms.disable, named_in(request))
        await self._services.supervisor.stop_recorded(admitted.log, done.ended)
        terms = await self._message(admitted.log, done.terms)
        return pb.DisableDiagnosticsResponse(diagnostics=terms, captures_ended=len(done.ended))

    async def get_diagnostics(
        self, admitted: AdmittedRequest, _request: pb.GetDiagnosticsRequest
    ) -> pb.GetDiagnosticsResponse:
        """Read the terms."""
        await self._recorder.read(admitted, own_diagnostics(admitted, Verb.VIEW_METADATA))
        _stored, terms = await asyncio.to_thread(self._services.repository.terms, admitted.log)
        return pb.GetDiagnosticsResponse(diagnostics=await self._message(admitted.log, terms))

    async def _message(self, log_id: int, terms: Terms) -> pb.Diagnostics:
        names = await asyncio.to_thread(self._services.private_values.names, log_id, [terms.changed_by])
        return terms_message(terms, names.get(terms.changed_by, ""))

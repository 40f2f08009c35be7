"""AttestationService: an administrator of the customer attests that users were informed."""

import asyncio

from linewarden.authz.model import Verb
from linewarden.diagnostics.change import ActorContext, Change
from linewarden.diagnostics.consent.attestations import AttestationChanged
from linewarden.diagnostics.consent_model import Attestation
from linewarden.diagnostics.kinds import ATTESTATION
from linewarden.server.admission import AdmittedRequest
from linewarden.server.diagnostics.messages import attestation_message, statement_of
from linewarden.server.diagnostics.rpc import DiagnosticsServicer, named_in, own_diagnostics
from linewarden.v1 import attestation_pb2 as pb


class AttestationServicer(DiagnosticsServicer):
    """Serves MakeAttestation, WithdrawAttestation and ListAttestations."""

    async def make_attestation(
        self, admitted: AdmittedRequest, request: pb.MakeAttestationRequest
    ) -> pb.MakeAttestationResponse:
        """Attest that users were informed."""

        def make(ctx: ActorContext) -> Change[AttestationChanged]:
            return self._services.attestations.make(ctx, statement_of(request.statement))

        access = own_diagnostics(admitted, Verb.ATTEST_NOTICE)
        done = await self._recorder.commit(admitted, [access], make, named_in(request))
        message = await asyncio.to_thread(self._message, admitted.log, done.attestation)
        return pb.MakeAttestationResponse(attestation=message, captures_advanced=done.captures)

    async def withdraw_attestation(
        self, admitted: AdmittedRequest, request: pb.WithdrawAttestationRequest
    ) -> pb.WithdrawAttestationResponse:
        """Withdraw an attestation, and stop captures that rely on it."""

        def make(ctx: ActorContext) -> Change[AttestationChanged]:
            return self._services.attestations.withdraw(ctx, request.attestation_id)

        access = own_diagnostics(admitted, Verb.ATTEST_NOTICE)
        done = await self._recorder.commit(admitted, [access], make, named_in(request))
        await self._services.supervisor.stop_recorded(admitted.log, done.captures)
        message = await asyncio.to_thread(self._message, admitted.log, done.attestation)
        return pb.WithdrawAttestationResponse(attestation=message, captures_ended=len(done.captures))

    async def list_attestations(
        self, admitted: AdmittedRequest, request: pb.ListAttestationsRequest
    ) -> pb.ListAttestationsResponse:
        """Read attestations, the newest first."""
        page, token = await self._page(admitted, request, Attestation, ATTESTATION)
        messages = [await asyncio.to_thread(self._message, admitted.log, one) for one in page]
        return pb.ListAttestationsResponse(attestations=messages, next_page_token=token)

    def _message(self, log_id: int, attestation: Attestation) -> pb.Attestation:
        service = self._services.attestations
        names = self._services.private_values.names(log_id, [attestation.attestor])
        statement = service.opened(log_id, attestation)
        key = service.verifier_key(log_id)
        return attestation_message(attestation, statement, names.get(attestation.attestor, ""), key)

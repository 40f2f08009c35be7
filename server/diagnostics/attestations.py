"""DiagnosticsService: attestations."""

import asyncio

from linewarden.authz.model import Verb
from linewarden.diagnostics.consent_model import Attestation
from linewarden.diagnostics.kinds import ATTESTATION
from linewarden.server.access import ServicerContext
from linewarden.server.diagnostics.messages import attestation_message, statement_of
from linewarden.server.diagnostics.notices import NoticeService
from linewarden.server.diagnostics.rpc import DEFAULT_PAGE_SIZE, of_own
from linewarden.server.door import Entrance
from linewarden.server.pages import read_token, write_token
from linewarden.v1 import diagnostics_pb2 as pb


class AttestationService(NoticeService):
    """Attestations, beside what they are about."""

    async def MakeAttestation(
        self, request: pb.MakeAttestationRequest, context: ServicerContext
    ) -> pb.MakeAttestationResponse:
        """Attest that users were told."""
        statement = request.statement

        async def answer(entrance: Entrance) -> pb.MakeAttestationResponse:
            access = of_own(entrance, Verb.ATTEST_NOTICE)
            done = await self._steps.take(
                entrance, request, [access], lambda on: self._desks.attestations.make(on, statement_of(statement))
            )
            message = await asyncio.to_thread(self._attestation, entrance.log, done.attestation)
            return pb.MakeAttestationResponse(attestation=message, captures_advanced=done.captures)

        return await self._serve(context, request, answer)

    async def WithdrawAttestation(
        self, request: pb.WithdrawAttestationRequest, context: ServicerContext
    ) -> pb.WithdrawAttestationResponse:
        """Take an attestation back, and stop what rests on it."""

        async def answer(entrance: Entrance) -> pb.WithdrawAttestationResponse:
            access = of_own(entrance, Verb.ATTEST_NOTICE)
            done = await self._steps.take(
                entrance, request, [access], lambda on: self._desks.attestations.withdraw(on, request.attestation_id)
            )
            await self._nudge(entrance.log, done.captures)
            message = await asyncio.to_thread(self._attestation, entrance.log, done.attestation)
            return pb.WithdrawAttestationResponse(attestation=message, captures_ended=len(done.captures))

        return await self._serve(context, request, answer)

    async def ListAttestations(
        self, request: pb.ListAttestationsRequest, context: ServicerContext
    ) -> pb.ListAttestationsResponse:
        """Read attestations."""

        async def answer(entrance: Entrance) -> pb.ListAttestationsResponse:
            before = read_token(request.page_token)
            await self._steps.look(entrance, request, of_own(entrance, Verb.VIEW_METADATA))
            size = request.page_size or DEFAULT_PAGE_SIZE
            books = self._desks.books
            page = await asyncio.to_thread(books.page, entrance.log, Attestation, ATTESTATION, before, size + 1)
            shown = page[:size]
            told = [await asyncio.to_thread(self._attestation, entrance.log, one) for _stored, one in shown]
            token = write_token(shown[-1][0]) if len(page) > size else ""
            return pb.ListAttestationsResponse(attestations=told, next_page_token=token)

        return await self._serve(context, request, answer)

    def _attestation(self, log: int, attestation: Attestation) -> pb.Attestation:
        desk = self._desks.attestations
        names = self._desks.safe.names(log, [attestation.attestor])
        statement = desk.opened(log, attestation)
        return attestation_message(attestation, statement, names.get(attestation.attestor, ""), desk.verifier_key(log))

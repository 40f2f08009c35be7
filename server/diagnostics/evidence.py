"""DiagnosticsService: what became of sessions, their evidence, and probes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from linewarden.audit.errors import LogUnavailable
from linewarden.authz.model import Verb
from linewarden.diagnostics.agent.messages import tally_message
from linewarden.diagnostics.capture_model import CaptureRight, Session, SessionState, Tally
from linewarden.diagnostics.change import Occasion
from linewarden.diagnostics.codec import read
from linewarden.diagnostics.errors import DiagnosisUnavailable, StateConflict
from linewarden.diagnostics.kinds import SESSION
from linewarden.diagnostics.ports import Standing
from linewarden.diagnostics.probes.model import ProbeOrder
from linewarden.diagnostics.states import LIVE, WAITING
from linewarden.server.access import ServicerContext
from linewarden.server.diagnostics.captures import SessionService
from linewarden.server.diagnostics.messages import PROBES, TRANSPORTS, number
from linewarden.server.diagnostics.recorded_changes import of_session, of_tenant
from linewarden.server.diagnostics.rpc import DEFAULT_PAGE_SIZE, SERVICE
from linewarden.server.door import Entrance
from linewarden.server.errors import ServerError, StreamLimitExceeded, SubjectNotPermitted, abort
from linewarden.server.pages import read_token, write_token
from linewarden.v1 import diagnostics_pb2 as pb

_WATCH_S = 1.0
_PART_BYTES = 256 * 1024


class DiagnosticsService(SessionService):
    """The whole service."""

    async def GetSession(self, request: pb.GetSessionRequest, context: ServicerContext) -> pb.GetSessionResponse:
        """Read one session."""

        async def answer(entrance: Entrance) -> pb.GetSessionResponse:
            await self._steps.look(entrance, request, of_session(request.session_id, Verb.VIEW_METADATA))
            _at, session = await asyncio.to_thread(self._desks.books.session, entrance.log, request.session_id)
            return pb.GetSessionResponse(session=await self._told(entrance.log, session))

        return await self._serve(context, request, answer)

    async def ListSessions(self, request: pb.ListSessionsRequest, context: ServicerContext) -> pb.ListSessionsResponse:
        """Read sessions."""

        async def answer(entrance: Entrance) -> pb.ListSessionsResponse:
            before = read_token(request.page_token)
            await self._steps.look(entrance, request, of_tenant(entrance.tenant, Verb.VIEW_METADATA))
            size, books = request.page_size or DEFAULT_PAGE_SIZE, self._desks.books
            page = await asyncio.to_thread(books.page, entrance.log, Session, SESSION, before, size + 1)
            shown = page[:size]
            told = [await self._told(entrance.log, one) for _stored, one in shown]
            token = write_token(shown[-1][0]) if len(page) > size else ""
            return pb.ListSessionsResponse(sessions=told, next_page_token=token)

        return await self._serve(context, request, answer)

    async def WatchSession(
        self, request: pb.WatchSessionRequest, context: ServicerContext
    ) -> AsyncIterator[pb.WatchSessionResponse]:
        """Stream counters until the session ends."""

        async def answer(entrance: Entrance) -> Occasion:
            return await self._steps.look(entrance, request, of_session(request.session_id, Verb.VIEW_METADATA))

        on = await self._serve(context, request, answer)
        log, viewer = on.log, Standing(on.name, on.purpose, on.case, on.zone)
        try:
            with self._door.stream(context):
                async with asyncio.timeout(self._max_stream_s):
                    while True:
                        await self._check_still(context, request, on.log, viewer)
                        look, over = await asyncio.to_thread(self._look, log, request.session_id)
                        yield look
                        if over:
                            return
                        await asyncio.sleep(_WATCH_S)
        except TimeoutError:
            await abort(context, StreamLimitExceeded("seconds"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await abort(context, error)

    async def ReadEvidence(
        self, request: pb.ReadEvidenceRequest, context: ServicerContext
    ) -> AsyncIterator[pb.ReadEvidenceResponse]:
        """Stream the sealed file. That it is handed out is durable before its first byte leaves."""

        async def answer(entrance: Entrance) -> Path:
            access = of_session(request.session_id, Verb.CAPTURE_READ)
            id, desk = request.session_id, self._desks.sessions
            session = await self._steps.take(entrance, request, [access], lambda on: desk.open(on, id))
            return await asyncio.to_thread(self._desks.workers.find, id, session.folder)

        path = await self._serve(context, request, answer)
        try:
            total = path.stat().st_size
            with self._door.stream(context), path.open("rb") as file:
                while part := await asyncio.to_thread(file.read, _PART_BYTES):
                    yield pb.ReadEvidenceResponse(content=part, total_bytes=total)
        except OSError:
            await abort(context, DiagnosisUnavailable())
        except (ServerError, LogUnavailable) as error:
            await abort(context, error)

    async def DeleteSession(
        self, request: pb.DeleteSessionRequest, context: ServicerContext
    ) -> pb.DeleteSessionResponse:
        """Delete the evidence: that it is given up is durable before it is gone, that it is gone is said after."""

        async def answer(entrance: Entrance) -> pb.DeleteSessionResponse:
            id, desk = request.session_id, self._desks.sessions
            access = of_session(id, Verb.DELETE)
            given_up = await self._steps.take(entrance, request, [access], lambda on: desk.give_up(on, id))
            await asyncio.to_thread(self._desks.workers.delete, id, given_up.folder)
            with suppress(StateConflict):  # the sweep may have found it meanwhile
                await self._steps.tell(entrance, request, lambda on: desk.delete(on, id))
            _at, session = await asyncio.to_thread(self._desks.books.session, entrance.log, id)
            return pb.DeleteSessionResponse(session=await self._told(entrance.log, session))

        return await self._serve(context, request, answer)

    async def RunProbe(self, request: pb.RunProbeRequest, context: ServicerContext) -> pb.RunProbeResponse:
        """Run a probe between two entries: that it is run, and what came of it."""

        async def answer(entrance: Entrance) -> pb.RunProbeResponse:
            id = self._desks.sessions.new_id()
            transport = TRANSPORTS.get(request.transport)
            order = ProbeOrder(
                PROBES[request.kind],
                request.target,
                request.port,
                transport.value if transport else "any",
                request.timeout_ms / 1_000,
                request.worker,
            )
            findings = await self._desks.probing.probe(entrance, request, id, order)
            return pb.RunProbeResponse(probe_id=id, succeeded=findings.succeeded, findings=findings.values)

        return await self._serve(context, request, answer)

    async def _check_still(
        self, context: ServicerContext, request: pb.WatchSessionRequest, log: int, viewer: Standing
    ) -> None:
        """Make sure that whoever watches may still do so: a key or right that is gone ends a stream, too."""
        await self._door.check_still(context, request.tenant, (SERVICE, f"{SERVICE}/WatchSession"))
        if not await self._desks.rights.may(log, request.session_id, viewer, {CaptureRight.VIEW}):
            raise SubjectNotPermitted("")

    def _look(self, log: int, id: str) -> tuple[pb.WatchSessionResponse, bool]:
        _at, session = self._desks.books.session(log, id)
        tally = session.tally
        if session.state in LIVE:
            lease = self._desks.books.store.lease(log, id)
            live = self._desks.supervisor.tally(log, id)
            tally = live or (read(Tally, lease.counters) if lease else tally)
        look = pb.WatchSessionResponse(state=number(session.state), counters=tally_message(tally))
        over = session.state not in LIVE | WAITING | {SessionState.DRAFT}
        if session.stop_reason is not None:
            look.stop_reason = number(session.stop_reason)
        return look, over

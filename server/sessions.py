"""DiagnosticsService: capture sessions, their evidence, and probes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from linewarden.authz.model import Verb
from linewarden.diagnostics.capture.model import Profile, StopReason
from linewarden.diagnostics.errors import DiagnosisUnavailable, StateConflict
from linewarden.diagnostics.kinds import SESSION
from linewarden.diagnostics.probes.model import ProbeOrder
from linewarden.diagnostics.probes.run import ProbeDesk, run_probe
from linewarden.diagnostics.records import read
from linewarden.diagnostics.session import Session, SessionState, Tally
from linewarden.diagnostics.states import LIVE, WAITING
from linewarden.diagnostics.steps import Occasion, Step
from linewarden.diagnostics.worker_process import LocalWorkers
from linewarden.server.access import ServicerContext
from linewarden.server.custody import Custody, check_beginning, parts_of
from linewarden.server.diagnostics import CustomerService, Desks
from linewarden.server.diagnostics_steps import Steps, of_session, of_tenant
from linewarden.server.diagnostics_words import (
    LEASE_S,
    PROBES,
    TRANSPORTS,
    asked_of,
    number,
    session_message,
    tally_message,
)
from linewarden.server.door import Door, Entrance
from linewarden.server.errors import InvalidRequest, StreamLimitExceeded, Violation, abort
from linewarden.server.pages import read_token, write_token
from linewarden.v1 import diagnostics_pb2 as pb

_DEFAULT_PAGE_SIZE = 20
_WATCH_S = 1.0
_PART_BYTES = 256 * 1024
_ONE_SOURCE = Violation("interface", "interface.or_file", "either interface or file must be given")

_Make = Callable[[Occasion], Step[Session]]


class DiagnosticsService(CustomerService):
    """The whole service."""

    def __init__(
        self,
        door: Door,
        steps: Steps,
        desks: Desks,
        probes: ProbeDesk,
        workers: LocalWorkers,
        custody: Custody,
        max_stream_s: float,
    ) -> None:
        super().__init__(door, steps, desks)
        self._custody = custody
        self._probes = probes
        self._workers = workers
        self._max_stream_s = max_stream_s

    async def RequestSession(
        self, request: pb.RequestSessionRequest, context: ServicerContext
    ) -> pb.RequestSessionResponse:
        """Ask for a capture."""

        async def answer(entrance: Entrance) -> pb.RequestSessionResponse:
            if bool(request.interface) == bool(request.file):
                raise InvalidRequest((_ONE_SOURCE,))
            asked = asked_of(request)
            id = self._desks.sessions.new_id(entrance.log, entrance.caller, request.request_id)
            verbs = [Verb.CAPTURE_REQUEST]
            verbs += [Verb.CAPTURE_MEDIA] if asked.profile is Profile.MEDIA else []
            verbs += [Verb.CAPTURE_RAW_FILTER] if asked.wanted.raw_filter else []
            session = await self._steps.take(
                entrance,
                request,
                [of_session(id, verb) for verb in verbs],
                lambda on: self._desks.sessions.request(on, id, asked),
            )
            return pb.RequestSessionResponse(session=await self._told(entrance.log, session))

        return await self._serve(context, request, answer)

    async def ApproveSession(
        self, request: pb.ApproveSessionRequest, context: ServicerContext
    ) -> pb.ApproveSessionResponse:
        """Approve what somebody else asked for."""

        async def answer(entrance: Entrance) -> pb.ApproveSessionResponse:
            make: _Make = lambda on: self._desks.sessions.approve(on, request.session_id)  # noqa: E731
            return pb.ApproveSessionResponse(session=await self._step(entrance, request, Verb.CAPTURE_APPROVE, make))

        return await self._serve(context, request, answer)

    async def RejectSession(
        self, request: pb.RejectSessionRequest, context: ServicerContext
    ) -> pb.RejectSessionResponse:
        """Refuse a session for good."""

        async def answer(entrance: Entrance) -> pb.RejectSessionResponse:
            make: _Make = lambda on: self._desks.sessions.reject(on, request.session_id)  # noqa: E731
            return pb.RejectSessionResponse(session=await self._step(entrance, request, Verb.CAPTURE_APPROVE, make))

        return await self._serve(context, request, answer)

    async def StartSession(self, request: pb.StartSessionRequest, context: ServicerContext) -> pb.StartSessionResponse:
        """Start the capture. That it starts is durable before the first packet is taken."""

        async def answer(entrance: Entrance) -> pb.StartSessionResponse:
            access = of_session(request.session_id, Verb.CAPTURE_START)
            session, order = await self._steps.take(
                entrance, request, [access], lambda on: self._desks.sessions.start(on, request.session_id)
            )
            # The caller may go away; a capture that is recorded as running must not be left without its watcher.
            await asyncio.shield(self._desks.supervisor.run(entrance.log, session, order))
            return pb.StartSessionResponse(session=await self._told(entrance.log, session))

        return await self._serve(context, request, answer)

    async def UploadCapture(
        self, request_iterator: AsyncIterator[pb.UploadCaptureRequest], context: ServicerContext
    ) -> pb.UploadCaptureResponse:
        """Start a session on a file that comes in. That it starts is durable before the file's first byte is read."""
        try:
            async with asyncio.timeout(LEASE_S):
                first = await anext(request_iterator, pb.UploadCaptureRequest())
        except TimeoutError:
            await abort(context, StreamLimitExceeded("seconds"))
        start, validate = first.start, self._validators["UploadCaptureRequest"]

        async def answer(entrance: Entrance) -> pb.UploadCaptureResponse:
            if violations := validate(first):
                raise InvalidRequest(violations)
            check_beginning(first.content)
            access = of_session(start.session_id, Verb.CAPTURE_START)
            session, order = await self._steps.take(
                entrance, start, [access], lambda on: self._desks.sessions.start(on, start.session_id, with_file=True)
            )
            parts = parts_of(first, request_iterator, validate)
            await self._custody.bring(entrance.log, session, order, parts)
            _at, session = await asyncio.to_thread(self._desks.books.session, entrance.log, session.id)
            return pb.UploadCaptureResponse(session=await self._told(entrance.log, session))

        return await self._serve(context, start, answer, "UploadCapture")

    async def StopSession(self, request: pb.StopSessionRequest, context: ServicerContext) -> pb.StopSessionResponse:
        """Stop the capture."""

        async def answer(entrance: Entrance) -> pb.StopSessionResponse:
            make: _Make = lambda on: self._desks.sessions.stop(on, request.session_id)  # noqa: E731
            told = await self._step(entrance, request, Verb.CAPTURE_STOP, make)
            self._desks.supervisor.nudge(entrance.log, request.session_id, StopReason.REQUESTED)
            return pb.StopSessionResponse(session=told)

        return await self._serve(context, request, answer)

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
            size, books = request.page_size or _DEFAULT_PAGE_SIZE, self._desks.books
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
        log = await self._serve(context, request, lambda entrance: self._looked(entrance, request, Verb.VIEW_METADATA))
        try:
            async with asyncio.timeout(self._max_stream_s):
                while True:
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
            await self._steps.take(
                entrance, request, [access], lambda on: self._desks.sessions.open(on, request.session_id)
            )
            return self._workers.path(request.session_id)

        path = await self._serve(context, request, answer)
        try:
            total = path.stat().st_size
            with path.open("rb") as file:
                while part := await asyncio.to_thread(file.read, _PART_BYTES):
                    yield pb.ReadEvidenceResponse(content=part, total_bytes=total)
        except OSError:
            await abort(context, DiagnosisUnavailable())

    async def DeleteSession(
        self, request: pb.DeleteSessionRequest, context: ServicerContext
    ) -> pb.DeleteSessionResponse:
        """Delete the evidence: that it is given up is durable before it is gone, that it is gone is said after."""

        async def answer(entrance: Entrance) -> pb.DeleteSessionResponse:
            id, desk = request.session_id, self._desks.sessions
            access = of_session(id, Verb.DELETE)
            await self._steps.take(entrance, request, [access], lambda on: desk.give_up(on, id))
            await asyncio.to_thread(self._workers.delete, id)
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
            )
            access = of_tenant(entrance.tenant, Verb.RUN_PROBE)
            await self._steps.take(entrance, request, [access], lambda on: self._probes.begin(on, id, order))
            findings = await run_probe(order)
            await self._steps.tell(entrance, request, lambda on: self._probes.end(on, id, order, findings))
            return pb.RunProbeResponse(probe_id=id, succeeded=findings.succeeded, findings=findings.values)

        return await self._serve(context, request, answer)

    async def _step(self, entrance: Entrance, request: Any, verb: Verb, make: _Make) -> pb.Session:
        session = await self._steps.take(entrance, request, [of_session(request.session_id, verb)], make)
        return await self._told(entrance.log, session)

    async def _looked(self, entrance: Entrance, request: Any, verb: Verb) -> int:
        await self._steps.look(entrance, request, of_session(request.session_id, verb))
        return entrance.log

    def _look(self, log: int, id: str) -> tuple[pb.WatchSessionResponse, bool]:
        _at, session = self._desks.books.session(log, id)
        tally = session.tally
        if session.state in LIVE:
            lease = self._desks.books.store.lease(log, id)
            live = self._desks.supervisor.tally(log, id)
            tally = live or (read(Tally, lease.counters) if lease else tally)
        look = pb.WatchSessionResponse(state=number(session.state), counters=tally_message(tally))
        over = session.state not in LIVE | WAITING | {SessionState.PAUSED, SessionState.DRAFT}
        if session.stop_reason is not None:
            look.stop_reason = number(session.stop_reason)
        return look, over

    async def _told(self, log: int, session: Session) -> pb.Session:
        return await asyncio.to_thread(self._message, log, session)

    def _message(self, log: int, session: Session) -> pb.Session:
        desk = self._desks.sessions
        names = desk.names(log, [session])
        return session_message(session, desk.private(log, session), names, desk.ticket_digest(log, session))

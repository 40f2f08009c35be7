"""DiagnosticsService: the way of a session, from the request to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from linewarden.authz.model import Verb
from linewarden.authz.service import Access
from linewarden.diagnostics.capture_model import CaptureRight, Session
from linewarden.diagnostics.change import Occasion, Step
from linewarden.diagnostics.errors import RecordNotFound
from linewarden.diagnostics.packets.model import Profile, StopReason
from linewarden.diagnostics.ports import Standing
from linewarden.server.access import ServicerContext
from linewarden.server.diagnostics.attestations import AttestationService
from linewarden.server.diagnostics.capture_import import check_beginning, parts_of
from linewarden.server.diagnostics.messages import LEASE_S, asked_of, session_message
from linewarden.server.diagnostics.recorded_changes import of_session
from linewarden.server.door import Entrance
from linewarden.server.errors import InvalidRequest, StreamLimitExceeded, Violation, abort
from linewarden.v1 import diagnostics_pb2 as pb

_ONE_SOURCE = Violation("interface", "interface.or_file", "either interface or file must be given")

_Make = Callable[[Occasion], Step[Session]]


class SessionService(AttestationService):
    """Sessions on their way, beside what comes before them."""

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
            make = partial(self._desks.sessions.approve, id=request.session_id)
            return pb.ApproveSessionResponse(session=await self._step(entrance, request, Verb.CAPTURE_APPROVE, make))

        return await self._serve(context, request, answer)

    async def RejectSession(
        self, request: pb.RejectSessionRequest, context: ServicerContext
    ) -> pb.RejectSessionResponse:
        """Refuse a session for good."""

        async def answer(entrance: Entrance) -> pb.RejectSessionResponse:
            make = partial(self._desks.sessions.reject, id=request.session_id)
            return pb.RejectSessionResponse(session=await self._step(entrance, request, Verb.CAPTURE_APPROVE, make))

        return await self._serve(context, request, answer)

    async def StartSession(self, request: pb.StartSessionRequest, context: ServicerContext) -> pb.StartSessionResponse:
        """Start the capture. That it starts is durable before the first packet is taken."""

        async def answer(entrance: Entrance) -> pb.StartSessionResponse:
            access, stands = await self._going_on(entrance, request.session_id)
            session, order = await self._steps.take(
                entrance,
                request,
                access,
                lambda on: self._desks.sessions.start(on, request.session_id, approver_stands=stands),
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
            access, stands = await self._going_on(entrance, start.session_id)
            session, order = await self._steps.take(
                entrance,
                start,
                access,
                lambda on: self._desks.sessions.start(on, start.session_id, with_file=True, approver_stands=stands),
            )
            parts = parts_of(first, request_iterator, validate)
            await self._desks.custody.bring(entrance.log, session, order, parts)
            _at, session = await asyncio.to_thread(self._desks.books.session, entrance.log, session.id)
            return pb.UploadCaptureResponse(session=await self._told(entrance.log, session))

        return await self._serve(context, start, answer, "UploadCapture")

    async def PauseSession(self, request: pb.PauseSessionRequest, context: ServicerContext) -> pb.PauseSessionResponse:
        """Let the capture take no packets."""

        async def answer(entrance: Entrance) -> pb.PauseSessionResponse:
            make = partial(self._desks.sessions.pause, id=request.session_id)
            told = await self._step(entrance, request, Verb.CAPTURE_STOP, make)
            self._desks.supervisor.pause(entrance.log, request.session_id, paused=True)
            return pb.PauseSessionResponse(session=told)

        return await self._serve(context, request, answer)

    async def ResumeSession(
        self, request: pb.ResumeSessionRequest, context: ServicerContext
    ) -> pb.ResumeSessionResponse:
        """Let a paused capture go on. That it does is durable before the next packet is taken."""

        async def answer(entrance: Entrance) -> pb.ResumeSessionResponse:
            access, stands = await self._going_on(entrance, request.session_id)
            session = await self._steps.take(
                entrance,
                request,
                access,
                lambda on: self._desks.sessions.resume(on, request.session_id, approver_stands=stands),
            )
            told = await self._told(entrance.log, session)
            self._desks.supervisor.pause(entrance.log, request.session_id, paused=False)
            return pb.ResumeSessionResponse(session=told)

        return await self._serve(context, request, answer)

    async def StopSession(self, request: pb.StopSessionRequest, context: ServicerContext) -> pb.StopSessionResponse:
        """Stop the capture."""

        async def answer(entrance: Entrance) -> pb.StopSessionResponse:
            make = partial(self._desks.sessions.stop, id=request.session_id)
            told = await self._step(entrance, request, Verb.CAPTURE_STOP, make)
            self._desks.supervisor.nudge(entrance.log, request.session_id, StopReason.REQUESTED)
            return pb.StopSessionResponse(session=told)

        return await self._serve(context, request, answer)

    async def _going_on(self, entrance: Entrance, id: str) -> tuple[list[Access], bool]:
        """What it needs to let a session run, and whether its approver may still approve.

        Should the approver lose that right in this very moment, the first look of the supervisor finds out.
        """
        desk, log = self._desks.sessions, entrance.log
        try:
            _at, session = await asyncio.to_thread(self._desks.books.session, log, id)
        except RecordNotFound:  # the step says so, and that is recorded
            return [of_session(id, Verb.CAPTURE_START)], True
        rights = await asyncio.to_thread(desk.rights, log, session)
        access = [of_session(id, Verb(right)) for right in sorted(rights)]
        return access, await self._approver_stands(log, session)

    async def _approver_stands(self, log: int, session: Session) -> bool:
        if not session.approved_by:
            return True
        desk = self._desks.sessions
        names = await asyncio.to_thread(desk.names, log, [session])
        private = await asyncio.to_thread(desk.private, log, session)
        case = "" if private is None else private.case
        standing = Standing(names.get(session.approved_by, ""), session.purpose, case, session.approved_zone)
        return await self._desks.rights.may(log, session.id, standing, {CaptureRight.APPROVE})

    async def _step(self, entrance: Entrance, request: Any, verb: Verb, make: _Make) -> pb.Session:
        session = await self._steps.take(entrance, request, [of_session(request.session_id, verb)], make)
        return await self._told(entrance.log, session)

    async def _told(self, log: int, session: Session) -> pb.Session:
        return await asyncio.to_thread(self._message, log, session)

    def _message(self, log: int, session: Session) -> pb.Session:
        desk = self._desks.sessions
        names = desk.names(log, [session])
        message = session_message(session, desk.private(log, session), names, desk.ticket_digest(log, session))
        message.lacking.extend(desk.lacking(log, session, self._now_us()))
        return message

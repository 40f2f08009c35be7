"""DiagnosticsService: the way of a capture, from the request to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from linewarden.authz.model import Verb
from linewarden.authz.service import Access
from linewarden.diagnostics.capture_model import CaptureRight, Capture
from linewarden.diagnostics.change import Occasion, Step
from linewarden.diagnostics.errors import RecordNotFound
from linewarden.diagnostics.packets.model import Profile, StopReason
from linewarden.diagnostics.ports import Standing
from linewarden.server.access import ServicerContext
from linewarden.server.diagnostics.attestations import AttestationService
from linewarden.server.diagnostics.capture_import import check_beginning, parts_of
from linewarden.server.diagnostics.messages import LEASE_S, asked_of, capture_message
from linewarden.server.diagnostics.recorded_changes import of_capture
from linewarden.server.door import Entrance
from linewarden.server.errors import InvalidRequest, StreamLimitExceeded, Violation, abort
from linewarden.v1 import diagnostics_pb2 as pb

_ONE_SOURCE = Violation("interface", "interface.or_file", "either interface or file must be given")

_Make = Callable[[Occasion], Step[Capture]]


class CaptureService(AttestationService):
    """Captures on their way, beside what comes before them."""

    async def RequestCapture(
        self, request: pb.RequestCaptureRequest, context: ServicerContext
    ) -> pb.RequestCaptureResponse:
        """Ask for a capture."""

        async def answer(entrance: Entrance) -> pb.RequestCaptureResponse:
            if bool(request.interface) == bool(request.file):
                raise InvalidRequest((_ONE_SOURCE,))
            asked = asked_of(request)
            id = self._desks.captures.new_id(entrance.log, entrance.caller, request.request_id)
            verbs = [Verb.CAPTURE_REQUEST]
            verbs += [Verb.CAPTURE_MEDIA] if asked.profile is Profile.MEDIA else []
            verbs += [Verb.CAPTURE_RAW_FILTER] if asked.wanted.raw_filter else []
            capture = await self._steps.take(
                entrance,
                request,
                [of_capture(id, verb) for verb in verbs],
                lambda on: self._desks.captures.request(on, id, asked),
            )
            return pb.RequestCaptureResponse(capture=await self._told(entrance.log, capture))

        return await self._serve(context, request, answer)

    async def ApproveCapture(
        self, request: pb.ApproveCaptureRequest, context: ServicerContext
    ) -> pb.ApproveCaptureResponse:
        """Approve what somebody else asked for."""

        async def answer(entrance: Entrance) -> pb.ApproveCaptureResponse:
            make = partial(self._desks.captures.approve, id=request.capture_id)
            return pb.ApproveCaptureResponse(capture=await self._step(entrance, request, Verb.CAPTURE_APPROVE, make))

        return await self._serve(context, request, answer)

    async def RejectCapture(
        self, request: pb.RejectCaptureRequest, context: ServicerContext
    ) -> pb.RejectCaptureResponse:
        """Refuse a capture for good."""

        async def answer(entrance: Entrance) -> pb.RejectCaptureResponse:
            make = partial(self._desks.captures.reject, id=request.capture_id)
            return pb.RejectCaptureResponse(capture=await self._step(entrance, request, Verb.CAPTURE_APPROVE, make))

        return await self._serve(context, request, answer)

    async def StartCapture(self, request: pb.StartCaptureRequest, context: ServicerContext) -> pb.StartCaptureResponse:
        """Start the capture. That it starts is durable before the first packet is taken."""

        async def answer(entrance: Entrance) -> pb.StartCaptureResponse:
            access, stands = await self._going_on(entrance, request.capture_id)
            capture, order = await self._steps.take(
                entrance,
                request,
                access,
                lambda on: self._desks.captures.start(on, request.capture_id, approver_stands=stands),
            )
            # The caller may go away; a capture that is recorded as running must not be left without its watcher.
            await asyncio.shield(self._desks.supervisor.run(entrance.log, capture, order))
            return pb.StartCaptureResponse(capture=await self._told(entrance.log, capture))

        return await self._serve(context, request, answer)

    async def UploadCapture(
        self, request_iterator: AsyncIterator[pb.UploadCaptureRequest], context: ServicerContext
    ) -> pb.UploadCaptureResponse:
        """Start a capture on a file that comes in. That it starts is durable before the file's first byte is read."""
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
            access, stands = await self._going_on(entrance, start.capture_id)
            capture, order = await self._steps.take(
                entrance,
                start,
                access,
                lambda on: self._desks.captures.start(on, start.capture_id, with_file=True, approver_stands=stands),
            )
            parts = parts_of(first, request_iterator, validate)
            await self._desks.custody.bring(entrance.log, capture, order, parts)
            _at, capture = await asyncio.to_thread(self._desks.books.capture, entrance.log, capture.id)
            return pb.UploadCaptureResponse(capture=await self._told(entrance.log, capture))

        return await self._serve(context, start, answer, "UploadCapture")

    async def PauseCapture(self, request: pb.PauseCaptureRequest, context: ServicerContext) -> pb.PauseCaptureResponse:
        """Let the capture take no packets."""

        async def answer(entrance: Entrance) -> pb.PauseCaptureResponse:
            make = partial(self._desks.captures.pause, id=request.capture_id)
            told = await self._step(entrance, request, Verb.CAPTURE_STOP, make)
            self._desks.supervisor.pause(entrance.log, request.capture_id, paused=True)
            return pb.PauseCaptureResponse(capture=told)

        return await self._serve(context, request, answer)

    async def ResumeCapture(
        self, request: pb.ResumeCaptureRequest, context: ServicerContext
    ) -> pb.ResumeCaptureResponse:
        """Let a paused capture go on. That it does is durable before the next packet is taken."""

        async def answer(entrance: Entrance) -> pb.ResumeCaptureResponse:
            access, stands = await self._going_on(entrance, request.capture_id)
            capture = await self._steps.take(
                entrance,
                request,
                access,
                lambda on: self._desks.captures.resume(on, request.capture_id, approver_stands=stands),
            )
            told = await self._told(entrance.log, capture)
            self._desks.supervisor.pause(entrance.log, request.capture_id, paused=False)
            return pb.ResumeCaptureResponse(capture=told)

        return await self._serve(context, request, answer)

    async def StopCapture(self, request: pb.StopCaptureRequest, context: ServicerContext) -> pb.StopCaptureResponse:
        """Stop the capture."""

        async def answer(entrance: Entrance) -> pb.StopCaptureResponse:
            make = partial(self._desks.captures.stop, id=request.capture_id)
            told = await self._step(entrance, request, Verb.CAPTURE_STOP, make)
            self._desks.supervisor.nudge(entrance.log, request.capture_id, StopReason.REQUESTED)
            return pb.StopCaptureResponse(capture=told)

        return await self._serve(context, request, answer)

    async def _going_on(self, entrance: Entrance, id: str) -> tuple[list[Access], bool]:
        """What it needs to let a capture run, and whether its approver may still approve.

        Should the approver lose that right in this very moment, the first look of the supervisor finds out.
        """
        desk, log = self._desks.captures, entrance.log
        try:
            _at, capture = await asyncio.to_thread(self._desks.books.capture, log, id)
        except RecordNotFound:  # the step says so, and that is recorded
            return [of_capture(id, Verb.CAPTURE_START)], True
        rights = await asyncio.to_thread(desk.rights, log, capture)
        access = [of_capture(id, Verb(right)) for right in sorted(rights)]
        return access, await self._approver_stands(log, capture)

    async def _approver_stands(self, log: int, capture: Capture) -> bool:
        if not capture.approved_by:
            return True
        desk = self._desks.captures
        names = await asyncio.to_thread(desk.names, log, [capture])
        private = await asyncio.to_thread(desk.private, log, capture)
        case = "" if private is None else private.case
        standing = Standing(names.get(capture.approved_by, ""), capture.purpose, case, capture.approved_zone)
        return await self._desks.rights.may(log, capture.id, standing, {CaptureRight.APPROVE})

    async def _step(self, entrance: Entrance, request: Any, verb: Verb, make: _Make) -> pb.Capture:
        capture = await self._steps.take(entrance, request, [of_capture(request.capture_id, verb)], make)
        return await self._told(entrance.log, capture)

    async def _told(self, log: int, capture: Capture) -> pb.Capture:
        return await asyncio.to_thread(self._message, log, capture)

    def _message(self, log: int, capture: Capture) -> pb.Capture:
        desk = self._desks.captures
        names = desk.names(log, [capture])
        message = capture_message(capture, desk.private(log, capture), names, desk.ticket_digest(log, capture))
        message.lacking.extend(desk.lacking(log, capture, self._now_us()))
        return message

"""CaptureService: the life of a capture, from the request to the deletion of its evidence."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from linewarden.authz.errors import SubjectNotPermitted
from linewarden.authz.model import Verb
from linewarden.authz.service import Access
from linewarden.diagnostics.agent.messages import tally_message
from linewarden.diagnostics.capture_model import Capture, CaptureRight
from linewarden.diagnostics.change import ActorContext, Change
from linewarden.diagnostics.errors import DiagnosisUnavailable, StateConflict
from linewarden.diagnostics.kinds import CAPTURE_RECORD
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.ports import Requester
from linewarden.server.admission import Admission, AdmittedRequest
from linewarden.server.diagnostics.capture_import import check_beginning, parts_of
from linewarden.server.diagnostics.messages import capture_message, number, request_of
from linewarden.server.diagnostics.recorded_changes import Recorder, capture_access
from linewarden.server.diagnostics.rpc import (
    DiagnosticsServicer,
    Services,
    named_in,
)
from linewarden.server.errors import InvalidRequest, StreamLimitExceeded, Violation
from linewarden.v1 import capture_pb2 as pb

_WATCH_S = 1.0
_PART_BYTES = 256 * 1024
_ONE_SOURCE = Violation("interface", "interface.or_file", "either interface or file must be given")

_Make = Callable[[ActorContext], Change[Capture]]


class CaptureServicer(DiagnosticsServicer):
    """Serves the rpcs of captures. `max_stream_s` is the time limit of watching one, seconds."""

    def __init__(
        self,
        recorder: Recorder,
        services: Services,
        admission: Admission,
        max_stream_s: float,
        now_us: Callable[[], int],
    ) -> None:
        super().__init__(recorder, services)
        self._admission = admission
        self._captures = services.captures
        self._max_stream_s = max_stream_s
        self._now_us = now_us

    async def request_capture(
        self, admitted: AdmittedRequest, request: pb.RequestCaptureRequest
    ) -> pb.RequestCaptureResponse:
        """Request a capture."""
        if bool(request.interface) == bool(request.file):
            raise InvalidRequest((_ONE_SOURCE,))
        capture_request = request_of(request)
        call = admitted.call
        id = self._captures.new_id(call.log, call.caller, call.request_id)
        accesses = [capture_access(id, Verb(right)) for right in sorted(capture_request.rights)]
        capture = await self._recorder.commit(
            admitted, accesses, lambda ctx: self._captures.request(ctx, id, capture_request), named_in(request)
        )
        return pb.RequestCaptureResponse(capture=await self._message(admitted.log, capture))

    async def approve_capture(
        self, admitted: AdmittedRequest, request: pb.ApproveCaptureRequest
    ) -> pb.ApproveCaptureResponse:
        """Approve the request of another person."""
        capture = await self._change(admitted, request, Verb.CAPTURE_APPROVE, self._captures.approve)
        return pb.ApproveCaptureResponse(capture=capture)

    async def reject_capture(
        self, admitted: AdmittedRequest, request: pb.RejectCaptureRequest
    ) -> pb.RejectCaptureResponse:
        """Reject a capture for good."""
        capture = await self._change(admitted, request, Verb.CAPTURE_APPROVE, self._captures.reject)
        return pb.RejectCaptureResponse(capture=capture)

    async def start_capture(
        self, admitted: AdmittedRequest, request: pb.StartCaptureRequest
    ) -> pb.StartCaptureResponse:
        """Start the capture. The start is durable before the first packet is captured."""
        accesses, stands = await self._rights_to_run(admitted, request.capture_id)
        capture, order = await self._recorder.commit(
            admitted,
            accesses,
            lambda ctx: self._captures.start(ctx, request.capture_id, approver_stands=stands),
            named_in(request),
        )
        # A capture that is recorded as running must stay watched, even if the caller disconnects.
        await asyncio.shield(self._services.supervisor.run(admitted.log, capture, order))
        return pb.StartCaptureResponse(capture=await self._message(admitted.log, capture))

    async def upload_capture(
        self,
        admitted: AdmittedRequest,
        first: pb.UploadCaptureRequest,
        rest: AsyncIterator[pb.UploadCaptureRequest],
    ) -> pb.UploadCaptureResponse:
        """Start the import of a capture file. The start is durable before the first byte of the file is read."""
        check_beginning(first.content)
        id = first.start.capture_id
        accesses, stands = await self._rights_to_run(admitted, id)
        capture, order = await self._recorder.commit(
            admitted,
            accesses,
            lambda ctx: self._captures.start(ctx, id, with_file=True, approver_stands=stands),
            named_in(first.start),
        )
        await self._services.capture_import.bring(admitted.log, capture, order, parts_of(first, rest))
        _at, capture = await asyncio.to_thread(self._services.repository.capture, admitted.log, capture.id)
        return pb.UploadCaptureResponse(capture=await self._message(admitted.log, capture))

    async def pause_capture(
        self, admitted: AdmittedRequest, request: pb.PauseCaptureRequest
    ) -> pb.PauseCaptureResponse:
        """Pause the capture."""
        capture = await self._change(admitted, request, Verb.CAPTURE_STOP, self._captures.pause)
        self._services.supervisor.pause(admitted.log, request.capture_id, paused=True)
        return pb.PauseCaptureResponse(capture=capture)

    async def resume_capture(
        self, admitted: AdmittedRequest, request: pb.ResumeCaptureRequest
    ) -> pb.ResumeCaptureResponse:
        """Resume a paused capture. The resumption is durable before the next packet is captured."""
        accesses, stands = await self._rights_to_run(admitted, request.capture_id)
        capture = await self._recorder.commit(
            admitted,
            accesses,
            lambda ctx: self._captures.resume(ctx, request.capture_id, approver_stands=stands),
            named_in(request),
        )
        message = await self._message(admitted.log, capture)
        self._services.supervisor.pause(admitted.log, request.capture_id, paused=False)
        return pb.ResumeCaptureResponse(capture=message)

    async def stop_capture(self, admitted: AdmittedRequest, request: pb.StopCaptureRequest) -> pb.StopCaptureResponse:
        """Stop the capture."""
        capture = await self._change(admitted, request, Verb.CAPTURE_STOP, self._captures.stop)
        self._services.supervisor.stop_now(admitted.log, request.capture_id, StopReason.REQUESTED)
        return pb.StopCaptureResponse(capture=capture)

    async def get_capture(self, admitted: AdmittedRequest, request: pb.GetCaptureRequest) -> pb.GetCaptureResponse:
        """Read one capture."""
        await self._recorder.read(admitted, capture_access(request.capture_id, Verb.VIEW_METADATA))
        _at, capture = await asyncio.to_thread(self._services.repository.capture, admitted.log, request.capture_id)
        return pb.GetCaptureResponse(capture=await self._message(admitted.log, capture))

    async def list_captures(
        self, admitted: AdmittedRequest, request: pb.ListCapturesRequest
    ) -> pb.ListCapturesResponse:
        """Read captures, the newest first."""
        page, token = await self._page(admitted, request, Capture, CAPTURE_RECORD)
        messages = [await self._message(admitted.log, one) for one in page]
        return pb.ListCapturesResponse(captures=messages, next_page_token=token)

    async def watch_capture(
        self, admitted: AdmittedRequest, request: pb.WatchCaptureRequest, _resources: ExitStack
    ) -> AsyncIterator[pb.WatchCaptureResponse]:
        """Stream counters until the capture ends."""
        await self._recorder.read(admitted, capture_access(request.capture_id, Verb.VIEW_METADATA))
        return self._looks(admitted, request.capture_id)

    async def read_evidence(
        self, admitted: AdmittedRequest, request: pb.ReadEvidenceRequest, _resources: ExitStack
    ) -> AsyncIterator[pb.ReadEvidenceResponse]:
        """Stream the sealed file. The record of it is durable before its first byte leaves."""
        id = request.capture_id
        capture = await self._recorder.commit(
            admitted,
            [capture_access(id, Verb.CAPTURE_READ)],
            lambda ctx: self._captures.open(ctx, id),
            named_in(request),
        )
        return _parts(await asyncio.to_thread(self._services.workers.find, id, capture.folder))

    async def delete_capture(
        self, admitted: AdmittedRequest, request: pb.DeleteCaptureRequest
    ) -> pb.DeleteCaptureResponse:
        """Delete the evidence. The end of its retention is durable before, and the deletion is recorded after."""
        id = request.capture_id
        given_up = await self._recorder.commit(
            admitted,
            [capture_access(id, Verb.DELETE)],
            lambda ctx: self._captures.give_up(ctx, id),
            named_in(request),
        )
        await asyncio.to_thread(self._services.workers.delete, id, given_up.folder)
        with suppress(StateConflict):  # the sweeper may have deleted it meanwhile
            await self._recorder.report(admitted, lambda ctx: self._captures.delete(ctx, id))
        _at, capture = await asyncio.to_thread(self._services.repository.capture, admitted.log, id)
        return pb.DeleteCaptureResponse(capture=await self._message(admitted.log, capture))

    async def _looks(self, admitted: AdmittedRequest, id: str) -> AsyncIterator[pb.WatchCaptureResponse]:
        try:
            async with asyncio.timeout(self._max_stream_s):
                while True:
                    await self._check_still(admitted, id)
                    message, over = await asyncio.to_thread(self._look, admitted.log, id)
                    yield message
                    if over:
                        return
                    await asyncio.sleep(_WATCH_S)
        except TimeoutError:
            raise StreamLimitExceeded("seconds") from None

    async def _check_still(self, admitted: AdmittedRequest, id: str) -> None:
        """Make sure that the caller and the person may still watch, because a lost key or right ends the stream."""
        await self._admission.check_still(admitted)
        context = admitted.call.context
        viewer = Requester(admitted.call.subject, context.purpose or "", context.case, context.zone)
        if not await self._services.rights.may(admitted.log, id, viewer, {CaptureRight.VIEW}):
            raise SubjectNotPermitted("")

    def _look(self, log_id: int, id: str) -> tuple[pb.WatchCaptureResponse, bool]:
        progress = self._captures.progress(log_id, id, self._services.supervisor.tally(log_id, id))
        message = pb.WatchCaptureResponse(state=number(progress.state), counters=tally_message(progress.tally))
        if progress.stop_reason is not None:
            message.stop_reason = number(progress.stop_reason)
        return message, progress.over

    async def _rights_to_run(self, admitted: AdmittedRequest, id: str) -> tuple[list[Access], bool]:
        """Return the accesses that a running capture needs, and whether its approver may still approve."""
        rights = await asyncio.to_thread(self._captures.rights_to_run, admitted.log, id)
        stands = await self._captures.approval_stands(admitted.log, id, self._services.rights)
        return [capture_access(id, Verb(right)) for right in sorted(rights)], stands

    async def _change(
        self, admitted: AdmittedRequest, request: Any, verb: Verb, make: Callable[[ActorContext, str], Change[Capture]]
    ) -> pb.Capture:
        id = request.capture_id
        capture = await self._recorder.commit(
            admitted, [capture_access(id, verb)], lambda ctx: make(ctx, id), named_in(request)
        )
        return await self._message(admitted.log, capture)

    async def _message(self, log_id: int, capture: Capture) -> pb.Capture:
        return await asyncio.to_thread(self._described, log_id, capture)

    def _described(self, log_id: int, capture: Capture) -> pb.Capture:
        captures = self._captures
        private, names = captures.private(log_id, capture), captures.names(log_id, [capture])
        message = capture_message(capture, private, names, captures.ticket_digest(log_id, capture))
        message.lacking.extend(captures.lacking(log_id, capture, self._now_us()))
        return message


async def _parts(path: Path) -> AsyncIterator[pb.ReadEvidenceResponse]:
    try:
        with await asyncio.to_thread(path.open, "rb") as file:
            total = os.fstat(file.fileno()).st_size
            while part := await asyncio.to_thread(file.read, _PART_BYTES):
                yield pb.ReadEvidenceResponse(content=part, total_bytes=total)
    except OSError:
        raise DiagnosisUnavailable from None

"""DiagnosticsService: what became of captures, their evidence, and probes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from linewarden.audit.errors import LogUnavailable
from linewarden.authz.model import Verb
from linewarden.diagnostics.agent.messages import tally_message
from linewarden.diagnostics.capture_model import CaptureRight, Capture, CaptureState, Tally
from linewarden.diagnostics.change import Occasion
from linewarden.diagnostics.codec import read
from linewarden.diagnostics.errors import DiagnosisUnavailable, StateConflict
from linewarden.diagnostics.kinds import CAPTURE_RECORD
from linewarden.diagnostics.ports import Standing
from linewarden.diagnostics.probes.model import ProbeOrder
from linewarden.diagnostics.states import LIVE, WAITING
from linewarden.server.access import ServicerContext
from linewarden.server.diagnostics.captures import CaptureService
from linewarden.server.diagnostics.messages import PROBES, TRANSPORTS, number
from linewarden.server.diagnostics.recorded_changes import of_capture, of_tenant
from linewarden.server.diagnostics.rpc import DEFAULT_PAGE_SIZE, SERVICE
from linewarden.server.door import Entrance
from linewarden.server.errors import ServerError, StreamLimitExceeded, SubjectNotPermitted, abort
from linewarden.server.pages import read_token, write_token
from linewarden.v1 import diagnostics_pb2 as pb

_WATCH_S = 1.0
_PART_BYTES = 256 * 1024


class DiagnosticsService(CaptureService):
    """The whole service."""

    async def GetCapture(self, request: pb.GetCaptureRequest, context: ServicerContext) -> pb.GetCaptureResponse:
        """Read one capture."""

        async def answer(entrance: Entrance) -> pb.GetCaptureResponse:
            await self._steps.look(entrance, request, of_capture(request.capture_id, Verb.VIEW_METADATA))
            _at, capture = await asyncio.to_thread(self._desks.books.capture, entrance.log, request.capture_id)
            return pb.GetCaptureResponse(capture=await self._told(entrance.log, capture))

        return await self._serve(context, request, answer)

    async def ListCaptures(self, request: pb.ListCapturesRequest, context: ServicerContext) -> pb.ListCapturesResponse:
        """Read captures."""

        async def answer(entrance: Entrance) -> pb.ListCapturesResponse:
            before = read_token(request.page_token)
            await self._steps.look(entrance, request, of_tenant(entrance.tenant, Verb.VIEW_METADATA))
            size, books = request.page_size or DEFAULT_PAGE_SIZE, self._desks.books
            page = await asyncio.to_thread(books.page, entrance.log, Capture, CAPTURE_RECORD, before, size + 1)
            shown = page[:size]
            told = [await self._told(entrance.log, one) for _stored, one in shown]
            token = write_token(shown[-1][0]) if len(page) > size else ""
            return pb.ListCapturesResponse(captures=told, next_page_token=token)

        return await self._serve(context, request, answer)

    async def WatchCapture(
        self, request: pb.WatchCaptureRequest, context: ServicerContext
    ) -> AsyncIterator[pb.WatchCaptureResponse]:
        """Stream counters until the capture ends."""

        async def answer(entrance: Entrance) -> Occasion:
            return await self._steps.look(entrance, request, of_capture(request.capture_id, Verb.VIEW_METADATA))

        on = await self._serve(context, request, answer)
        log, viewer = on.log, Standing(on.name, on.purpose, on.case, on.zone)
        try:
            with self._door.stream(context):
                async with asyncio.timeout(self._max_stream_s):
                    while True:
                        await self._check_still(context, request, on.log, viewer)
                        look, over = await asyncio.to_thread(self._look, log, request.capture_id)
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
            access = of_capture(request.capture_id, Verb.CAPTURE_READ)
            id, desk = request.capture_id, self._desks.captures
            capture = await self._steps.take(entrance, request, [access], lambda on: desk.open(on, id))
            return await asyncio.to_thread(self._desks.workers.find, id, capture.folder)

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

    async def DeleteCapture(
        self, request: pb.DeleteCaptureRequest, context: ServicerContext
    ) -> pb.DeleteCaptureResponse:
        """Delete the evidence: that it is given up is durable before it is gone, that it is gone is said after."""

        async def answer(entrance: Entrance) -> pb.DeleteCaptureResponse:
            id, desk = request.capture_id, self._desks.captures
            access = of_capture(id, Verb.DELETE)
            given_up = await self._steps.take(entrance, request, [access], lambda on: desk.give_up(on, id))
            await asyncio.to_thread(self._desks.workers.delete, id, given_up.folder)
            with suppress(StateConflict):  # the sweep may have found it meanwhile
                await self._steps.tell(entrance, request, lambda on: desk.delete(on, id))
            _at, capture = await asyncio.to_thread(self._desks.books.capture, entrance.log, id)
            return pb.DeleteCaptureResponse(capture=await self._told(entrance.log, capture))

        return await self._serve(context, request, answer)

    async def RunProbe(self, request: pb.RunProbeRequest, context: ServicerContext) -> pb.RunProbeResponse:
        """Run a probe between two entries: that it is run, and what came of it."""

        async def answer(entrance: Entrance) -> pb.RunProbeResponse:
            id = self._desks.captures.new_id()
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
        self, context: ServicerContext, request: pb.WatchCaptureRequest, log: int, viewer: Standing
    ) -> None:
        """Make sure that whoever watches may still do so: a key or right that is gone ends a stream, too."""
        await self._door.check_still(context, request.tenant, (SERVICE, f"{SERVICE}/WatchSession"))
        if not await self._desks.rights.may(log, request.capture_id, viewer, {CaptureRight.VIEW}):
            raise SubjectNotPermitted("")

    def _look(self, log: int, id: str) -> tuple[pb.WatchCaptureResponse, bool]:
        _at, capture = self._desks.books.capture(log, id)
        tally = capture.tally
        if capture.state in LIVE:
            lease = self._desks.books.store.lease(log, id)
            live = self._desks.supervisor.tally(log, id)
            tally = live or (read(Tally, lease.counters) if lease else tally)
        look = pb.WatchCaptureResponse(state=number(capture.state), counters=tally_message(tally))
        over = capture.state not in LIVE | WAITING | {CaptureState.DRAFT}
        if capture.stop_reason is not None:
            look.stop_reason = number(capture.stop_reason)
        return look, over

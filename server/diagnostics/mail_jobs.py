"""Background jobs that send mailings.

A mailing that is recorded as begun runs to its end and its results are recorded, even if the caller disconnects.
Otherwise mails that left and are not in the log would be sent again. A crash leaves a mailing without results, which is
not sent again: see `MailingService.lost`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from linewarden.audit.directory import People
from linewarden.audit.errors import LogUnavailable
from linewarden.authz.model import Verb
from linewarden.diagnostics.change import ActorContext, Change
from linewarden.diagnostics.consent.mailings import Begun, MailingService
from linewarden.diagnostics.consent.smtp import MailQueue
from linewarden.diagnostics.consent_model import Mailing, MailResult, Notice
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.server.admission import AdmittedRequest
from linewarden.server.diagnostics.recorded_changes import Recorder, diagnostics_access

T = TypeVar("T")

#: Pauses before results of mails are recorded again after a failure of the log, seconds.
_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)

#: The time to record results of mails when the process stops, seconds.
_CLOSING_S = 5.0

_Key = tuple[int, str]


class MailJobs:
    """The mailings of this process."""

    def __init__(
        self, recorder: Recorder, mailings: MailingService, queue: MailQueue, now_us: Callable[[], int]
    ) -> None:
        self._recorder = recorder
        self._mailings = mailings
        self._queue = queue
        self._now_us = now_us
        self._leaving: dict[_Key, asyncio.Task[Mailing]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def send(
        self,
        admitted: AdmittedRequest,
        mailing: Mailing,
        addresses: Sequence[str],
        about: Mapping[str, str],
        people: People,
    ) -> tuple[Notice, Mailing]:
        """Send a notice to the persons of `mailing`, at these addresses, or return the results of an earlier request.

        Raises:
            SubjectNotPermitted, RevisionMoved, LogUnavailable: see `Recorder.commit`.
            DiagnosticsError: see `MailingService.begin`.
            DiagnosisUnavailable: no mail left, or mails of this request are still leaving.
        """
        # A caller that disconnects must not end this between the record, the mails and their results.
        return await asyncio.shield(self._kept(self._send(admitted, mailing, addresses, about, people)))

    async def close(self) -> None:
        """End the mails that leave, and record the results so far."""
        self._queue.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING_S)

    async def _send(
        self,
        admitted: AdmittedRequest,
        mailing: Mailing,
        addresses: Sequence[str],
        about: Mapping[str, str],
        people: People,
    ) -> tuple[Notice, Mailing]:
        log_id = admitted.log
        id = self._mailings.new_id(log_id, admitted.call.caller, admitted.call.request_id)

        def make(ctx: ActorContext) -> Change[Begun]:
            return self._mailings.begin(ctx, id, mailing, self._queue.check_room)

        access = diagnostics_access(admitted.tenant, Verb.SEND_NOTICE)
        begun = await self._recorder.commit(admitted, [access], make, about, people)
        if begun.new:
            leaving = self._kept(self._leave(admitted, id, begun, addresses))
            self._leaving[log_id, id] = leaving
            leaving.add_done_callback(lambda _done: self._leaving.pop((log_id, id), None))
        return begun.notice, await self._results(admitted, id, begun.mailing)

    async def _results(self, admitted: AdmittedRequest, id: str, mailing: Mailing) -> Mailing:
        if mailing.results:
            return mailing
        if (leaving := self._leaving.get((admitted.log, id))) is not None:
            return await asyncio.shield(leaving)
        return await self._recorder.report(admitted, lambda ctx: self._mailings.lost(ctx, id))

    async def _leave(self, admitted: AdmittedRequest, id: str, begun: Begun, addresses: Sequence[str]) -> Mailing:
        notice = begun.notice
        text = "\n\n".join(one.text for one in notice.texts_in(begun.mailing.language))
        try:
            sent = await self._queue.send(f"Notice {notice.id}, version {notice.version}", text, addresses)
        except DiagnosisUnavailable:
            await self._report(admitted, lambda ctx: self._mailings.unsent(ctx, id))
            raise
        results: tuple[MailResult, ...] = tuple(sent)
        return await self._report(admitted, lambda ctx: self._mailings.done(ctx, id, results))

    async def _report(self, admitted: AdmittedRequest, make: Callable[[ActorContext], Change[Mailing]]) -> Mailing:
        """Record the results of mails, and try again for a while, because mails cannot be recalled."""
        for pause_s in _AGAIN_S:
            try:
                return await self._recorder.report(admitted, make)
            except LogUnavailable:
                structlog.get_logger().warning("mails_not_recorded_yet")
                await asyncio.sleep(pause_s)
        return await self._recorder.report(admitted, make)

    def _kept(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Return a task that is kept until it ends, and whose error is not logged as never retrieved."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

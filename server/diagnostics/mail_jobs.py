"""Mails that leave, whoever waits for them.

Once a sending is recorded as begun it goes on to its end, and its results are recorded, although the caller may have
gone away: mails that left and are not in the log would be sent again. What a crash leaves is a sending without
results, which nobody sends again: see `SendingDesk.lost`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import structlog

from linewarden.audit.directory import People
from linewarden.audit.errors import LogUnavailable
from linewarden.authz.model import Verb
from linewarden.diagnostics.change import Occasion, Step
from linewarden.diagnostics.consent.mailings import Begun, SendingDesk
from linewarden.diagnostics.consent.smtp import Post
from linewarden.diagnostics.consent_model import MailResult, Notice, Sending
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.server.diagnostics.messages import texts_in
from linewarden.server.diagnostics.recorded_changes import Steps, of_tenant
from linewarden.server.door import Entrance
from linewarden.v1 import diagnostics_pb2 as pb

T = TypeVar("T")

#: Pauses before what became of mails is said again to a log that could not take it, seconds.
_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)

#: How long mails that are broken off may take to say what became of them, seconds.
_CLOSING_S = 5.0

_Key = tuple[int, str]


class Mailing:
    """The sendings of this process."""

    def __init__(self, steps: Steps, desk: SendingDesk, post: Post, now_us: Callable[[], int]) -> None:
        self._steps = steps
        self._desk = desk
        self._post = post
        self._now_us = now_us
        self._leaving: dict[_Key, asyncio.Task[Sending]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def send(
        self, entrance: Entrance, request: pb.SendNoticeRequest, names: Sequence[str], people: People
    ) -> tuple[Notice, Sending]:
        """Send a notice to the persons of these names, or say what became of it when it was sent before.

        Raises:
            SubjectNotPermitted, RevisionMoved, LogUnavailable: see `Steps.take`.
            DiagnosticsError: see `SendingDesk.begin`.
            DiagnosisUnavailable: nothing left, or mails of this request are still leaving.
        """
        # The caller may go away: neither between the record and the first mail, nor after the last one, may this end.
        return await asyncio.shield(self._kept(self._send(entrance, request, names, people)))

    async def close(self) -> None:
        """Break off the mails that leave, and record how far they came."""
        self._post.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING_S)

    async def _send(
        self, entrance: Entrance, request: pb.SendNoticeRequest, names: Sequence[str], people: People
    ) -> tuple[Notice, Sending]:
        id = self._desk.new_id(entrance.log, entrance.caller, request.request_id)
        wanted = Sending(
            request.notice_id,
            request.notice_version,
            request.capture_id,
            request.language,
            sender="",
            persons=tuple(people[name].sid for name in names),
            begun_us=0,
        )

        def make(on: Occasion) -> Step[Begun]:
            return self._desk.begin(on, id, wanted, self._post.check_room)

        access = of_tenant(entrance.tenant, Verb.SEND_NOTICE)
        begun = await self._steps.take(entrance, request, [access], make, people)
        if begun.new:
            leaving = self._kept(self._leave(entrance, request, id, begun))
            self._leaving[entrance.log, id] = leaving
            leaving.add_done_callback(lambda _done: self._leaving.pop((entrance.log, id), None))
        return begun.notice, await self._results(entrance, request, id, begun.sending)

    async def _results(self, entrance: Entrance, request: pb.SendNoticeRequest, id: str, sending: Sending) -> Sending:
        if sending.results:
            return sending
        if (leaving := self._leaving.get((entrance.log, id))) is not None:
            return await asyncio.shield(leaving)
        return await self._steps.tell(entrance, request, lambda on: self._desk.lost(on, id))

    async def _leave(self, entrance: Entrance, request: pb.SendNoticeRequest, id: str, begun: Begun) -> Sending:
        notice = begun.notice
        text = "\n\n".join(one.text for one in texts_in(notice, request.language))
        addresses = [one.address for one in request.recipients]
        try:
            sent = await self._post.send(f"Notice {notice.id}, version {notice.version}", text, addresses)
        except DiagnosisUnavailable:
            await self._tell(entrance, request, lambda on: self._desk.unsent(on, id))
            raise
        results: tuple[MailResult, ...] = tuple(sent)
        return await self._tell(entrance, request, lambda on: self._desk.done(on, id, results))

    async def _tell(
        self, entrance: Entrance, request: pb.SendNoticeRequest, make: Callable[[Occasion], Step[Sending]]
    ) -> Sending:
        """Record what became of mails, as of now and with patience: they cannot be called back."""
        for pause_s in _AGAIN_S:
            try:
                return await self._steps.tell(entrance._replace(now_us=self._now_us()), request, make)
            except LogUnavailable:
                structlog.get_logger().warning("mails_not_recorded_yet")
                await asyncio.sleep(pause_s)
        return await self._steps.tell(entrance._replace(now_us=self._now_us()), request, make)

    def _kept(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that is not forgotten, nor complained of when nobody waits for it any more."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

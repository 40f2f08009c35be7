"""The client for asyncio."""

import asyncio
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Self

import grpc

from linewarden.client.coalescing import Gathering
from linewarden.client.connection import DEADLINE_S, STREAM_S, Connection, Process
from linewarden.client.errors import ClientError, ClientUnusable
from linewarden.client.faults import error_of
from linewarden.client.groups import Group, Waiting
from linewarden.client.messages import batch_request, check_request, decisions_of
from linewarden.client.model import Decision, Question
from linewarden.client.retry import Backoff
from linewarden.client.streaming import Sent
from linewarden.v1.access_pb2_grpc import AccessServiceStub


class AsyncClient:
    """Asks a server. All tasks of an event loop share one client and its one connection.

    The client belongs to the event loop of its first call. The arguments are those of Client.
    """

    def __init__(
        self,
        target: str,
        *,
        key: str,
        tenant: str,
        ca: bytes | None = None,
        certificate: tuple[bytes, bytes] | None = None,
        plaintext: bool = False,
        coalesce: bool = True,
    ) -> None:
        self._connection = Connection(target, key.strip(), tenant, ca, certificate, plaintext)
        self._process = Process()
        self._gathering = Gathering(single=not coalesce)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: tuple[Any, Any] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection. Calls that wait raise ClientUnusable. In a fork it does nothing."""
        if not self._process.is_same():
            return
        self._gathering.close(ClientUnusable("the client is closed"))
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._opened is not None:
            await self._opened[0].close()

    async def check(self, question: Question, *, timeout_s: float = DEADLINE_S, request_id: str = "") -> Decision:
        """Return the decision on one question. It may share a request with questions of other tasks.

        Raises:
            ClientError: there is no decision; nothing is allowed.
        """
        loop = self._own_loop()
        arrived: asyncio.Future[None] = loop.create_future()
        request = check_request(question, self._connection.tenant, request_id or str(uuid.uuid4()))
        waiting = Waiting(request, loop.time() + timeout_s, lambda: _set(arrived))
        self._gathering.add(waiting)
        if not self._pumping:
            # After the tasks that are ready now, so that their questions leave together.
            self._pumping = True
            loop.call_soon(self._pump)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(waiting.deadline):
                    await arrived
        finally:
            waiting.abandon()
        return waiting.result()

    async def check_batch(
        self, questions: Sequence[Question], *, timeout_s: float = DEADLINE_S, request_id: str = ""
    ) -> list[Decision]:
        """Return the decisions on up to 500 questions in order, made under one policy revision as one entry.

        Raises:
            ClientError: there is no decision on any of them; nothing is allowed.
        """
        loop = self._own_loop()
        if not questions:
            return []
        request_id = request_id or str(uuid.uuid4())
        requests = [check_request(one, self._connection.tenant, request_id) for one in questions]
        batch = batch_request(requests, request_id)
        return decisions_of(batch, await self._call(self._stub().CheckBatch, batch, loop.time() + timeout_s))

    async def check_stream(
        self, questions: Iterable[Question] | AsyncIterable[Question], *, timeout_s: float = STREAM_S
    ) -> AsyncIterator[Decision | ClientError]:
        """Yield the result of each question in order, as it arrives. A refused question is an error among the results.

        A stream that breaks off is not repeated, because questions may be on the way.

        Raises:
            ClientError: the stream broke off. Questions without a result have no decision.
        """
        self._own_loop()
        sent = Sent(self._connection.tenant)
        async with aclosing(sent.async_requests(questions)) as requests:
            call = self._stub().CheckStream(requests, timeout=timeout_s, metadata=self._connection.metadata)
            answered = 0
            try:
                async for answer in call:
                    yield sent.result(answer, answered)
                    answered += 1
            except grpc.RpcError as error:
                raise error_of(error) from None
            finally:
                call.cancel()
        sent.check_complete(answered)

    async def _call(self, method: Callable[..., Any], request: Any, deadline: float) -> Any:
        """Call, and call again after UNAVAILABLE, with the same request id."""
        loop, backoff = asyncio.get_running_loop(), Backoff()
        while True:
            try:
                left = max(0.0, deadline - loop.time())
                return await method(request, timeout=left, metadata=self._connection.metadata)
            except grpc.RpcError as error:
                fault = error_of(error, request.header.request_id)
            except grpc.aio.UsageError:
                raise ClientUnusable("the client is closed") from None
            delay = backoff.delay_s(fault)
            if delay is None or loop.time() + delay >= deadline:
                raise fault
            await asyncio.sleep(delay)

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop of the client.

        Raises:
            ClientUnusable: another one runs, or this process is a fork.
        """
        self._process.check()
        loop = asyncio.get_running_loop()
        if self._loop not in {None, loop}:
            raise ClientUnusable("the client belongs to another event loop: make one in each loop")
        self._loop = loop
        return loop

    def _stub(self) -> Any:
        if self._opened is None:
            channel = self._connection.channel(grpc.aio.insecure_channel, grpc.aio.secure_channel)
            self._opened = channel, AccessServiceStub(channel)
        return self._opened[1]

    def _pump(self) -> None:
        """Send what has gathered, as far as it need not wait."""
        self._pumping = False
        loop = asyncio.get_running_loop()
        while (group := self._gathering.take(loop.time())) is not None:
            task = loop.create_task(self._send(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        at = self._gathering.resumes_at(loop.time())
        if at is not None and self._timer is None:
            self._timer = loop.call_at(at, self._resume)

    async def _send(self, group: Group) -> None:
        loop = asyncio.get_running_loop()
        method = self._stub().Check if len(group.members) == 1 else self._stub().CheckBatch
        try:
            timeout = group.timeout(loop.time())
            answer = await method(group.request(), timeout=timeout, metadata=self._connection.metadata)
        except grpc.RpcError as error:
            self._gathering.failed(group, error_of(error), loop.time())
        except (asyncio.CancelledError, grpc.aio.UsageError) as error:
            self._gathering.failed(group, ClientUnusable("the client is closed"), loop.time())
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            self._gathering.answered(group, answer)
        self._pump()

    def _resume(self) -> None:
        self._timer = None
        self._pump()


def _set(arrived: "asyncio.Future[None]") -> None:
    if not arrived.done():
        arrived.set_result(None)

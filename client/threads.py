"""The client for threads."""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
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


class Client:
    """Asks a server. All threads of a process share one client and its one connection.

    `coalesce=False` sends each question of `check` by itself. See Connection for the other arguments.
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
        self._channel = self._connection.channel(grpc.insecure_channel, grpc.secure_channel)
        self._stub = AccessServiceStub(self._channel)
        self._process = Process()
        self._lock = threading.Lock()
        self._gathering = Gathering(single=not coalesce)
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Calls that wait raise ClientUnusable. In a fork it does nothing."""
        if not self._process.is_same():
            return
        with self._lock:
            self._gathering.close(ClientUnusable("the client is closed"))
            if self._timer is not None:
                self._timer.cancel()
        self._channel.close()

    def check(self, question: Question, *, timeout_s: float = DEADLINE_S, request_id: str = "") -> Decision:
        """Return the decision on one question. It may share a request with questions of other threads.

        Raises:
            ClientError: there is no decision; nothing is allowed.
        """
        self._process.check()
        arrived = threading.Event()
        request = check_request(question, self._connection.tenant, request_id or str(uuid.uuid4()))
        waiting = Waiting(request, time.monotonic() + timeout_s, arrived.set)
        with self._lock:
            self._gathering.add(waiting)
        try:
            self._pump()
            arrived.wait(max(0.0, waiting.deadline - time.monotonic()))
        finally:
            with self._lock:
                waiting.abandon()
        return waiting.result()

    def check_batch(
        self, questions: Sequence[Question], *, timeout_s: float = DEADLINE_S, request_id: str = ""
    ) -> list[Decision]:
        """Return the decisions on up to 500 questions in order, made under one policy revision as one entry.

        Raises:
            ClientError: there is no decision on any of them; nothing is allowed.
        """
        self._process.check()
        if not questions:
            return []
        request_id = request_id or str(uuid.uuid4())
        requests = [check_request(one, self._connection.tenant, request_id) for one in questions]
        batch = batch_request(requests, request_id)
        return decisions_of(batch, self._call(self._stub.CheckBatch, batch, time.monotonic() + timeout_s))

    def check_stream(
        self, questions: Iterable[Question], *, timeout_s: float = STREAM_S
    ) -> Iterator[Decision | ClientError]:
        """Yield the result of each question in order, as it arrives. A refused question is an error among the results.

        A stream that breaks off is not repeated, because questions may be on the way.

        Raises:
            ClientError: the stream broke off. Questions without a result have no decision.
        """
        self._process.check()
        sent = Sent(self._connection.tenant)
        requests = sent.requests(questions)
        call = self._stub.CheckStream(requests, timeout=timeout_s, metadata=self._connection.metadata)
        answered = 0
        try:
            for answer in call:
                yield sent.result(answer, answered)
                answered += 1
        except grpc.RpcError as error:
            raise error_of(error) from None
        finally:
            call.cancel()
        sent.check_complete(answered)

    def _call(self, method: Callable[..., Any], request: Any, deadline: float) -> Any:
        """Call, and call again after UNAVAILABLE, with the same request id."""
        backoff = Backoff()
        while True:
            try:
                left = max(0.0, deadline - time.monotonic())
                return method(request, timeout=left, metadata=self._connection.metadata)
            except grpc.RpcError as error:
                fault = error_of(error, request.header.request_id)
            except ValueError:
                raise ClientUnusable("the client is closed") from None
            delay = backoff.delay_s(fault)
            if delay is None or time.monotonic() + delay >= deadline:
                raise fault
            time.sleep(delay)

    def _pump(self) -> None:
        """Send what has gathered, as far as it need not wait."""
        while True:
            with self._lock:
                now = time.monotonic()
                group = self._gathering.take(now)
                if group is None:
                    self._wait_until_resumed(now)
                    return
            self._send(group, now)

    def _send(self, group: Group, now: float) -> None:
        method = self._stub.Check if len(group.members) == 1 else self._stub.CheckBatch
        future: Any = method.future
        try:
            call = future(group.request(), timeout=group.timeout(now), metadata=self._connection.metadata)
        except ValueError:  # the channel was closed meanwhile
            self._fail(group, ClientUnusable("the client is closed"))
        else:
            call.add_done_callback(partial(self._done, group))

    def _done(self, group: Group, call: Any) -> None:
        try:
            answer = call.result()
        except grpc.RpcError as error:
            self._fail(group, error_of(error))
        except grpc.FutureCancelledError:
            self._fail(group, ClientUnusable("the client is closed"))
        else:
            with self._lock:
                self._gathering.answered(group, answer)
        self._pump()

    def _fail(self, group: Group, error: ClientError) -> None:
        with self._lock:
            self._gathering.failed(group, error, time.monotonic())

    def _wait_until_resumed(self, now: float) -> None:
        """Start the timer for the next attempt. The caller holds the lock."""
        at = self._gathering.resumes_at(now)
        if at is not None and (self._timer is None or not self._timer.is_alive()):
            self._timer = threading.Timer(at - now, self._resume)
            self._timer.daemon = True
            self._timer.start()

    def _resume(self) -> None:
        with self._lock:
            self._timer = None
        self._pump()

"""The wrapper of every rpc of a caller: admission, rules, limits of streams.

A servicer is a plain class with one method per rpc, named in snake case. A method gets an `AdmittedRequest` and the
message, and never a context of a protocol. `served` builds the rpcs from the contract. A server with an rpc without a
method does not start, and no rpc bypasses the admission. Transports serve the rpcs; see `transports`.

    rpc                       method of the servicer
    unary                     async def check(admitted, request) -> response
    server streaming          async def export_log(admitted, request, resources) -> iterator of responses, made within
                              admission; `resources` is closed when the stream ends, however it does
    client streaming          async def upload_capture(admitted, first, rest) -> response
    bidirectional             async def check_stream(admitted, request) -> response, for each message by itself, and
                              def check_stream_refusal(error) -> response

An optional method `check_batch_weight(request)` returns how many places of the queue a request takes.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from linewarden.authz.model import Context
from linewarden.server.admission import Admission, Method
from linewarden.server.callers import Identity
from linewarden.server.errors import InvalidRequest, StreamLimitExceeded, Violation
from linewarden.server.messages import context_of, subject_name
from linewarden.server.streams import Streams, Window
from linewarden.server.validation import Validator, compile_validator

#: The time limit for the first message of a stream of the caller, seconds.
FIRST_MESSAGE_S = 10.0

_SECOND_HEADER = "is given in the first message only"


class NotServed(NotImplementedError):
    """The contract has an rpc without a method of its servicer, or without a header in its request."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """One rpc, ready to be served by any transport.

    `path` is the path of its HTTP/2 requests. `read` and `write` turn bytes into messages and back. `call` takes the
    caller, which is an `Identity`, or the name of the connection for a `keyless` rpc, and the request, or an iterator
    of requests with `client_streaming`. It returns a response to await, or with `server_streaming` an iterator of
    responses, and raises what `grpc_status` turns into statuses.
    """

    path: str
    client_streaming: bool
    server_streaming: bool
    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]
    call: Callable[[Any, Any], Any]
    keyless: bool = False


class _Message:
    """A request of the contract as it arrived, with its header."""

    __slots__ = ("_header", "_validate", "_value", "request_id", "tenant")

    def __init__(self, value: Any, header: Any, validate: Validator) -> None:
        self._value = value
        self._header = header
        self._validate = validate
        self.tenant: str = header.tenant
        self.request_id: str = header.request_id

    def violations(self) -> tuple[Violation, ...]:
        """Return the rules of the contract that the request breaks."""
        return self._validate(self._value)

    def requester(self, now_us: int) -> tuple[str, Context]:
        """Return the person on whose behalf the caller asks, and the context."""
        return subject_name(self.tenant, self._header.subject), context_of(self._header, now_us)


def served(
    service: ServiceDescriptor, servicer: object, admission: Admission, streams: Streams, max_messages: int
) -> list[Rpc]:
    """Return the rpcs of a service of the contract.

    Raises:
        NotServed: the servicer lacks the method of an rpc, or the request of one has no header.
    """
    return [_served(service, method, servicer, admission, streams, max_messages) for method in service.methods]


def _served(
    service: ServiceDescriptor,
    method: MethodDescriptor,
    servicer: object,
    admission: Admission,
    streams: Streams,
    max_messages: int,
) -> Rpc:
    name = snake_case(method.name)
    handle = getattr(servicer, name, None)
    if handle is None:
        raise NotServed(f"{type(servicer).__name__} has no method {name} for {service.name}/{method.name}")
    path = _field_with_header(method)
    validate = compile_validator(_validated(method, path))
    behaviour = _Behaviour(admission, Method(service.name, f"{service.name}/{method.name}"), handle, validate, path)
    request = GetMessageClass(method.input_type)
    match method.client_streaming, method.server_streaming:
        case False, False:
            call: Callable[[Any, Any], Any] = behaviour.unary(getattr(servicer, f"{name}_weight", _one))
        case False, True:
            call = behaviour.server_streaming
        case True, False:
            call = behaviour.client_streaming(request())
        case _:
            refusal = getattr(servicer, f"{name}_refusal", None)
            if refusal is None:
                raise NotServed(f"{type(servicer).__name__} has no method {name}_refusal")
            call = behaviour.bidirectional(streams, max_messages, refusal)
    return Rpc(
        f"/{service.full_name}/{method.name}",
        method.client_streaming,
        method.server_streaming,
        lenient(request.FromString),
        GetMessageClass(method.output_type).SerializeToString,
        call,
    )


def keyless_rpc(
    path: str,
    read: Callable[[bytes], Any],
    write: Callable[[Any], bytes],
    call: Callable[[str, Any], Any],
    *,
    client_streaming: bool = False,
    server_streaming: bool = False,
) -> Rpc:
    """Return an rpc whose caller needs no API key. `call` takes the name of the connection."""
    return Rpc(path, client_streaming, server_streaming, lenient(read), write, call, keyless=True)


def lenient(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return a reader that returns an empty message for bytes that do not parse.

    An empty message has no tenant, so admission refuses it with a reason and records the refusal, like any other
    invalid request.
    """

    def read_or_empty(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError:
            return read(b"")

    return read_or_empty


class _Behaviour:
    """One rpc of the contract. Its methods make, or are, the call of its kind."""

    def __init__(
        self, admission: Admission, method: Method, handle: Callable[..., Any], validate: Validator, path: str
    ) -> None:
        self._admission = admission
        self._method = method
        self._handle = handle
        self._validate = validate
        self._path = path

    def unary(self, weigh: Callable[[Any], int]) -> Callable[[Identity, Any], Any]:
        """Return the call of a unary rpc. `weigh` returns the places that a request takes."""
        admission, method, handle, validate = self._admission, self._method, self._handle, self._validate

        def call(identity: Identity, request: Any) -> Any:
            arrival = _Message(request, request.header, validate)
            return admission.serve(
                identity, arrival, method, lambda admitted: handle(admitted, request), weigh(request)
            )

        return call

    async def server_streaming(self, identity: Identity, request: Any) -> AsyncIterator[Any]:
        """Answer a server-streaming rpc. Answers begin once the request is recorded."""
        with self._admission.stream(identity), ExitStack() as resources:
            answers = await self._admission.serve(
                identity,
                _Message(request, request.header, self._validate),
                self._method,
                lambda admitted: self._handle(admitted, request, resources),
            )
            async with aclosing(answers):
                async for answer in answers:
                    yield answer

    def client_streaming(self, empty: Any) -> Callable[[Identity, AsyncIterator[Any]], Any]:
        """Return the call of a client-streaming rpc. The first message is admitted and decided.

        `empty` replaces the first message of a stream without one, so that its refusal is recorded like any other.
        """

        async def call(identity: Identity, messages: AsyncIterator[Any]) -> Any:
            first = await _first_of(messages, empty)
            return await self._admission.serve(
                identity,
                _Message(first, getattr(first, self._path).header, self._validate),
                self._method,
                lambda admitted: self._handle(admitted, first, self._valid(messages)),
            )

        return call

    def bidirectional(
        self, streams: Streams, max_messages: int, refusal: Callable[[Exception], Any]
    ) -> Callable[[Identity, AsyncIterator[Any]], AsyncIterator[Any]]:
        """Return the call of a bidirectional rpc. A window of messages is decided, each separately."""

        async def answer(request: Any, token: str | None) -> Any:
            try:
                return await self._admission.serve(
                    await self._admission.identify(token),
                    _Message(request, request.header, self._validate),
                    self._method,
                    lambda admitted: self._handle(admitted, request),
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer that says so
                return refusal(error)

        async def call(identity: Identity, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
            window: Window[Any, Any] = Window(
                lambda one: answer(getattr(one, self._path), identity.token), streams, max_messages
            )
            with self._admission.stream(identity):
                async for one in window.answers(messages):
                    yield one

        return call

    async def _valid(self, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the messages after the first.

        Raises:
            InvalidRequest: one breaks its rules.
        """
        async for message in messages:
            violations = self._validate(message)
            if message.HasField(self._path):
                violations = (*violations, Violation(self._path, f"{self._path}.first_only", _SECOND_HEADER))
            if violations:
                raise InvalidRequest(violations)
            yield message


def snake_case(name: str) -> str:
    """Return the name of the method that serves an rpc: `CheckBatch` is `check_batch`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _one(_request: Any) -> int:
    return 1


async def _first_of(messages: AsyncIterator[Any], empty: Any) -> Any:
    try:
        async with asyncio.timeout(FIRST_MESSAGE_S):
            return await anext(messages, empty)
    except TimeoutError:
        raise StreamLimitExceeded("seconds") from None


def _field_with_header(method: MethodDescriptor) -> str:
    """Return the field of a streamed message that holds the request with the header; empty for other requests."""
    if "header" in method.input_type.fields_by_name and not method.client_streaming:
        return ""
    for field in method.input_type.fields:
        if method.client_streaming and field.message_type and "header" in field.message_type.fields_by_name:
            return str(field.name)
    raise NotServed(f"{method.full_name} has a request without a header")


def _validated(method: MethodDescriptor, path: str) -> Any:
    """Return the message that is validated. In a stream of requests each request is validated separately."""
    if method.client_streaming and method.server_streaming:
        embedded: Any = method.input_type.fields_by_name[path].message_type
        return embedded
    return method.input_type

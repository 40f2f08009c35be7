"""The wrapper of every rpc of a caller: admission, rules, limits of streams, statuses.

A servicer is a plain class with one method per rpc, named in snake case. A method gets an `AdmittedRequest` and the
message, and never a context of gRPC. `Rpcs.add` builds the handlers from the contract. A server with an rpc without a
method does not start, and no rpc bypasses the admission.

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
from typing import Any, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from linewarden.authz.model import Context
from linewarden.server.admission import Admission, Method
from linewarden.server.early_authentication import IDENTITY
from linewarden.server.errors import InvalidRequest, StreamLimitExceeded, Violation
from linewarden.server.grpc_status import abort
from linewarden.server.messages import context_of, subject_name
from linewarden.server.registration import lenient
from linewarden.server.streams import Streams, Window
from linewarden.server.validation import Validator, compile_validator

ServicerContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

#: The time limit for the first message of a stream of the caller, seconds.
FIRST_MESSAGE_S = 10.0

_SECOND_HEADER = "is given in the first message only"


class NotServed(NotImplementedError):
    """The contract has an rpc without a method of its servicer, or without a header in its request."""


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


class Rpcs:
    """Adds services to a server."""

    def __init__(self, server: grpc.aio.Server, admission: Admission, streams: Streams, max_messages: int) -> None:
        self._server = server
        self._admission = admission
        self._streams = streams
        self._max_messages = max_messages

    def add(self, service: ServiceDescriptor, servicer: object) -> None:
        """Serve a service of the contract.

        Raises:
            NotServed: the servicer lacks the method of an rpc, or the request of one has no header.
        """
        handlers = {method.name: self._handler(service, method, servicer) for method in service.methods}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    def _handler(self, service: ServiceDescriptor, method: MethodDescriptor, servicer: object) -> Any:
        name = snake_case(method.name)
        handle = getattr(servicer, name, None)
        if handle is None:
            raise NotServed(f"{type(servicer).__name__} has no method {name} for {service.name}/{method.name}")
        path = _field_with_header(method)
        validate = compile_validator(_validated(method, path))
        rpc = _Rpc(self._admission, Method(service.name, f"{service.name}/{method.name}"), handle, validate, path)
        read = lenient(GetMessageClass(method.input_type).FromString)
        write = GetMessageClass(method.output_type).SerializeToString
        match method.client_streaming, method.server_streaming:
            case False, False:
                weigh = getattr(servicer, f"{name}_weight", _one)
                return grpc.unary_unary_rpc_method_handler(rpc.unary(weigh), read, write)
            case False, True:
                return grpc.unary_stream_rpc_method_handler(rpc.server_streaming(), read, write)
            case True, False:
                return grpc.stream_unary_rpc_method_handler(
                    rpc.client_streaming(GetMessageClass(method.input_type)()), read, write
                )
            case _:
                refusal = getattr(servicer, f"{name}_refusal", None)
                if refusal is None:
                    raise NotServed(f"{type(servicer).__name__} has no method {name}_refusal")
                behaviour = rpc.bidirectional(self._streams, self._max_messages, refusal)
                return grpc.stream_stream_rpc_method_handler(behaviour, read, write)


class _Rpc:
    """One rpc. Its methods make the behaviours that gRPC calls."""

    def __init__(
        self, admission: Admission, method: Method, handle: Callable[..., Any], validate: Validator, path: str
    ) -> None:
        self._admission = admission
        self._method = method
        self._handle = handle
        self._validate = validate
        self._path = path

    def unary(self, weigh: Callable[[Any], int]) -> Callable[[Any, ServicerContext], Any]:
        """Return the behaviour of a unary rpc."""
        admission, method, handle, validate = self._admission, self._method, self._handle, self._validate

        async def behaviour(request: Any, context: ServicerContext) -> Any:
            try:
                return await admission.serve(
                    IDENTITY.get(),
                    _Message(request, request.header, validate),
                    method,
                    lambda admitted: handle(admitted, request),
                    weigh(request),
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
                await abort(context, error)

        return behaviour

    def server_streaming(self) -> Callable[[Any, ServicerContext], Any]:
        """Return the behaviour of a server-streaming rpc. Answers begin once the request is recorded."""

        async def behaviour(request: Any, context: ServicerContext) -> AsyncIterator[Any]:
            identity = IDENTITY.get()
            try:
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
            except Exception as error:  # noqa: BLE001 - see unary
                await abort(context, error)

        return behaviour

    def client_streaming(self, empty: Any) -> Callable[[AsyncIterator[Any], ServicerContext], Any]:
        """Return the behaviour of a client-streaming rpc. The first message is admitted and decided.

        `empty` replaces the first message of a stream without one, so that its refusal is recorded like any other.
        """

        async def behaviour(messages: AsyncIterator[Any], context: ServicerContext) -> Any:
            try:
                first = await _first_of(messages, empty)
                arrival = _Message(first, getattr(first, self._path).header, self._validate)
                return await self._admission.serve(
                    IDENTITY.get(),
                    arrival,
                    self._method,
                    lambda admitted: self._handle(admitted, first, self._valid(messages)),
                )
            except Exception as error:  # noqa: BLE001 - see unary
                await abort(context, error)

        return behaviour

    def bidirectional(
        self, streams: Streams, max_messages: int, refusal: Callable[[Exception], Any]
    ) -> Callable[[AsyncIterator[Any], ServicerContext], Any]:
        """Return the behaviour of a bidirectional rpc. A window of messages is decided, each separately."""

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

        async def behaviour(messages: AsyncIterator[Any], context: ServicerContext) -> AsyncIterator[Any]:
            identity = IDENTITY.get()
            window: Window[Any, Any] = Window(
                lambda one: answer(getattr(one, self._path), identity.token), streams, max_messages
            )
            try:
                with self._admission.stream(identity):
                    async for one in window.answers(messages):
                        yield one
            except Exception as error:  # noqa: BLE001 - see unary
                await abort(context, error)

        return behaviour

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

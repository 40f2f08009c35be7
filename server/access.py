"""AccessService: from the contract's messages to accesses, and back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeAlias

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.audit.errors import PersonsTooMany
from linewarden.authz.model import VERBS_OF, Context, Decision, Explanation, Resource
from linewarden.authz.renderings import MemoizedRendering
from linewarden.authz.service import Access, AccessControl, Answers, Call
from linewarden.server.capacity import ITEMS_OF_A_PLACE
from linewarden.server.door import Door, Entrance, reserved
from linewarden.server.errors import (
    InvalidRequest,
    StreamLimitExceeded,
    VerbNotApplicable,
    Violation,
    abort,
    refusal,
)
from linewarden.server.names import (
    CONSENTS,
    EFFECT_NUMBERS,
    OBLIGATION_NUMBERS,
    PURPOSES,
    REASON_NUMBERS,
    TYPES,
    VERBS,
)
from linewarden.server.streams import Streams
from linewarden.server.validation import compile_validator
from linewarden.v1 import access_pb2 as pb
from linewarden.v1 import core_pb2
from linewarden.v1.access_pb2_grpc import AccessServiceServicer

_CHECK = ("AccessService", "AccessService/Check")
_BATCH = ("AccessService", "AccessService/CheckBatch")
_STREAM = ("AccessService", "AccessService/CheckStream")

#: Questions of one stream that are decided at the same time.
STREAM_WINDOW = 32

ServicerContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class AccessService(AccessServiceServicer):
    """Answers Check, CheckBatch and CheckStream. An answer stands for one access and ends after `decision_ttl_us`."""

    def __init__(
        self, door: Door, control: AccessControl, decision_ttl_us: int, streams: Streams, max_stream_messages: int
    ) -> None:
        self._door = door
        self._control = control
        self._ttl_us = decision_ttl_us
        self._max_stream_messages = max_stream_messages
        self._streams = streams
        self._valid_check = compile_validator(pb.CheckRequest.DESCRIPTOR)
        self._valid_batch = compile_validator(pb.CheckBatchRequest.DESCRIPTOR)

    async def Check(self, request: pb.CheckRequest, context: ServicerContext) -> pb.CheckResponse:
        """Decide one access."""
        try:
            return await self._check(request, context, _CHECK)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await abort(context, error)

    async def CheckBatch(self, request: pb.CheckBatchRequest, context: ServicerContext) -> pb.CheckBatchResponse:
        """Decide several accesses of one person."""

        async def answer(entrance: Entrance) -> pb.CheckBatchResponse:
            call = call_of(entrance, request)
            accesses = await _accesses(entrance.tenant, request.items)
            try:
                answers = await self._control.check(call, accesses)
            except PersonsTooMany as many:
                text = f"name more than {many.limit} persons whom the log does not know: ask in several batches"
                raise InvalidRequest((Violation("items", "items.new_persons", text),)) from many
            response = pb.CheckBatchResponse(
                policy=policy_version(answers), expires_at=self._expiry(entrance, answers.decisions)
            )
            add = response.decisions.add
            for decision, id in zip(answers.decisions, answers.ids, strict=True):
                message = add()
                message.CopyFrom(_messages(decision.explanation))
                message.id = id
            return response

        try:
            weight = 1 + len(request.items) // ITEMS_OF_A_PLACE
            return await self._door.serve(context, request, _BATCH, self._valid_batch, answer, weight)
        except Exception as error:  # noqa: BLE001 - see Check
            await abort(context, error)

    async def CheckStream(
        self, request_iterator: AsyncIterator[pb.CheckStreamRequest], context: ServicerContext
    ) -> AsyncIterator[pb.CheckStreamResponse]:
        """Decide accesses as they come, a window of them at a time, and answer in their order."""
        try:
            with self._door.stream(context):
                async for answer in self._answers(request_iterator, context):
                    yield answer
        except Exception as error:  # noqa: BLE001 - see Check
            await abort(context, error)

    async def _answers(
        self, requests: AsyncIterator[pb.CheckStreamRequest], context: ServicerContext
    ) -> AsyncIterator[pb.CheckStreamResponse]:
        answers: asyncio.Queue[asyncio.Task[pb.CheckStreamResponse] | Exception | None]
        answers = asyncio.Queue(STREAM_WINDOW)
        reader = asyncio.create_task(self._read_stream(requests, context, answers))
        try:
            while (pending := await answers.get()) is not None:
                if isinstance(pending, Exception):
                    raise pending
                yield await pending
        finally:
            reader.cancel()
            while not answers.empty():
                left = answers.get_nowait()
                if isinstance(left, asyncio.Task):
                    left.cancel()

    async def _read_stream(
        self,
        requests: AsyncIterator[pb.CheckStreamRequest],
        context: ServicerContext,
        answers: "asyncio.Queue[asyncio.Task[pb.CheckStreamResponse] | Exception | None]",
    ) -> None:
        read = 0
        try:
            async with self._streams.life() as life:
                async for request in requests:
                    life.heard()
                    read += 1
                    if read > self._max_stream_messages:
                        raise StreamLimitExceeded("messages")  # noqa: TRY301 - told as all that ends a stream
                    await answers.put(asyncio.create_task(self._stream_answer(request, context)))
        except Exception as error:  # noqa: BLE001 - whoever waits for answers must hear that none will come
            await answers.put(error)
            return
        await answers.put(None)

    async def _stream_answer(self, request: pb.CheckStreamRequest, context: ServicerContext) -> pb.CheckStreamResponse:
        try:
            return pb.CheckStreamResponse(check=await self._check(request.check, context, _STREAM))
        except Exception as error:  # noqa: BLE001 - see Check
            return pb.CheckStreamResponse(refusal=refusal(error))

    async def _check(
        self, request: pb.CheckRequest, context: ServicerContext, method: tuple[str, str]
    ) -> pb.CheckResponse:
        async def answer(entrance: Entrance) -> pb.CheckResponse:
            access = _access(entrance.tenant, request.verb, request.resource)
            answers = await self._control.check(call_of(entrance, request), (access,))
            response = pb.CheckResponse(
                decision=_messages(answers.decisions[0].explanation),
                policy=policy_version(answers),
                expires_at=self._expiry(entrance, answers.decisions),
            )
            response.decision.id = answers.ids[0]
            return response

        return await self._door.serve(context, request, method, self._valid_check, answer)

    def _expiry(self, entrance: Entrance, decisions: Sequence[Decision]) -> Timestamp:
        expires = entrance.now_us + self._ttl_us
        if entrance.key_expires_us is not None and entrance.key_expires_us < expires:
            expires = entrance.key_expires_us
        for one in decisions:
            if one.expires_us is not None and one.expires_us < expires:
                expires = one.expires_us
        return timestamp(expires)


def call_of(entrance: Entrance, request: Any, **more: Any) -> Call:
    """The call that a request with subject and context, or purpose, makes.

    Raises:
        InvalidRequest: the subject's name is reserved.
    """
    return Call(
        log=entrance.log,
        caller=entrance.caller,
        caller_guard=entrance.guard,
        request_id=entrance.request_id,
        subject=subject_name(entrance.tenant, request.subject),
        context=_context(entrance.now_us, request),
        **more,
    )


def subject_name(tenant: str, subject: core_pb2.Subject) -> str:
    """The name of a person as the policy of `tenant` knows it.

    Raises:
        InvalidRequest: the name is reserved.
    """
    id, home = subject.id, subject.tenant
    if id[:1] in "/r":
        reserved(id)
    return f"//{home}/{id}" if home and home != tenant else id


def policy_version(answers: Answers) -> core_pb2.PolicyVersion:
    """The policy that answers were made under."""
    return core_pb2.PolicyVersion(revision=answers.revision, hash=answers.policy_hash)


def timestamp(us: int) -> Timestamp:
    """Microseconds since 1970 as the contract's time."""
    return Timestamp(seconds=us // 1_000_000, nanos=us % 1_000_000 * 1_000)


def _context(now_us: int, request: Any) -> Context:
    if not hasattr(request, "context"):
        return Context(now_us, PURPOSES.get(getattr(request, "purpose", 0)))
    if not request.HasField("context"):
        return Context(now_us)
    context = request.context
    return Context(
        now_us,
        PURPOSES.get(context.purpose),
        context.case_reference,
        context.network_zone,
        CONSENTS.get(context.consent),
    )


async def _accesses(tenant: str, items: Sequence[pb.CheckItem]) -> list[Access]:
    """The accesses of a batch. Others have their turn after each ITEMS_OF_A_PLACE of them."""
    accesses: list[Access] = []
    for number, item in enumerate(items, 1):
        accesses.append(_access(tenant, item.verb, item.resource))
        if number % ITEMS_OF_A_PLACE == 0:
            await asyncio.sleep(0)
    return accesses


def _access(tenant: str, verb_number: int, message: core_pb2.Resource) -> Access:
    type, verb = TYPES[message.type], VERBS[verb_number]
    if verb not in VERBS_OF[type]:
        raise VerbNotApplicable("this verb does not fit this type of resource")
    created_us = None
    if message.HasField("created_at"):
        created_us = message.created_at.seconds * 1_000_000 + message.created_at.nanos // 1_000
    labels, parties, home = message.labels, message.parties, message.tenant
    resource = Resource(type, message.id, message.owner, message.queue, created_us, dict(labels) if labels else {})
    return Access(verb, resource, tuple(parties) if parties else (), bool(home) and home != tenant)


def _message(explanation: Explanation) -> pb.Decision:
    """An explanation in the contract's terms, without the id of a decision."""
    message = pb.Decision(effect=EFFECT_NUMBERS[explanation.effect], reason=REASON_NUMBERS[explanation.reason])
    for match in explanation.matched:
        message.matched_rules.add(rule_id=match.rule_id, effect=EFFECT_NUMBERS[match.effect], role_path=match.role_path)
    for failed in explanation.failed:
        message.failed_conditions.add(rule_id=failed.rule_id, condition=failed.condition, error=failed.error)
    message.more_matched_rules = explanation.more_matched
    message.more_failed_conditions = explanation.more_failed
    message.obligations.extend(OBLIGATION_NUMBERS[one] for one in explanation.obligations)
    return message


_messages = MemoizedRendering(_message)

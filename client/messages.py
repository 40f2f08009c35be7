"""Between the nouns of the client and the messages of the contract."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.client.errors import AnswerInvalid, QuestionInvalid
from linewarden.client.model import Decision, Question
from linewarden.client.words import number_of, word_of
from linewarden.v1 import access_pb2, core_pb2

_FIELDS = {
    "verb": core_pb2.Verb,
    "type": core_pb2.ResourceType,
    "purpose": core_pb2.Purpose,
    "consent": core_pb2.Consent,
}


def subject_of(name: str) -> core_pb2.Subject:
    """Return a subject of the contract; `//tenant/id` is a person of another tenant."""
    if name.startswith("//"):
        tenant, _, id = name[2:].partition("/")
        return core_pb2.Subject(id=id, tenant=tenant)
    return core_pb2.Subject(id=name)


def header_of(
    tenant: str, subject: str, request_id: str = "", context: core_pb2.Context | None = None
) -> core_pb2.RequestHeader:
    """Return the header that every request begins with."""
    return core_pb2.RequestHeader(tenant=tenant, subject=subject_of(subject), request_id=request_id, context=context)


def check_request(question: Question, tenant: str, request_id: str) -> access_pb2.CheckRequest:
    """Return the request of one question.

    Raises:
        QuestionInvalid: a word is not one of the contract, or a text is not Unicode.
    """
    numbers = {name: _number(name, getattr(question, name), request_id) for name in _FIELDS}
    try:
        context = core_pb2.Context(
            purpose=numbers["purpose"],
            case_reference=question.case,
            network_zone=question.zone,
            consent=numbers["consent"],
        )
        return access_pb2.CheckRequest(
            header=header_of(tenant, question.subject, request_id, context if context.ByteSize() else None),
            verb=numbers["verb"],
            resource=_resource(question, numbers["type"]),
        )
    except (TypeError, ValueError):
        text = "a field of the question has a wrong type, or is not Unicode: see Question"
        raise QuestionInvalid(text, code="INVALID_ARGUMENT", request_id=request_id) from None


def batch_request(requests: Sequence[access_pb2.CheckRequest], request_id: str) -> access_pb2.CheckBatchRequest:
    """Return one request for several. An item states its person and context unless they are those of the first."""
    first = requests[0].header
    batch = access_pb2.CheckBatchRequest(header=first)
    batch.header.request_id = request_id
    for one in requests:
        header = one.header
        item = batch.items.add(verb=one.verb, resource=one.resource)
        if header.request_id != request_id:
            item.request_id = header.request_id
        if not has_requester_of(header, first):
            item.subject.CopyFrom(header.subject)
            if header.HasField("context"):
                item.context.CopyFrom(header.context)
    return batch


def has_requester_of(header: core_pb2.RequestHeader, other: core_pb2.RequestHeader) -> bool:
    """Return whether two headers name the same person in the same circumstances."""
    return header.subject == other.subject and header.context == other.context


def decision_of(answer: access_pb2.CheckResponse) -> Decision:
    """Return the decision in an answer.

    Raises:
        AnswerInvalid: it lacks the decision or its end.
    """
    return _decision(answer.decision, answer)


def decisions_of(request: access_pb2.CheckBatchRequest, answer: access_pb2.CheckBatchResponse) -> list[Decision]:
    """Return the decisions of a batch, in order.

    Raises:
        AnswerInvalid: the answer is not one to each item, for its own person.
    """
    if len(answer.decisions) != len(request.items):
        raise AnswerInvalid("the server did not answer each item of the batch")
    if answer.own_requesters != sum(one.HasField("subject") for one in request.items):
        raise AnswerInvalid("the server did not decide for the person of each item: is it an earlier version?")
    return [_decision(one, answer) for one in answer.decisions]


def _decision(
    message: access_pb2.Decision, answer: access_pb2.CheckResponse | access_pb2.CheckBatchResponse
) -> Decision:
    if not (message.id and message.effect and answer.HasField("expires_at")):
        raise AnswerInvalid("the server answered without a decision")
    return Decision(
        id=message.id,
        effect=word_of(access_pb2.Effect, message.effect),
        reason=word_of(access_pb2.DecisionReason, message.reason),
        obligations=frozenset(word_of(access_pb2.Obligation, one) for one in message.obligations),
        policy_revision=answer.policy.revision,
        expires_at=_time(answer.expires_at),
        message=message,
    )


def _time(at: Timestamp) -> datetime:
    try:
        return at.ToDatetime(UTC)
    except ValueError:
        raise AnswerInvalid("the server answered with a time that is none") from None


def _number(name: str, word: str, request_id: str) -> Any:
    try:
        return number_of(_FIELDS[name], word)
    except (AttributeError, TypeError, ValueError):
        rule = "must be a word of the contract"
        raise QuestionInvalid(
            f"fields break their rules\n  {name}: {rule}",
            code="INVALID_ARGUMENT",
            fields=((name, rule),),
            request_id=request_id,
        ) from None


def _resource(question: Question, type: Any) -> core_pb2.Resource:
    resource = core_pb2.Resource(
        type=type,
        id=question.id,
        tenant=question.home,
        owner=question.owner,
        queue=question.queue,
        parties=question.parties,
        labels=question.labels,
    )
    if question.created_at is not None:
        resource.created_at.FromDatetime(question.created_at)
    return resource

"""Between the nouns of the client and the messages of the contract."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from linewarden.client.errors import AnswerInvalid, QuestionInvalid
from linewarden.client.model import Decision, Participant, Question
from linewarden.client.words import number_of, word_of
from linewarden.v1 import access_pb2, core_pb2

_FIELDS = {
    "verb": core_pb2.Verb,
    "type": core_pb2.ResourceType,
    "purpose": core_pb2.Purpose,
    "consent": core_pb2.Consent,
    "role": core_pb2.ParticipantRole,
}


def subject_of(name: str) -> core_pb2.Subject:
    """Return a subject of the contract; `//tenant/id` is a person of another tenant."""
    subject = core_pb2.Subject()
    _state_subject(subject, name)
    return subject


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
    request = access_pb2.CheckRequest(verb=_number("verb", question.verb, request_id))
    try:
        header = request.header
        header.tenant, header.request_id = tenant, request_id
        _state_subject(header.subject, question.subject)
        if question.purpose or question.case or question.zone or question.consent:
            _state_context(header.context, question, request_id)
        _state_resource(request.resource, question, request_id)
    except (TypeError, ValueError) as error:
        if isinstance(error, QuestionInvalid):
            raise
        text = "a field of the question has a wrong type, or is not Unicode: see Question"
        raise QuestionInvalid(text, code="INVALID_ARGUMENT", request_id=request_id) from None
    return request


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
    return _decision(answer.decision, answer.policy.revision, _end_of(answer))


def decisions_of(request: access_pb2.CheckBatchRequest, answer: access_pb2.CheckBatchResponse) -> list[Decision]:
    """Return the decisions of a batch, in order.

    Raises:
        AnswerInvalid: the answer is not one to each item, for its own person.
    """
    if len(answer.decisions) != len(request.items):
        raise AnswerInvalid("the server did not answer each item of the batch")
    if answer.own_requesters != sum(one.HasField("subject") for one in request.items):
        raise AnswerInvalid("the server did not decide for the person of each item: is it an earlier version?")
    revision, end = answer.policy.revision, _end_of(answer)
    return [_decision(one, revision, end) for one in answer.decisions]


def _decision(message: access_pb2.Decision, revision: int, end: datetime) -> Decision:
    if not (message.id and message.effect):
        raise AnswerInvalid("the server answered without a decision")
    return Decision(
        id=message.id,
        effect=word_of(access_pb2.Effect, message.effect),
        reason=word_of(access_pb2.DecisionReason, message.reason),
        obligations=frozenset(word_of(access_pb2.Obligation, one) for one in message.obligations),
        policy_revision=revision,
        expires_at=end,
        message=message,
    )


def _end_of(answer: access_pb2.CheckResponse | access_pb2.CheckBatchResponse) -> datetime:
    """Return when an answer expires."""
    try:
        if answer.HasField("expires_at"):
            return answer.expires_at.ToDatetime(UTC)
    except ValueError:
        pass
    raise AnswerInvalid("the server answered without the time at which the decision expires")


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


def _state_subject(subject: core_pb2.Subject, name: str) -> None:
    if name.startswith("//"):
        subject.tenant, _, subject.id = name[2:].partition("/")
    else:
        subject.id = name


def _state_context(context: core_pb2.Context, question: Question, request_id: str) -> None:
    context.purpose = _number("purpose", question.purpose, request_id)
    context.case_reference = question.case
    context.network_zone = question.zone
    context.consent = _number("consent", question.consent, request_id)


def _state_resource(resource: core_pb2.Resource, question: Question, request_id: str) -> None:
    resource.type = _number("type", question.type, request_id)
    resource.id, resource.tenant, resource.owner, resource.queue = (
        question.id, question.home, question.owner, question.queue
    )  # fmt: skip
    if question.parties:
        resource.parties.extend(question.parties)
    if question.labels:
        resource.labels.update(question.labels)
    if question.created_at is not None:
        resource.created_at.FromDatetime(question.created_at)
    for one in question.participants:
        _state_participant(resource.participants.add(), one, request_id)
    resource.call_id = question.call_id
    if question.duration_s is not None:
        resource.duration_s = question.duration_s


def _state_participant(message: core_pb2.Participant, one: Participant, request_id: str) -> None:
    message.role = _number("role", one.role, request_id)
    message.person, message.address = one.person, one.address
    if one.start is not None:
        getattr(message, "from").FromDatetime(one.start)
    if one.end is not None:
        message.until.FromDatetime(one.end)

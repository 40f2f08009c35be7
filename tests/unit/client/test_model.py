"""Decisions and errors: nothing is allowed by accident, and nothing personal is shown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from linewarden.client import ClientError, Decision, Participant, Question, QuestionInvalid
from linewarden.client.messages import check_request, decision_of
from linewarden.v1 import access_pb2, core_pb2

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ALLOWED = Decision("7", "allow", "allowed_by_rule", frozenset(), 1, NOW, access_pb2.Decision())


def test_a_decision_allows_one_access_before_it_expires() -> None:
    """An allow holds until it expires, a deny and an unknown effect never."""
    before = NOW - timedelta(seconds=1)
    assert ALLOWED.allows(now=before)
    assert not ALLOWED.allows(now=NOW)
    for effect in ("deny", "", "7"):
        assert not replace(ALLOWED, effect=effect).allows(now=before)


def test_every_obligation_must_be_fulfilled() -> None:
    """An obligation that the backend does not name, or that this version does not know, is a denial."""
    before = NOW - timedelta(seconds=1)
    bound = replace(ALLOWED, obligations=frozenset({"stream_only", "announce"}))
    assert bound.allows("announce", "stream_only", "watermark", now=before)
    assert not bound.allows("announce", now=before)
    message = access_pb2.Decision(id="7", effect=access_pb2.EFFECT_ALLOW, obligations=[99])  # type: ignore[list-item]
    answer = access_pb2.CheckResponse(decision=message)
    answer.expires_at.FromDatetime(NOW)
    assert not decision_of(answer).allows("stream_only", "announce", now=before)


def test_a_decision_has_no_truth_value() -> None:
    """A decision in a condition is an error, because a deny would otherwise count as true."""
    with pytest.raises(TypeError, match="allows"):
        bool(ALLOWED)
    assert not ClientError("no decision").allows()


@pytest.mark.parametrize(
    "answer",
    [
        access_pb2.CheckResponse(),
        access_pb2.CheckResponse(decision=access_pb2.Decision(effect=access_pb2.EFFECT_ALLOW)),
        access_pb2.CheckResponse(decision=access_pb2.Decision(id="7", effect=access_pb2.EFFECT_ALLOW)),
        access_pb2.CheckResponse(decision=access_pb2.Decision(id="7")),
    ],
)
def test_an_answer_without_its_parts_is_an_error(answer: access_pb2.CheckResponse) -> None:
    """An answer without id, effect or end is no decision."""
    with pytest.raises(ClientError):
        decision_of(answer)


def test_no_person_or_item_is_in_the_text_form() -> None:
    """The text form of a question and of its errors holds no name, number, item or case."""
    question = Question("alice", "plays", "voicemail", "+4930555", owner="bert", parties=("+4940",), case="T-4711")
    with pytest.raises(QuestionInvalid) as caught:
        check_request(question, "acme", "r-1")
    for word in ("alice", "4930555", "bert", "4940", "T-4711", "plays"):
        assert word not in str(caught.value)
        assert word not in repr(question).replace("verb='plays'", "")
    assert caught.value.fields == (("verb", "must be a word of the contract"),)
    assert isinstance(caught.value, ValueError)


def test_a_question_can_state_every_attribute_of_the_contract() -> None:
    """Each field of Subject, Context and Resource has a field of Question that states it."""
    question = Question(
        "//partner/ines", "play", "recording", "1", owner="bob", queue="sales", parties=("a",), created_at=NOW,
        labels={"kind": "internal"}, home="globex", purpose="support", case="T-1", zone="office", consent="given",
        participants=(Participant("caller", "bob"), Participant("answered", address="ext:1", start=NOW, end=NOW)),
        call_id="c-1", duration_s=61,
    )  # fmt: skip
    request = check_request(question, "acme", "r-1")
    for message in (request.header, request.header.subject, request.header.context, request.resource):
        stated = {field.name for field, _ in message.ListFields()}
        assert stated == {field.name for field in message.DESCRIPTOR.fields}
    assert request.verb == core_pb2.VERB_PLAY


@pytest.mark.parametrize("wrong", [{"id": "\ud800"}, {"owner": 7}, {"labels": {"a": 1}}, {"verb": None}, {"verb": 4}])
def test_what_the_contract_cannot_hold_is_refused(wrong: dict[str, object]) -> None:
    """A value of a wrong type, or a text that is not Unicode, raises QuestionInvalid or stays unstated."""
    question = replace(Question("bob", "play", "voicemail", "1"), **wrong)  # type: ignore[arg-type]
    if wrong == {"verb": None}:
        assert check_request(question, "acme", "r").verb == 0
    else:
        with pytest.raises(QuestionInvalid):
            check_request(question, "acme", "r")

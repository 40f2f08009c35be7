"""Groups of questions: what leaves when, and who gets which error. Time is a number that the test gives."""

from collections.abc import Callable
from functools import partial

import pytest

from linewarden.client import (
    ClientUnusable,
    DeadlineExceeded,
    Decision,
    KeyRefused,
    Question,
    QuestionInvalid,
    Unavailable,
)
from linewarden.client.coalescing import MOST_BYTES, MOST_ITEMS, ON_THE_WAY, Gathering
from linewarden.client.errors import AnswerInvalid, ClientError
from linewarden.client.groups import Group, Waiting
from linewarden.client.messages import check_request
from linewarden.v1 import access_pb2

OVERLOADED = Unavailable("too fast", code="UNAVAILABLE", reason="OVERLOADED", retry_after_s=30)
UNREACHED = Unavailable("not there", code="UNAVAILABLE")


def waiting(number: int, deadline: float = 100, woken: Callable[[], object] = list, **more: str) -> Waiting:
    """Return a question of a person of its own."""
    question = Question(f"p{number}", "play", "voicemail", "1", **more)  # type: ignore[arg-type]
    return Waiting(check_request(question, "acme", f"r{number}"), deadline, woken)


def filled(count: int) -> tuple[Gathering, list[Waiting]]:
    """Return a gathering with questions."""
    gathering, ones = Gathering(), [waiting(number) for number in range(count)]
    for one in ones:
        gathering.add(one)
    return gathering, ones


def taken(gathering: Gathering, now: float = 0) -> Group:
    """Return the next group, which must be there."""
    group = gathering.take(now)
    assert group is not None
    return group


def numbers(group: Group) -> list[str]:
    """Return the request ids of a group."""
    return [one.request.header.request_id for one in group.members]


def answer_to(group: Group) -> access_pb2.CheckResponse | access_pb2.CheckBatchResponse:
    """Return the answer of a server that allows everything."""
    request = group.request()
    items = request.items if isinstance(request, access_pb2.CheckBatchRequest) else [request]
    decisions = [access_pb2.Decision(id=str(n), effect=access_pb2.EFFECT_ALLOW) for n, _ in enumerate(items)]
    if isinstance(request, access_pb2.CheckRequest):
        single = access_pb2.CheckResponse(decision=decisions[0])
        single.expires_at.FromSeconds(1)
        return single
    own = sum(one.HasField("subject") for one in request.items)
    batch = access_pb2.CheckBatchResponse(decisions=decisions, own_requesters=own)
    batch.expires_at.FromSeconds(1)
    return batch


def error_of(one: Waiting) -> ClientError:
    """Return the error of a question."""
    with pytest.raises(ClientError) as caught:
        one.result()
    return caught.value


def test_a_lone_question_leaves_at_once_and_others_gather() -> None:
    """Questions leave while few requests are on the way; those that gather meanwhile leave together."""
    gathering = Gathering()
    for number in range(ON_THE_WAY):
        gathering.add(waiting(number))
        assert isinstance(taken(gathering).request(), access_pb2.CheckRequest)
    first = waiting(10)
    for one in (first, *(waiting(number) for number in range(11, 15))):
        gathering.add(one)
    assert gathering.take(0) is None
    assert gathering.resumes_at(0) is None
    (group, *_) = gathering._on_the_way
    gathering.answered(group, answer_to(group))
    assert numbers(taken(gathering)) == [f"r{n}" for n in range(10, 15)]


def test_a_group_has_bounds() -> None:
    """A group has no more questions and bytes than a server accepts."""
    gathering, _ = filled(MOST_ITEMS + 1)
    assert [len(taken(gathering).members) for _ in range(2)] == [MOST_ITEMS, 1]
    gathering = Gathering()
    for number in range(4):
        gathering.add(waiting(number, case="x" * (MOST_BYTES // 2 - 1_000)))
    assert [len(taken(gathering).members) for _ in range(2)] == [2, 2]


def test_each_question_gets_its_own_decision() -> None:
    """The decisions of a shared request go to their questions, and each caller is woken once."""
    woken: list[int] = []
    gathering, ones = Gathering(), [waiting(n, woken=partial(woken.append, n)) for n in range(3)]
    for one in ones:
        gathering.add(one)
    group = taken(gathering)
    gathering.answered(group, answer_to(group))
    assert [one.result().id for one in ones] == ["0", "1", "2"]
    assert woken == [0, 1, 2]


def test_a_server_that_decides_for_the_first_person_only_is_not_believed() -> None:
    """The answer of a server that does not know items with persons of their own is no decision for any of them."""
    gathering, ones = filled(3)
    group = taken(gathering)
    answer = answer_to(group)
    assert isinstance(answer, access_pb2.CheckBatchResponse)
    answer.own_requesters = 0
    gathering.answered(group, answer)
    assert {type(error_of(one)) for one in ones} == {AnswerInvalid}


def test_an_answer_that_is_too_short_or_too_long_is_not_believed() -> None:
    """An answer without one decision for each item is no decision for any of them."""
    for count in (2, 4):
        gathering, ones = filled(3)
        group = taken(gathering)
        answer = answer_to(group)
        assert isinstance(answer, access_pb2.CheckBatchResponse)
        kept = [*answer.decisions, *answer.decisions][:count]
        del answer.decisions[:]
        answer.decisions.extend(kept)
        gathering.answered(group, answer)
        assert {type(error_of(one)) for one in ones} == {AnswerInvalid}


def test_refused_questions_leave_the_group() -> None:
    """The questions that an error names get it with the paths of a single request; the others are sent again."""
    gathering, ones = filled(4)
    named = {"items[1].subject.id": "a", "items[3].resource.id": "b", "items[3].verb": "c", "items[9].verb": "d"}
    fields = tuple(named.items())
    refused = QuestionInvalid("wrong", code="INVALID_ARGUMENT", reason="INVALID_REQUEST", fields=fields)
    gathering.failed(taken(gathering), refused, 0)
    assert error_of(ones[1]).fields == (("header.subject.id", "a"),)
    assert error_of(ones[3]).fields == (("resource.id", "b"), ("verb", "c"))
    assert error_of(ones[3]).request_id == "r3"
    assert numbers(taken(gathering)) == ["r0", "r2"]


def test_a_refusal_that_names_no_question_halves_the_group() -> None:
    """A group that is refused as a whole is divided until the refused question is alone; the others are answered."""
    gathering, ones = filled(9)
    refused = QuestionInvalid("wrong", code="INVALID_ARGUMENT", reason="INVALID_REQUEST", fields=(("items", "many"),))
    while (group := gathering.take(0)) is not None:
        if "r4" in numbers(group):
            gathering.failed(group, refused, 0)
        else:
            gathering.answered(group, answer_to(group))
    assert [number for number, one in enumerate(ones) if isinstance(one._result, ClientError)] == [4]


@pytest.mark.parametrize(
    "error",
    [
        KeyRefused("no", code="UNAUTHENTICATED", reason="CREDENTIALS_INVALID"),
        QuestionInvalid("no", code="INVALID_ARGUMENT", reason="TENANT_UNKNOWN"),
        QuestionInvalid("no", code="INVALID_ARGUMENT", reason="INVALID_REQUEST", fields=(("header.tenant", "x"),)),
        DeadlineExceeded("late", code="DEADLINE_EXCEEDED"),
        Unavailable("restore it", code="UNAVAILABLE", reason="LOG_ROLLED_BACK"),
        ClientError("odd", code="DATA_LOSS"),
    ],
)
def test_an_error_of_all_is_not_repeated(error: ClientError) -> None:
    """An error that concerns every question, or that another attempt does not help, ends all of them at once."""
    gathering, ones = filled(5)
    gathering.failed(taken(gathering), error, 0)
    assert {(type(error_of(one)), error_of(one).reason) for one in ones} == {(type(error), error.reason)}
    assert gathering.take(1_000) is None


def test_after_an_outage_the_questions_leave_again() -> None:
    """After UNAVAILABLE the questions leave under the same request ids, after a pause, with those that came since."""
    gathering, ones = filled(3)
    gathering.failed(taken(gathering), UNREACHED, 0)
    gathering.add(waiting(7))
    at = gathering.resumes_at(0)
    assert at is not None
    assert gathering.take(at / 2) is None
    group = taken(gathering, at)
    assert numbers(group) == ["r0", "r1", "r2", "r7"]
    gathering.answered(group, answer_to(group))
    assert all(isinstance(one.result(), Decision) for one in ones)


def test_an_outage_longer_than_the_deadline_is_told() -> None:
    """A question that would expire before the next attempt gets the error of the attempt; others go on."""
    gathering = Gathering()
    short, long = waiting(1, deadline=0.001), waiting(2)
    for one in (short, long):
        gathering.add(one)
    gathering.failed(taken(gathering), UNREACHED, 0)
    assert isinstance(error_of(short), Unavailable)
    assert numbers(taken(gathering, 10)) == ["r2"]


def test_an_overload_by_one_question_does_not_hold_up_the_others() -> None:
    """Questions of an overloaded request wait as the server asks, apart from new ones, and in smaller groups."""
    gathering, _ = filled(4)
    gathering.failed(taken(gathering), OVERLOADED, 0)
    gathering.add(waiting(7))
    assert numbers(taken(gathering, 2)) == ["r7"]
    assert gathering.resumes_at(2) == 30
    assert [numbers(taken(gathering, 31))] == [["r0", "r1"]]


def test_a_question_at_its_deadline_is_not_sent() -> None:
    """A question whose deadline passed while it waited, or whose caller went away, is not sent any more."""
    gathering = Gathering()
    late, left, gone = waiting(1, deadline=5), waiting(2), waiting(3)
    for one in (late, left, gone):
        gathering.add(one)
    gone.abandon()
    assert numbers(taken(gathering, 6)) == ["r2"]
    assert isinstance(error_of(late), DeadlineExceeded)
    assert error_of(late).request_id == "r1"


def test_a_group_waits_for_its_last_deadline() -> None:
    """The time limit of a shared request is that of its most patient question."""
    gathering = Gathering()
    for number, deadline in enumerate((5, 20, 7)):
        gathering.add(waiting(number, deadline=deadline))
    assert taken(gathering, 4).timeout(4) == 16


def test_a_key_without_batches_asks_singly() -> None:
    """After a batch was not permitted each question leaves by itself, without a wait for others."""
    gathering, _ = filled(5)
    refused = KeyRefused("no", code="PERMISSION_DENIED", reason="CALLER_NOT_PERMITTED")
    gathering.failed(taken(gathering), refused, 0)
    assert [numbers(taken(gathering)) for _ in range(5)] == [[f"r{n}"] for n in range(5)]


def test_a_message_too_large_is_divided() -> None:
    """A request that is larger than the server accepts is sent as two."""
    gathering, _ = filled(4)
    gathering.failed(taken(gathering), ClientError("large", code="RESOURCE_EXHAUSTED"), 0)
    assert [numbers(taken(gathering)) for _ in range(2)] == [["r0", "r1"], ["r2", "r3"]]


def test_a_closed_client_answers_nothing() -> None:
    """On close every question that waits or is on the way gets an error, and no other is taken."""
    gathering, ones = filled(2)
    group = taken(gathering)
    gathering.failed(group, OVERLOADED, 0)
    gathering.add(waiting(8))
    gathering.close(ClientUnusable("closed"))
    assert {type(error_of(one)) for one in ones} == {ClientUnusable}
    with pytest.raises(ClientUnusable):
        gathering.add(waiting(9))
    assert gathering.take(1_000) is None

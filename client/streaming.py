"""Questions and results of a stream."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator

from linewarden.client.errors import AnswerInvalid, ClientError
from linewarden.client.faults import refusal_error
from linewarden.client.messages import check_request, decision_of
from linewarden.client.model import Decision, Question
from linewarden.v1 import access_pb2


class Sent:
    """The questions that a stream sent, by their request ids.

    gRPC takes the messages from a thread or task of its own. An error in the questions of the caller ends the messages,
    and is raised after the results of the earlier ones.
    """

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._request_ids: list[str] = []
        self._fault: Exception | None = None

    def requests(self, questions: Iterable[Question]) -> Iterator[access_pb2.CheckStreamRequest]:
        """Yield the messages for questions."""
        try:
            for one in questions:
                yield self._request(one)
        except Exception as error:  # noqa: BLE001 - the caller gets it
            self._fault = error

    async def async_requests(
        self, questions: Iterable[Question] | AsyncIterable[Question]
    ) -> AsyncGenerator[access_pb2.CheckStreamRequest, None]:
        """Yield the messages for questions."""
        try:
            if isinstance(questions, AsyncIterable):
                async for one in questions:
                    yield self._request(one)
            else:
                for one in questions:
                    yield self._request(one)
        except Exception as error:  # noqa: BLE001 - the caller gets it
            self._fault = error

    def result(self, answer: access_pb2.CheckStreamResponse, number: int) -> Decision | ClientError:
        """Return the result of the question with this number.

        Raises:
            AnswerInvalid: there is no such question, or no result.
        """
        if number >= len(self._request_ids):
            raise AnswerInvalid("the server answered a question that was not asked")
        match answer.WhichOneof("result"):
            case "check":
                return decision_of(answer.check)
            case "refusal":
                return refusal_error(answer.refusal, self._request_ids[number])
            case _:
                raise AnswerInvalid("the server answered without a decision", request_id=self._request_ids[number])

    def check_complete(self, answered: int) -> None:
        """Make sure that each question was sent and has its result.

        Raises:
            Exception: the one that ended the questions.
            AnswerInvalid: the server ended the stream too early.
        """
        if self._fault is not None:
            raise self._fault
        if answered != len(self._request_ids):
            raise AnswerInvalid("the server ended the stream before it answered each question")

    def _request(self, question: Question) -> access_pb2.CheckStreamRequest:
        request = check_request(question, self._tenant, str(uuid.uuid4()))
        self._request_ids.append(request.header.request_id)
        return access_pb2.CheckStreamRequest(check=request)

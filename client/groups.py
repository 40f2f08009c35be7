"""Questions that wait for an answer, and the groups in which they are sent."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from linewarden.client.errors import AnswerInvalid, ClientError, DeadlineExceeded
from linewarden.client.messages import batch_request, decision_of, decisions_of, has_requester_of
from linewarden.client.model import Decision
from linewarden.v1 import access_pb2

_ITEM = re.compile(r"items\[([0-9]+)\]\.")
#: Fields of an item that are fields of the header in a single request.
_OF_HEADER = frozenset({"subject", "context", "request_id"})


class Waiting:
    """A question that waits for its answer until `deadline`, a time of the caller's clock, seconds.

    `wake` is called once, when the result is there.
    """

    __slots__ = ("_result", "_wake", "bytes", "deadline", "request", "settled")

    def __init__(self, request: access_pb2.CheckRequest, deadline: float, wake: Callable[[], object]) -> None:
        self.request = request
        self.bytes = request.ByteSize()
        self.deadline = deadline
        self.settled = False
        self._wake = wake
        self._result: Decision | ClientError | None = None

    def settle(self, result: Decision | ClientError) -> None:
        """Set the result, unless there is one or the caller went away."""
        if not self.settled:
            self.settled, self._result = True, result
            self._wake()

    def abandon(self) -> None:
        """Drop the question, because its caller does not wait any more."""
        self.settled = True

    def result(self) -> Decision:
        """Return the decision.

        Raises:
            ClientError: there is none.
        """
        if not isinstance(self._result, Decision):
            raise self._result or self.expired()
        return self._result

    def expired(self) -> DeadlineExceeded:
        """Return the error for a question without an answer at its deadline."""
        text = "no answer arrived in time; a record may exist, so repeat the request id when asking again"
        return DeadlineExceeded(text, code="DEADLINE_EXCEEDED", request_id=self.request.header.request_id)


class Group:
    """Questions that are sent in one request."""

    __slots__ = ("_batch", "members")

    def __init__(self, members: Sequence[Waiting]) -> None:
        self.members = members
        self._batch: access_pb2.CheckBatchRequest | None = None

    def request(self) -> access_pb2.CheckRequest | access_pb2.CheckBatchRequest:
        """Return the message: a Check for one question, a CheckBatch for more."""
        if len(self.members) == 1:
            return self.members[0].request
        self._batch = batch_request([one.request for one in self.members], "")
        return self._batch

    def timeout(self, now: float) -> float:
        """Return the time until the last deadline, seconds."""
        return max(0.0, max(one.deadline for one in self.members) - now)

    def settle(self, answer: Any) -> None:
        """Give each question its decision."""
        try:
            decisions = [decision_of(answer)] if self._batch is None else decisions_of(self._batch, answer)
        except AnswerInvalid as error:
            self.fail(error)
            return
        for one, decision in zip(self.members, decisions, strict=True):
            one.settle(decision)

    def fail(self, error: ClientError) -> None:
        """Give each question the error."""
        for one in self.members:
            one.settle(error.with_fields(error.fields, one.request.header.request_id))

    def halves(self) -> list["Group"]:
        """Return two groups with the same questions."""
        middle = len(self.members) // 2
        return [Group(self.members[:middle]), Group(self.members[middle:])]

    def without_refused(self, error: ClientError) -> list["Group"]:
        """Give the questions that an error names their own errors. Return the others, to be sent again."""
        refused = self._refused(error)
        for number, fields in refused.items():
            one = self.members[number]
            one.settle(error.with_fields(fields, one.request.header.request_id))
        left = [one for number, one in enumerate(self.members) if number not in refused]
        if not refused:
            return self.halves()
        return [Group(left)] if left else []

    def _refused(self, error: ClientError) -> dict[int, tuple[tuple[str, str], ...]]:
        """Return the fields that an error names, by question, with their paths in a single request."""
        refused: dict[int, tuple[tuple[str, str], ...]] = {}
        for path, rule in error.fields:
            if match := _ITEM.match(path):
                inner = path[match.end() :]
                own = f"header.{inner}" if inner.partition(".")[0] in _OF_HEADER else inner
                numbers = [int(match[1])]
            elif path.startswith("header.tenant"):
                own, numbers = path, [*range(len(self.members))]
            elif path.startswith("header."):
                own, first = path, self.members[0].request.header
                numbers = [n for n, one in enumerate(self.members) if has_requester_of(one.request.header, first)]
            else:
                continue
            for number in numbers:
                if number < len(self.members):
                    refused[number] = (*refused.get(number, ()), (own, rule))
        return refused

"""Questions that wait, and the groups in which they are sent. It does no input or output and knows no clock.

While a request is on the way, questions gather. All that have gathered leave together in the next request, so that the
wait is never longer than one request, and a lone question does not wait. Each question keeps its own request id,
deadline and answer.

A batch is refused as a whole if one item is invalid. The refused items get their own error, and the others are sent
again without them. If the error does not name the items, the group is halved until it does or is a single question.

The caller protects a Gathering with a lock, or uses it in one thread.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from linewarden.client.errors import AnswerInvalid, ClientError, ClientUnusable, DeadlineExceeded
from linewarden.client.messages import batch_request, decision_of, decisions_of, has_requester_of
from linewarden.client.model import Decision
from linewarden.client.retry import Backoff
from linewarden.v1 import access_pb2

#: Requests that may be on the way at once before questions gather. One would leave the server idle between two.
ON_THE_WAY = 2

#: Items of a batch at most, and their bytes. The contract allows 500; a server accepts 64 KiB or more.
MOST_ITEMS = 500
MOST_BYTES = 1 << 20

_ITEM = re.compile(r"items\[([0-9]+)\]\.")
_ITEM_REASONS = frozenset({"INVALID_REQUEST", "VERB_NOT_APPLICABLE"})
#: Reasons that one question can cause for all of its group: new persons that come too fast, and faults.
_DIVIDED_REASONS = frozenset({"OVERLOADED", "INTERNAL"})


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


_OF_HEADER = frozenset({"subject", "context", "request_id"})


class Gathering:
    """The questions that wait and the groups on the way. `single` sends each question by itself."""

    def __init__(self, *, single: bool = False) -> None:
        self._single = single
        self._gathered: deque[Waiting] = deque()
        self._groups: deque[Group] = deque()
        self._on_the_way: set[Group] = set()
        self._later: list[tuple[float, Group]] = []
        self._backoff = Backoff()
        self._resume_at = 0.0
        self._closed = False

    def add(self, one: Waiting) -> None:
        """Add a question.

        Raises:
            ClientUnusable: the client is closed.
        """
        if self._closed:
            raise ClientUnusable("the client is closed")
        self._gathered.append(one)

    def take(self, now: float) -> Group | None:
        """Return the next group to send; None if there is none, or if it must wait for a request on the way."""
        if now < self._resume_at or (len(self._on_the_way) >= ON_THE_WAY and not self._single):
            return None
        self._groups.extend(group for at, group in self._later if at <= now)
        self._later = [(at, group) for at, group in self._later if at > now]
        group = self._next(now)
        if group is not None:
            self._on_the_way.add(group)
        return group

    def resumes_at(self, now: float) -> float | None:
        """Return when questions can be sent again; None if none wait, or if they wait for a request on the way."""
        times = [max(at, self._resume_at) for at, _ in self._later]
        if self._groups or self._gathered:
            times.append(self._resume_at)
        return min((at for at in times if at > now), default=None)

    def answered(self, group: Group, answer: Any) -> None:
        """Take the answer to a group."""
        self._on_the_way.discard(group)
        self._backoff.reset()
        group.settle(answer)

    def failed(self, group: Group, error: ClientError, now: float) -> None:
        """Take the error of a group: send it again later, divide it, or give each question its error."""
        self._on_the_way.discard(group)
        delay = None if self._closed else self._backoff.delay_s(error)
        if delay is not None:
            self._again(group, error, now, delay)
        elif self._closed or len(group.members) == 1:
            group.fail(error)
        elif error.reason == "CALLER_NOT_PERMITTED":
            # The key may be bound to Check alone.
            self._single = True
            self._groups.extend(Group([one]) for one in group.members)
        elif error.reason in _ITEM_REASONS:
            self._groups.extend(group.without_refused(error))
        elif error.code == "RESOURCE_EXHAUSTED":
            self._groups.extend(group.halves())
        else:
            group.fail(error)

    def close(self, error: ClientError) -> None:
        """Give all questions that wait an error, and take no others."""
        self._closed = True
        groups = (*self._groups, *self._on_the_way, *(group for _, group in self._later))
        waiting = [*self._gathered, *(one for group in groups for one in group.members)]
        for queue in (self._gathered, self._groups, self._later):
            queue.clear()
        Group(waiting).fail(error)

    def _again(self, group: Group, error: ClientError, now: float, delay: float) -> None:
        """Keep the questions of a group whose deadlines are later than the next attempt."""
        at = now + delay
        Group([one for one in group.members if one.deadline <= at]).fail(error)
        left = [one for one in group.members if not one.settled]
        # Other questions wait for the pause of this client, and not for a delay that the server asked of these.
        self._resume_at = max(self._resume_at, now + min(delay, self._backoff.pause_s))
        if error.reason in _DIVIDED_REASONS:
            parts = Group(left).halves() if len(left) > 1 else [Group(left)]
            self._later += [(at, part) for part in parts if part.members]
        else:
            self._gathered.extendleft(reversed(left))

    def _next(self, now: float) -> Group | None:
        while self._groups:
            left = [one for one in self._groups.popleft().members if _is_live(one, now)]
            if left:
                return Group(left)
        members: list[Waiting] = []
        size = 0
        while self._gathered and len(members) < (1 if self._single else MOST_ITEMS):
            one = self._gathered[0]
            if _is_live(one, now):
                size += one.bytes
                if members and size > MOST_BYTES:
                    break
                members.append(one)
            self._gathered.popleft()
        return Group(members) if members else None


def _is_live(one: Waiting, now: float) -> bool:
    """Return whether a question still waits. One at its deadline gets its error."""
    if not one.settled and one.deadline <= now:
        one.settle(one.expired())
    return not one.settled

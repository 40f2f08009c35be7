"""The gathering of questions while requests are on the way. It does no input or output and reads no clock.

All questions that have gathered leave together in the next request. A lone question does not wait, because no request
is on the way. Each question keeps its own request id, deadline and answer.

A batch is refused as a whole if one item is invalid. The refused items get their own error, and the others are sent
again without them. If the error does not name the items, the group is halved until it does or is a single question.

The caller protects a Gathering with a lock, or uses it in one thread.
"""

from collections import deque
from typing import Any

from linewarden.client.errors import ClientError, ClientUnusable
from linewarden.client.groups import Group, Waiting
from linewarden.client.retry import Backoff

#: Requests that may be on the way at once before questions gather. One would leave the server idle between two.
ON_THE_WAY = 2

#: Items of a batch at most, and their bytes. The contract allows 500; a server accepts 64 KiB or more.
MOST_ITEMS = 500
MOST_BYTES = 1 << 20

_ITEM_REASONS = frozenset({"INVALID_REQUEST", "VERB_NOT_APPLICABLE"})
#: Reasons that one question can cause for all of its group: new persons that come too fast, and faults.
_DIVIDED_REASONS = frozenset({"OVERLOADED", "INTERNAL"})


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

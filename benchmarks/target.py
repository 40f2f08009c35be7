"""A server under load with one question, and the check that its answers are right."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import grpc
from load import Load, Question, Shape, percentiles, press
from processes import processor_s

_FRAME_HEAD = 5
_DEADLINE_S = 10

#: Numbers in an answer (the decision's id, fractions of a second) may take a few bytes more or less each time.
_SLACK_BYTES = 64


def _accept(_calls: int) -> None:
    """Accept without a further check."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server and the call to load it with.

    Each call decides `items`, in the server with the number `process`. `is_right` looks at an answer; `settle` waits
    until the server has come to rest after so many calls, and stops the run if it did not do its work. `more` are
    further processes that the call costs, such as those of a database.
    """

    name: str
    question: Question
    process: int
    items: int
    is_right: Callable[[bytes], bool]
    settle: Callable[[int], None] = _accept
    more: int | None = None

    def processor_s(self) -> float:
        """Return the processor seconds of all processes so far."""
        return sum(sum(processor_s(one)) for one in (self.process, self.more) if one is not None)

    def press(self, shape: Shape, calls: int) -> Load:
        """Check one answer, make the load, and check that the size of all answers is right.

        Raises:
            SystemExit: something was not right.
        """
        length = len(self.ask()) + _FRAME_HEAD
        self.settle(1)
        load = press(self.question, shape, calls)
        self.settle(load.calls)
        if abs(load.body_bytes - load.calls * length) > load.calls * min(_SLACK_BYTES, length // 4):
            raise SystemExit(f"{self.name}: {load.body_bytes} bytes came back for {load.calls} answers of {length}")
        return load

    def ask(self, times: int = 1) -> bytes:
        """Ask as any client does; return the last answer."""
        with self._channel() as channel:
            return self._ask(channel, times)[0]

    def alone_ms(self, times: int) -> tuple[float, float]:
        """Return p50 and p99 of sequential calls on an idle server, in milliseconds."""
        with self._channel() as channel:
            spent = self._ask(channel, times)[1]
        self.settle(times)
        return percentiles([one * 1e3 for one in spent])

    def _channel(self) -> grpc.Channel:
        authority = self.question.authority
        if authority is None:
            return grpc.insecure_channel(self.question.address)
        return grpc.secure_channel(self.question.address, grpc.ssl_channel_credentials(authority.read_bytes()))

    def _ask(self, channel: grpc.Channel, times: int) -> tuple[bytes, list[float]]:
        message = self.question.frame.read_bytes()[_FRAME_HEAD:]
        metadata = (("authorization", f"Bearer {self.question.token}"),) if self.question.token else ()
        call: Any = channel.unary_unary(f"/{self.question.method}")
        spent, answer = [], b""
        for _ in range(times):
            began = perf_counter()
            answer = call(message, metadata=metadata, timeout=_DEADLINE_S)
            spent.append(perf_counter() - began)
        if not self.is_right(answer):
            raise SystemExit(f"{self.name} denies an item that its policy allows")
        return answer, spent

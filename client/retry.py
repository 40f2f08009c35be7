"""When a question is asked again."""

import random

from linewarden.client.errors import ClientError, Unavailable

#: The delay before the first retry without a word of the server, and the longest one, seconds.
FIRST_S = 0.05
LONGEST_S = 1.0

#: Reasons of UNAVAILABLE that an operator must end first.
_FOR_THE_OPERATOR = frozenset({"LOG_ROLLED_BACK"})


class Backoff:
    """The delays between the attempts of one call: longer each time, and random, because callers fail together."""

    __slots__ = ("_attempts", "pause_s")

    def __init__(self) -> None:
        self._attempts = 0
        #: The latest delay without that of the server, seconds.
        self.pause_s = 0.0

    def delay_s(self, error: ClientError) -> float | None:
        """Return the delay before the next attempt, seconds; None if the call must not be repeated.

        Only UNAVAILABLE is repeated. The server decided nothing, or the log has the same request id twice.
        """
        if not isinstance(error, Unavailable) or error.reason in _FOR_THE_OPERATOR:
            return None
        self._attempts += 1
        own: float = min(LONGEST_S, FIRST_S * 2 ** min(self._attempts, 10))
        self.pause_s = own * random.uniform(0.5, 1)  # noqa: S311 - no secret
        return max(error.retry_after_s, self.pause_s)

    def reset(self) -> None:
        """Forget earlier attempts, because one succeeded."""
        self._attempts = 0

"""Deadlines of many logs, of which few are reached at a time."""

from heapq import heappop, heappush


class Deadlines:
    """The deadline of each log. Moving a deadline to a later time is cheap, because an idle log is the exception."""

    def __init__(self) -> None:
        self._at: dict[int, float] = {}
        self._queue: list[tuple[float, int]] = []

    def set(self, log_id: int, at: float) -> None:
        """Set the deadline of a log. It may be earlier than before only after `reached` returned the log."""
        if log_id not in self._at:
            heappush(self._queue, (at, log_id))
        self._at[log_id] = at

    def reached(self, now: float) -> list[int]:
        """Return the logs whose deadline is not later than `now`, and forget them."""
        logs = []
        while self._queue and self._queue[0][0] <= now:
            _, log_id = heappop(self._queue)
            if self._at[log_id] > now:  # it was moved
                heappush(self._queue, (self._at[log_id], log_id))
            else:
                del self._at[log_id]
                logs.append(log_id)
        return logs

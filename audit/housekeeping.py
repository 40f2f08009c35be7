"""Background work on the logs: indexing, checkpoints, heartbeats.

No request waits for it. It runs in a separate process, so that it takes no time from the processes that answer.
"""

import time
from collections.abc import Callable
from threading import Event
from typing import Any

from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.clock import Clock, ClockStep
from linewarden.audit.entry import CLOCK_STEPPED, HEARTBEAT, encode
from linewarden.audit.errors import AuditError
from linewarden.audit.indexer import Indexer
from linewarden.audit.model import Head, Unit
from linewarden.audit.store.log import LogStore

#: The interval between two rounds, seconds.
ROUND_S = 0.25

#: Entries of one log that are indexed in one round.
ENTRIES_PER_ROUND = 1_024


class Housekeeper:
    """The background work on all logs of one database.

    A growing log gets a checkpoint at least every `checkpoint_s` seconds. A log that did not grow for `heartbeat_s`
    seconds gets a heartbeat. A step of the wall clock is recorded in every log. `on_fault` is called with the number of
    a log and its error; the work on the other logs continues.
    """

    def __init__(
        self,
        log: LogStore,
        indexer: Indexer,
        checkpoints: Checkpoints,
        *,
        checkpoint_s: float,
        heartbeat_s: float,
        clock: Clock,
        on_fault: Callable[[int, Exception], None],
    ) -> None:
        self._log = log
        self._indexer = indexer
        self._checkpoints = checkpoints
        self._checkpoint_s = checkpoint_s
        self._heartbeat_s = heartbeat_s
        self._clock = clock
        self._on_fault = on_fault
        self._signed: dict[int, tuple[int, float]] = {}
        self._grew: dict[int, tuple[int, float]] = {}
        self._step = ClockStep(0, 0)
        self._step_pending: set[int] = set()

    def run(self, stop: Event) -> None:
        """Work until `stop` is set, and then one last round, so that everything that was answered is also signed."""
        behind = False
        while not stop.wait(0 if behind else ROUND_S):
            behind = self.round()
        self._signed.clear()
        self.round()

    def round(self) -> bool:
        """Work on every log once. Return whether more entries wait to be indexed."""
        try:
            self._log.check_files()
            heads = self._log.heads()
        except AuditError as fault:
            self._on_fault(-1, fault)
            return False
        self._clock()
        if step := self._clock.take_step():
            self._step, self._step_pending = step, {head.log for head in heads}
        behind = False
        for head in heads:
            try:
                behind |= self._look_after(head, time.monotonic())
            except Exception as fault:  # noqa: BLE001 - an error of one log must not stop the work on the others
                self._on_fault(head.log, fault)
        return behind

    def _look_after(self, head: Head, now: float) -> bool:
        if head.log in self._step_pending:
            step = {"expected": self._step.expected_us, "found": self._step.found_us}
            self._append(head.log, CLOCK_STEPPED, step)
            self._step_pending.remove(head.log)
        size, since = self._grew.get(head.log, (-1, now))
        if size != head.size:
            self._grew[head.log] = (head.size, now)
        elif now - since >= self._heartbeat_s:
            # Noted first, so that a log that takes no heartbeat is reported once per interval and not in each round.
            self._grew[head.log] = (size, now + self._checkpoint_s - self._heartbeat_s)
            self._append(head.log, HEARTBEAT, {})
            # Signing comes first, and indexing in parts, so that a checkpoint never waits for an index that is behind.
        self._sign(head, now)
        indexed = self._indexer.catch_up(head.log, head.size, at_most=ENTRIES_PER_ROUND)
        return indexed < head.size

    def _append(self, log_id: int, kind: str, fields: dict[str, Any]) -> None:
        (result,) = self._log.append([Unit(log_id, (encode(kind, self._clock(), fields),))])
        if isinstance(result, AuditError):
            raise result

    def _sign(self, head: Head, now: float) -> None:
        size, at = self._signed.get(head.log, (-1, float("-inf")))
        if size != head.size and now - at >= self._checkpoint_s:
            # Noted first, so that a log that cannot be signed is reported once per interval and not in each round.
            self._signed[head.log] = (size, now)
            self._signed[head.log] = (self._checkpoints.sign(head.log).checkpoint.size, now)

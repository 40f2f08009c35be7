"""What happens behind the log: indexing, checkpoints, heartbeats.

None of it stands between a request and its answer. It runs in a process of its own, so that it takes no time from the
one that answers.
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

#: How often the heads are looked at, seconds.
ROUND_S = 0.25

#: Entries of one log that are indexed in one round.
ENTRIES_PER_ROUND = 1_024


class Housekeeper:
    """Looks after all logs of one database.

    A log is signed for at least every `checkpoint_s` seconds while it grows, and gets a heartbeat when it did not grow
    for `heartbeat_s` seconds. A step of the wall clock is entered into each. `on_fault` hears of what goes wrong with
    one log; the others are looked after all the same.
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
        self._untold: set[int] = set()

    def run(self, stop: Event) -> None:
        """Go round until told to stop, then once more, so that what was answered is also signed for."""
        behind = False
        while not stop.wait(0 if behind else ROUND_S):
            behind = self.round()
        self._signed.clear()
        self.round()

    def round(self) -> bool:
        """Look after every log once; whether there is more to index at once."""
        try:
            self._log.check_files()
            heads = self._log.heads()
        except AuditError as fault:
            self._on_fault(-1, fault)
            return False
        self._clock()
        if step := self._clock.take_step():
            self._step, self._untold = step, {head.log for head in heads}
        behind = False
        for head in heads:
            try:
                behind |= self._look_after(head, time.monotonic())
            except Exception as fault:  # noqa: BLE001 - one log that is broken must not cost the others their care
                self._on_fault(head.log, fault)
        return behind

    def _look_after(self, head: Head, now: float) -> bool:
        if head.log in self._untold:
            self._untold.remove(head.log)
            step = {"expected": self._step.expected_us, "found": self._step.found_us}
            self._append(head.log, CLOCK_STEPPED, step)
        size, since = self._grew.get(head.log, (-1, now))
        if size != head.size:
            self._grew[head.log] = (head.size, now)
        elif now - since >= self._heartbeat_s:
            self._append(head.log, HEARTBEAT, {})
        # Signing comes first and indexing in parts: however far the index is behind, a second's log is signed for.
        self._sign(head, now)
        indexed = self._indexer.catch_up(head.log, head.size, at_most=ENTRIES_PER_ROUND)
        return indexed < head.size

    def _append(self, log_id: int, kind: str, fields: dict[str, Any]) -> None:
        self._log.append([Unit(log_id, (encode(kind, self._clock(), fields),))])

    def _sign(self, head: Head, now: float) -> None:
        size, at = self._signed.get(head.log, (-1, float("-inf")))
        if size != head.size and now - at >= self._checkpoint_s:
            # Marked first: a log that is not to be signed for is complained of once per interval, not each round.
            self._signed[head.log] = (size, now)
            self._signed[head.log] = (self._checkpoints.sign(head.log).checkpoint.size, now)

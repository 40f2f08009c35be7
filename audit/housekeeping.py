"""Background work on the logs: indexing, checkpoints, heartbeats.

No request waits for it. It runs in a separate process, so that it takes no time from the processes that answer. A round
touches only logs whose head changed or whose time has come, because most logs of many tenants are idle.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from threading import Event
from typing import Any

from linewarden.audit.anchors import LOCK_TIMEOUT_S, Signed
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.clock import Clock, ClockStep
from linewarden.audit.deadlines import Deadlines
from linewarden.audit.entry import CLOCK_STEPPED, HEARTBEAT, encode
from linewarden.audit.errors import AuditError, LogUnavailable
from linewarden.audit.index.indexer import TAIL, Indexer
from linewarden.audit.model import Head, Unit
from linewarden.audit.store.log import LogStore

#: The interval between two rounds, seconds.
ROUND_S = 0.25

#: How long a round signs, and then how long it indexes, before the next round continues, seconds. So a log that begins
#: to grow is noticed while thousands of others are behind. While logs wait to be signed, indexing gets little time.
SIGNING_S = INDEXING_S = 0.5
INDEXING_BESIDE_S = 0.1

#: Entries of one log that are indexed in one round.
ENTRIES_PER_ROUND = 1_024

#: Entries of one log that are left to wait, because a query reads so few from the log itself in a few milliseconds. So
#: thousands of logs that grow slowly cost little.
FEW_ENTRIES = TAIL // 2

#: How long the number of indexed entries is believed, seconds, because a query deletes a damaged index.
INDEXED_S = 30.0

#: Entries behind from which on progress is reported, and the interval, seconds.
MANY_ENTRIES = 100_000
REPORT_S = 5.0

#: Logs that are signed together. Their anchors stay locked until all are on the disk.
SIGNED_TOGETHER = 64

#: Logs that get an entry in one transaction.
APPENDED_TOGETHER = 256


class Housekeeper:
    """The background work on all logs of one database.

    A growing log gets a checkpoint at least every `checkpoint_s` seconds. A log that did not grow for `heartbeat_s`
    seconds gets a heartbeat. A step of the wall clock is recorded in every log. `on_fault` is called with the number of
    a log and its error, or with -1 and an error of the database; the work on the other logs continues. What failed is
    tried again after `checkpoint_s`. `on_progress` is called every REPORT_S while the index of a log is far behind,
    with the log's number, its indexed entries and its size.
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
        on_progress: Callable[[int, int, int], None] = lambda _log, _indexed, _size: None,
    ) -> None:
        self._log = log
        self._indexer = indexer
        self._checkpoints = checkpoints
        self._checkpoint_s = checkpoint_s
        self._heartbeat_s = heartbeat_s
        self._clock = clock
        self._on_fault = on_fault
        self._on_progress = on_progress
        self._reported_at = time.monotonic()
        self._heads = log.watch()
        #: Generation and size of each log, and those that its last checkpoint has.
        self._sizes: dict[int, tuple[int, int]] = {}
        self._signed: dict[int, tuple[int, int]] = {}
        self._signed_at: dict[int, float] = {}
        #: The logs to be signed and indexed, each with the earliest time, in the order of work.
        self._unsigned: dict[int, float] = {}
        self._unindexed: dict[int, float] = {}
        self._locked_since: dict[int, float] = {}
        #: The entries of each log that were found in the index, and until when this is believed.
        self._indexed: dict[int, tuple[int, float]] = {}
        self._heartbeats = Deadlines()
        self._step = ClockStep(0, 0)
        self._steps = Deadlines()

    def run(self, stop: Event) -> None:
        """Work until `stop` is set, and then one last round, so that everything that was answered is also signed."""
        behind = False
        while not stop.wait(0 if behind else ROUND_S):
            behind = self.round()
        self.round(last=True)

    def round(self, *, last: bool = False) -> bool:
        """Do the work that is due. Return whether more entries wait to be indexed, or logs to be signed.

        The `last` round signs every log that grew, however long that takes.
        """
        try:
            self._log.check_files()
            self._note(self._heads.moved())
            self._append_due()
            # Signing comes first, so that a checkpoint never waits for an index that is behind.
            unsigned = self._sign_due(last=last)
        except AuditError as fault:
            self._on_fault(-1, fault)
            return False
        return self._index_due(INDEXING_BESIDE_S if unsigned else INDEXING_S) or unsigned

    def _note(self, moved: Collection[Head]) -> None:
        """Note which logs grew. After a start the logs that grew last are the first to be signed."""
        now = time.monotonic()
        for head in sorted(moved, key=_time_us, reverse=True):
            size = head.generation, head.size
            if self._sizes.get(head.log) != size:
                self._sizes[head.log] = size
                self._heartbeats.set(head.log, now + self._heartbeat_s)
                if self._is_behind(head, now):
                    self._unindexed.setdefault(head.log, now)
                if self._signed.get(head.log) != size:
                    at = self._signed_at.get(head.log, float("-inf")) + self._checkpoint_s
                    self._unsigned.setdefault(head.log, max(now, at))

    def _is_behind(self, head: Head, now: float) -> bool:
        indexed, until = self._indexed.get(head.log, (0, now))
        return now >= until or not 0 <= head.size - indexed < FEW_ENTRIES

    def _append_due(self) -> None:
        now = time.monotonic()
        self._clock()
        if step := self._clock.take_step():
            self._step = step
            for log_id in self._sizes:
                self._steps.set(log_id, now)
        fields = {"expected": self._step.expected_us, "found": self._step.found_us}
        self._append(self._steps, CLOCK_STEPPED, fields, now)
        self._append(self._heartbeats, HEARTBEAT, {}, now)

    def _append(self, due: Deadlines, kind: str, fields: dict[str, Any], now: float) -> None:
        for logs in _parts(due.reached(now), APPENDED_TOGETHER):
            try:
                results = self._log.append([Unit(log_id, (encode(kind, self._clock(), fields),)) for log_id in logs])
            except LogUnavailable as fault:
                results = [fault] * len(logs)
            for log_id, result in zip(logs, results, strict=True):
                if isinstance(result, AuditError):
                    due.set(log_id, now + self._checkpoint_s)
                    self._on_fault(log_id, result)

    def _sign_due(self, *, last: bool) -> bool:
        """Sign logs. Return whether some are left that could be signed now."""
        until = float("inf") if last else time.monotonic() + SIGNING_S
        for logs in _parts(list(self._unsigned) if last else _due(self._unsigned), SIGNED_TOGETHER):
            if time.monotonic() > until:
                return True
            try:
                self._sign(logs, last=last)
            except AuditError as fault:
                self._on_fault(-1, fault)
                if not last:
                    # All are put off, because what concerns no single log is reported once per interval.
                    self._unsigned = dict.fromkeys(self._unsigned, time.monotonic() + self._checkpoint_s)
                    return False
        return False

    def _sign(self, logs: Sequence[int], *, last: bool) -> None:
        results = self._checkpoints.sign_together(logs)
        for log_id in logs:
            result = results.get(log_id) or self._sign_locked(log_id, last=last)
            if result is not None:
                self._note_result(log_id, result)

    def _sign_locked(self, log_id: int, *, last: bool) -> Signed | Exception | None:
        """Sign a log for which another process signs; return None if a later round is to try it again."""
        try:
            if last:
                return self._checkpoints.sign(log_id)
            if time.monotonic() - self._locked_since.setdefault(log_id, time.monotonic()) < LOCK_TIMEOUT_S:
                return None
            raise LogUnavailable("another process holds the lock of the log's anchor: end it")  # noqa: TRY301
        except Exception as fault:  # noqa: BLE001 - an error of one log must not stop the work on the others
            return fault

    def _note_result(self, log_id: int, result: Signed | Exception) -> None:
        self._locked_since.pop(log_id, None)
        del self._unsigned[log_id]
        now = self._signed_at[log_id] = time.monotonic()
        if isinstance(result, Signed):
            generation, _size = self._sizes[log_id]
            self._signed[log_id] = generation, result.checkpoint.size
        else:
            self._unsigned[log_id] = now + self._checkpoint_s
            self._on_fault(log_id, result)

    def _index_due(self, within_s: float) -> bool:
        """Index a part of each log that is behind. Return whether entries are left that could be indexed now."""
        until = time.monotonic() + within_s
        for log_id in _due(self._unindexed):
            if time.monotonic() > until:
                return True
            self._index(log_id)
        return bool(_due(self._unindexed))

    def _index(self, log_id: int) -> None:
        _generation, size = self._sizes[log_id]
        at = self._unindexed.pop(log_id)
        try:
            indexed = self._indexer.catch_up(log_id, size, at_least=FEW_ENTRIES, at_most=ENTRIES_PER_ROUND)
        except Exception as fault:  # noqa: BLE001 - an error of one log must not stop the work on the others
            self._on_fault(log_id, fault)
            self._unindexed[log_id] = time.monotonic() + self._checkpoint_s
        else:
            self._indexed[log_id] = indexed, time.monotonic() + INDEXED_S
            if size - indexed >= FEW_ENTRIES:
                self._unindexed[log_id] = at  # after the others
            if size - indexed >= MANY_ENTRIES and time.monotonic() >= self._reported_at + REPORT_S:
                self._reported_at = time.monotonic()
                self._on_progress(log_id, indexed, size)


def _due(work: dict[int, float]) -> list[int]:
    now = time.monotonic()
    return [log_id for log_id, at in work.items() if at <= now]


def _time_us(head: Head) -> int:
    # The seal is not verified yet, and SQLite does not check types.
    return head.time_us if type(head.time_us) is int else 0


def _parts(logs: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    return (logs[first : first + most] for first in range(0, len(logs), most))

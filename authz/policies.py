"""The compiled policies of this process: one immutable snapshot for each tenant, replaced by reference.

A snapshot may be out of date. The guard of each record detects this before an answer is released, and `refresh` loads
the changes. Loaded statements are verified against the seal of the policy. If they are not what the service wrote, the
tenant has no snapshot, and so gets no answer, until they are. Other tenants are not affected.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from linewarden.audit.blocking import LOAD_TIMEOUT_S, LONG_TIMEOUT_S
from linewarden.audit.errors import LogUnavailable, RolledBack
from linewarden.audit.pace import in_slices, paced
from linewarden.audit.shares import shares
from linewarden.authz.errors import PolicyNotOurs
from linewarden.authz.growth import Ceiling, ceiling_of, raised
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statement_list import NumberedStatement
from linewarden.authz.statements import parse_statement
from linewarden.authz.store.policy import NO_POLICY_HASH, PolicyDelta, PolicyStore, StoredStatement
from linewarden.authz.store.seal import EMPTY

#: How long a policy that is not ours is not read again, seconds. Reading a large one takes time from other tenants.
REFUSED_S = 5.0

#: Statements of a change from which on its objects are taken out of the garbage collector.
_MANY = 10_000


class Loaded(NamedTuple):
    """A snapshot; the sum of its statements, with which the next change is verified; and its ceiling (see `growth`)."""

    snapshot: Snapshot
    total: int
    ceiling: Ceiling


class Policies:
    """The snapshots of all tenants, by the number of the tenant's log.

    `on_excess` is called with the log of a policy that exceeds a limit. It was stored before that limit existed.
    """

    def __init__(self, store: PolicyStore, on_excess: Callable[[int], None] = lambda _log: None) -> None:
        self._store = store
        self._on_excess = on_excess
        #: All snapshots share the budget of this one.
        self._empty = Loaded(Snapshot.compile(0, NO_POLICY_HASH, ()), EMPTY, Ceiling(0, 0))
        self._loaded: dict[int, Loaded] = {}
        self._refused: dict[int, float] = {}
        self._loading: dict[int, asyncio.Task[Loaded]] = {}

    def cached(self, log_id: int) -> Snapshot | None:
        """Return the snapshot that this process has, if it has one."""
        loaded = self._loaded.get(log_id)
        return None if loaded is None else loaded.snapshot

    def forget(self, log_id: int) -> None:
        """Drop the policy of a log that an operator recovered."""
        self._loaded.pop(log_id, None)
        self._refused.pop(log_id, None)

    async def load(self, log_id: int) -> Snapshot:
        """Return the newest snapshot. Concurrent callers share one load.

        Raises:
            PolicyNotOurs: the stored policy is not the one that the service wrote.
            LogUnavailable: the database failed.
        """
        return (await self._newest(log_id)).snapshot

    async def refresh(self, log_id: int) -> Snapshot:
        """Return a snapshot that has every change committed before this call.

        Raises:
            PolicyNotOurs: the stored policy is not the one that the service wrote.
            LogUnavailable: the database failed.
        """
        return (await self.refreshed(log_id)).snapshot

    async def refreshed(self, log_id: int) -> Loaded:
        """Return what `refresh` returns, with the sum and the ceiling that a change needs."""
        running = self._loading.get(log_id)
        if running is not None:  # it may have read before the change
            await asyncio.wait([running], timeout=LONG_TIMEOUT_S)
        return await self._newest(log_id)

    async def preload(self, within_s: float) -> int:
        """Load the policies of all tenants, the largest first. Return how many were not loaded within `within_s`.

        A policy that the service did not write is left out; each request for it is refused. A started load goes on.

        Raises:
            LogUnavailable: the database failed.
        """
        until = time.monotonic() + within_s
        logs = await asyncio.to_thread(self._store.by_size)
        for number, log_id in enumerate(logs):
            task = self._task(log_id, at_start=True)
            done, _ = await asyncio.wait([task], timeout=max(0.0, until - time.monotonic()))
            if not done:
                return len(logs) - number
            if (fault := task.exception()) is not None and not isinstance(fault, PolicyNotOurs | RolledBack):
                raise fault
        return 0

    async def _newest(self, log_id: int) -> Loaded:
        task = self._task(log_id)
        # A caller that disconnects, or stops waiting, must not cancel the load of the others.
        done, _ = await asyncio.wait([task], timeout=LONG_TIMEOUT_S)
        if not done:
            raise LogUnavailable(f"the policy was not read within {LONG_TIMEOUT_S:.0f} s: try again")
        return task.result()

    def _task(self, log_id: int, *, at_start: bool = False) -> "asyncio.Task[Loaded]":
        task = self._loading.get(log_id)
        if task is None:
            task = self._loading[log_id] = asyncio.create_task(self._load_apart(log_id, at_start=at_start))
            task.add_done_callback(lambda _done: self._loading.pop(log_id, None))
        return task

    async def _load_apart(self, log_id: int, *, at_start: bool) -> Loaded:
        """Load in a thread: a change at once, a whole policy in the tenant's share unless the server is starting."""
        if at_start:
            return await asyncio.to_thread(self._load, log_id)
        if log_id in self._loaded:
            return await asyncio.to_thread(in_slices, lambda: False, partial(self._load, log_id))
        with shares().admitted(log_id) as share:
            return await share.run(LOAD_TIMEOUT_S, self._load, log_id)

    def _load(self, log_id: int) -> Loaded:
        if time.monotonic() < self._refused.get(log_id, 0.0):
            raise PolicyNotOurs("the policy was read a moment ago and is not the one that the service wrote", log_id)
        known = self._loaded.get(log_id, self._empty)
        try:
            delta = self._store.since(log_id, known.snapshot.revision, known.total)
        except PolicyNotOurs:
            self._loaded.pop(log_id, None)
            self._refused[log_id] = time.monotonic() + REFUSED_S
            raise
        if delta.revision != known.snapshot.revision or log_id not in self._loaded:
            known = self._loaded[log_id] = self._advanced(log_id, known, delta)
        return known

    def _advanced(self, log_id: int, known: Loaded, delta: PolicyDelta) -> Loaded:
        before, added = known.snapshot, _parsed(delta.added)
        after = before.changed(delta.revision, delta.hash, added, _parsed(delta.removed))
        if before.revision:
            ceiling = raised(known.ceiling, before.in_force, after.in_force, (one for _, one in added))
        else:
            ceiling = ceiling_of(after.in_force)
            if not ceiling.within:
                self._on_excess(log_id)
        if len(added) >= _MANY:
            # A snapshot has millions of objects and no cycles, so the collector need not visit it.
            gc.freeze()
        return Loaded(after, delta.total, ceiling)


def _parsed(statements: Sequence[StoredStatement]) -> list[NumberedStatement]:
    return [(one.id, parse_statement(one.text)) for one in paced(statements)]

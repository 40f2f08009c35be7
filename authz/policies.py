"""The compiled policies of this process: one immutable snapshot per tenant, swapped by reference.

A snapshot may be old; the guard of each record says so before an answer is released, and `refresh` brings what changed.
What is brought is verified against the seal of the policy. Where it is not what the service wrote, the tenant has no
snapshot, and so no answer, until it is again; other tenants have theirs.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from linewarden.audit.errors import LogUnavailable, RolledBack
from linewarden.audit.pace import in_slices, paced
from linewarden.audit.patience import LOAD_TIMEOUT_S, LONG_TIMEOUT_S
from linewarden.audit.shares import shares
from linewarden.authz.errors import PolicyNotOurs
from linewarden.authz.growth import Ceiling, ceiling_of, raised
from linewarden.authz.roster import Entry
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import parse_statement
from linewarden.authz.store.policy import NO_POLICY_HASH, PolicyDelta, PolicyStore, StoredStatement
from linewarden.authz.store.seal import EMPTY

#: A policy that is not ours is looked at again after so long, seconds: reading a large one takes from other tenants.
REFUSED_S = 5.0

#: From so many statements on a change leaves enough objects behind to be set apart from the collector.
_MANY = 10_000


class Loaded(NamedTuple):
    """A snapshot, the sum of its statements, on which the next change is verified, and its ceiling, see `growth`."""

    snapshot: Snapshot
    total: int
    ceiling: Ceiling


class Policies:
    """Snapshots by the number of the tenant's log.

    `on_excess` is told the log of a policy that passes a limit: it was stored before there was that limit.
    """

    def __init__(self, store: PolicyStore, on_excess: Callable[[int], None] = lambda _log: None) -> None:
        self._store = store
        self._on_excess = on_excess
        #: All snapshots share the memory of this one.
        self._empty = Loaded(Snapshot.compile(0, NO_POLICY_HASH, ()), EMPTY, Ceiling(0, 0))
        self._loaded: dict[int, Loaded] = {}
        self._refused: dict[int, float] = {}
        self._loading: dict[int, asyncio.Task[Loaded]] = {}

    def cached(self, log: int) -> Snapshot | None:
        """The snapshot this process has, if any."""
        loaded = self._loaded.get(log)
        return None if loaded is None else loaded.snapshot

    def forget(self, log: int) -> None:
        """Forget the policy of a log that an operator recovered."""
        self._loaded.pop(log, None)
        self._refused.pop(log, None)

    async def load(self, log: int) -> Snapshot:
        """The newest snapshot; concurrent callers share one load.

        Raises:
            PolicyNotOurs: what is stored is not what the service wrote.
            LogUnavailable: the database failed.
        """
        return (await self._newest(log)).snapshot

    async def refresh(self, log: int) -> Snapshot:
        """A snapshot that holds every change committed before this call.

        Raises:
            PolicyNotOurs: what is stored is not what the service wrote.
            LogUnavailable: the database failed.
        """
        return (await self.refreshed(log)).snapshot

    async def refreshed(self, log: int) -> Loaded:
        """As `refresh`, with what a change needs to know beside the snapshot."""
        running = self._loading.get(log)
        if running is not None:  # it may have looked before the change
            await asyncio.wait([running], timeout=LONG_TIMEOUT_S)
        return await self._newest(log)

    async def preload(self, within_s: float) -> int:
        """Load the policies of all tenants, the largest first, for so long; returns how many were not loaded by then.

        What is not the service's own is left out: it is refused when it is asked for. A load that has begun goes on.

        Raises:
            LogUnavailable: the database failed.
        """
        until = time.monotonic() + within_s
        logs = await asyncio.to_thread(self._store.by_size)
        for number, log in enumerate(logs):
            task = self._task(log, at_start=True)
            done, _ = await asyncio.wait([task], timeout=max(0.0, until - time.monotonic()))
            if not done:
                return len(logs) - number
            if (fault := task.exception()) is not None and not isinstance(fault, PolicyNotOurs | RolledBack):
                raise fault
        return 0

    async def _newest(self, log: int) -> Loaded:
        task = self._task(log)
        # One caller that goes away, or waits no longer, must not take the load from the others.
        done, _ = await asyncio.wait([task], timeout=LONG_TIMEOUT_S)
        if not done:
            raise LogUnavailable("the policy could not be read in time")
        return task.result()

    def _task(self, log: int, *, at_start: bool = False) -> "asyncio.Task[Loaded]":
        task = self._loading.get(log)
        if task is None:
            task = self._loading[log] = asyncio.create_task(self._load_apart(log, at_start=at_start))
            task.add_done_callback(lambda _done: self._loading.pop(log, None))
        return task

    async def _load_apart(self, log: int, *, at_start: bool) -> Loaded:
        """Load in a thread: a change at once, a whole policy in the tenant's share, unless there is no other work."""
        if at_start:
            return await asyncio.to_thread(self._load, log)
        if log in self._loaded:
            return await asyncio.to_thread(in_slices, lambda: False, partial(self._load, log))
        with shares().admitted(log) as share:
            return await share.run(LOAD_TIMEOUT_S, self._load, log)

    def _load(self, log: int) -> Loaded:
        if time.monotonic() < self._refused.get(log, 0.0):
            raise PolicyNotOurs("the policy was not the one that the service wrote a moment ago", log)
        known = self._loaded.get(log, self._empty)
        try:
            delta = self._store.since(log, known.snapshot.revision, known.total)
        except PolicyNotOurs:
            self._loaded.pop(log, None)
            self._refused[log] = time.monotonic() + REFUSED_S
            raise
        if delta.revision != known.snapshot.revision or log not in self._loaded:
            known = self._loaded[log] = self._advanced(log, known, delta)
        return known

    def _advanced(self, log: int, known: Loaded, delta: PolicyDelta) -> Loaded:
        before, added = known.snapshot, _parsed(delta.added)
        after = before.changed(delta.revision, delta.hash, added, _parsed(delta.removed))
        if before.revision:
            ceiling = raised(known.ceiling, before.in_force, after.in_force, (one for _, one in added))
        else:
            ceiling = ceiling_of(after.in_force)
            if not ceiling.within:
                self._on_excess(log)
        if len(added) >= _MANY:
            # A snapshot has millions of objects and no cycles: the collector need never walk through it.
            gc.freeze()
        return Loaded(after, delta.total, ceiling)


def _parsed(statements: Sequence[StoredStatement]) -> list[Entry]:
    return [(one.id, parse_statement(one.text)) for one in paced(statements)]

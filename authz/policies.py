"""The compiled policies of this process: one immutable snapshot per tenant, swapped by reference.

A snapshot may be old; the guard of each record says so before an answer is released, and `refresh` brings what changed.
What is brought is verified against the seal of the policy. Where it is not what the service wrote, the tenant has no
snapshot, and so no answer, until it is again; other tenants have theirs.
"""

import asyncio
import gc
import time
from collections.abc import Sequence
from typing import NamedTuple

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.patience import LONG_TIMEOUT_S
from linewarden.authz.errors import PolicyNotOurs
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import Statement, parse_statement
from linewarden.authz.store.policy import NO_POLICY_HASH, PolicyDelta, PolicyStore, StoredStatement
from linewarden.authz.store.seal import EMPTY

#: A policy that is not ours is looked at again after so long, seconds: reading a large one takes from other tenants.
REFUSED_S = 5.0


class _Loaded(NamedTuple):
    """A snapshot, and the sum of its statements, on which the next change is verified."""

    snapshot: Snapshot
    total: int


class Policies:
    """Snapshots by the number of the tenant's log."""

    def __init__(self, store: PolicyStore) -> None:
        self._store = store
        #: All snapshots share the memory of this one.
        self._empty = _Loaded(Snapshot.compile(0, NO_POLICY_HASH, ()), EMPTY)
        self._loaded: dict[int, _Loaded] = {}
        self._refused: dict[int, float] = {}
        self._loading: dict[int, asyncio.Task[Snapshot]] = {}

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
        task = self._loading.get(log)
        if task is None:
            task = self._loading[log] = asyncio.create_task(asyncio.to_thread(self._load, log))
            task.add_done_callback(lambda _done: self._loading.pop(log, None))
        # One caller that goes away, or waits no longer, must not take the load from the others.
        done, _ = await asyncio.wait([task], timeout=LONG_TIMEOUT_S)
        if not done:
            raise LogUnavailable("the policy could not be read in time")
        return task.result()

    async def refresh(self, log: int) -> Snapshot:
        """A snapshot that holds every change committed before this call.

        Raises:
            PolicyNotOurs: what is stored is not what the service wrote.
            LogUnavailable: the database failed.
        """
        running = self._loading.get(log)
        if running is not None:  # it may have looked before the change
            await asyncio.wait([running], timeout=LONG_TIMEOUT_S)
        return await self.load(log)

    def _load(self, log: int) -> Snapshot:
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
            known = self._loaded[log] = _Loaded(advanced(known.snapshot, delta), delta.total)
            # A snapshot has millions of objects and no cycles: the collector need never walk through it.
            gc.freeze()
        return known.snapshot


def advanced(snapshot: Snapshot, delta: PolicyDelta) -> Snapshot:
    """The snapshot after a delta."""
    return snapshot.changed(delta.revision, delta.hash, _parsed(delta.added), _parsed(delta.removed))


def _parsed(statements: Sequence[StoredStatement]) -> list[tuple[str, Statement]]:
    return [(one.id, parse_statement(one.text)) for one in statements]

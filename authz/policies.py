"""The compiled policies of this process: one immutable snapshot per tenant, swapped by reference.

A snapshot may be old; the guard of each record says so before an answer is released, and `refresh` brings what changed.
"""

import asyncio
import gc
from collections.abc import Sequence

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.patience import LONG_TIMEOUT_S
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import Statement, parse_statement
from linewarden.authz.store.policy import NO_POLICY_HASH, PolicyDelta, PolicyStore, StoredStatement

_EMPTY = Snapshot.compile(0, NO_POLICY_HASH, ())


class Policies:
    """Snapshots by the number of the tenant's log."""

    def __init__(self, store: PolicyStore) -> None:
        self._store = store
        self._snapshots: dict[int, Snapshot] = {}
        self._loading: dict[int, asyncio.Task[Snapshot]] = {}

    def cached(self, log: int) -> Snapshot | None:
        """The snapshot this process has, if any."""
        return self._snapshots.get(log)

    async def load(self, log: int) -> Snapshot:
        """The newest snapshot; concurrent callers share one load.

        Raises:
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
            LogUnavailable: the database failed.
        """
        running = self._loading.get(log)
        if running is not None:  # it may have looked before the change
            await asyncio.wait([running], timeout=LONG_TIMEOUT_S)
        return await self.load(log)

    def _load(self, log: int) -> Snapshot:
        known = self._snapshots.get(log, _EMPTY)
        delta = self._store.since(log, known.revision)
        if delta.revision != known.revision or log not in self._snapshots:
            known = self._snapshots[log] = advanced(known, delta)
            # A snapshot has millions of objects and no cycles: the collector need never walk through it.
            gc.freeze()
        return known


def advanced(snapshot: Snapshot, delta: PolicyDelta) -> Snapshot:
    """The snapshot after a delta."""
    return snapshot.changed(delta.revision, delta.hash, _parsed(delta.added), _parsed(delta.removed))


def _parsed(statements: Sequence[StoredStatement]) -> list[tuple[str, Statement]]:
    return [(one.id, parse_statement(one.text)) for one in statements]

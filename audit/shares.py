"""Fair scheduling of the long work that tenants cause: loads and changes of policies, queries, exports.

There are few threads, because all share one interpreter. Tenants get them in turn. A tenant has at most TENANT_THREADS,
so that some remain for others. Large texts are processed one at a time for all tenants together.

The bytes of the texts that wait or run are limited, for each tenant and in all. Work beyond a limit is refused before
anything of it is recorded. A text above the limit of a tenant is admitted if the tenant has no other work, and no other
such text is waiting or running.
"""

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Generic, ParamSpec, TypeVar

from linewarden.audit.errors import LogOverloaded, LogUnavailable
from linewarden.audit.pace import in_slices

P = ParamSpec("P")
T = TypeVar("T")

#: Threads in all, and of one tenant at most.
THREADS = 4
TENANT_THREADS = 2

#: Bytes of texts in work of one tenant, and in all.
TENANT_BYTES = 16 << 20
ALL_BYTES = 64 << 20

#: Bytes that a request counts for at least, because it has a task and a place in a queue.
LEAST_BYTES = 64 << 10

#: Texts from this size on are processed one at a time, bytes.
LARGE_BYTES = 256 << 10


class _Job(Generic[T]):
    """A piece of work with the future for which its request waits."""

    __slots__ = ("abandoned", "call", "future", "large")

    def __init__(self, call: Callable[[], T], *, large: bool) -> None:
        self.call = call
        self.large = large
        self.future: Future[T] = Future()
        self.abandoned = False

    def settle(self) -> None:
        """Run the work in slices, and set the result or the exception of the future."""
        if self.future.set_running_or_notify_cancel():
            try:
                self.future.set_result(in_slices(lambda: self.abandoned, self.call))
            except BaseException as error:  # noqa: BLE001 - the request must get every exception
                self.future.set_exception(error)


class Share:
    """The admission of a tenant's work on a text of `size` bytes."""

    def __init__(self, shares: "Shares", tenant: int, size: int) -> None:
        self._shares = shares
        self._tenant = tenant
        self._large = size >= LARGE_BYTES

    async def run(self, within_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in the tenant's share and wait for it, for at most `within_s` seconds.

        Raises:
            LogUnavailable: the function took longer. Waiting work is dropped, and work in slices ends soon.
        """
        job = _Job(partial(function, *args, **kwargs), large=self._large)
        self._shares.start(self._tenant, job)
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.wrap_future(job.future)
        except TimeoutError as error:
            raise LogUnavailable(f"the work was not done within {within_s:g} s: try again") from error
        finally:
            job.abandoned = True


class Shares:
    """The scheduler of one process. One lock protects all state; the work itself runs without it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, "linewarden-share")
        self._waiting: OrderedDict[int, deque[_Job[Any]]] = OrderedDict()
        self._running: Counter[int] = Counter()
        self._large = 0
        self._bytes: Counter[int] = Counter()

    @contextmanager
    def admitted(self, tenant: int, size: int = 0) -> Iterator[Share]:
        """Admit work on a text of `size` bytes while the context is open.

        Raises:
            LogOverloaded: too much work waits or runs.
        """
        counted = max(size, LEAST_BYTES)
        with self._lock:
            if not self._fits(tenant, counted):
                raise LogOverloaded("too much work of this tenant, or of all tenants, waits: try again")
            self._bytes[tenant] += counted
        try:
            yield Share(self, tenant, size)
        finally:
            with self._lock:
                self._bytes[tenant] -= counted
                if not self._bytes[tenant]:
                    del self._bytes[tenant]

    def start(self, tenant: int, job: _Job[Any]) -> None:
        """Put a job into the tenant's queue."""
        with self._lock:
            self._waiting.setdefault(tenant, deque()).append(job)
            self._start_ready()

    def _fits(self, tenant: int, size: int) -> bool:
        own = self._bytes[tenant]
        if own and own + size > TENANT_BYTES:
            return False
        if size > TENANT_BYTES and max(self._bytes.values(), default=0) > TENANT_BYTES:
            return False
        # There is at most one text above the limit of a tenant. It is not counted in full, or it would never fit.
        return sum(min(one, TENANT_BYTES) for one in self._bytes.values()) + min(size, TENANT_BYTES) <= ALL_BYTES

    def _start_ready(self) -> None:
        """Give free threads to tenants in turn. The caller holds the lock."""
        while sum(self._running.values()) < THREADS and (ready := self._next()) is not None:
            tenant, job = ready
            self._running[tenant] += 1
            self._large += job.large
            self._pool.submit(self._work, tenant, job)

    def _next(self) -> tuple[int, _Job[Any]] | None:
        for tenant, jobs in self._waiting.items():
            while jobs and jobs[0].abandoned:
                jobs.popleft()
            if jobs and self._running[tenant] < TENANT_THREADS and not (jobs[0].large and self._large):
                job = jobs.popleft()
                # This tenant had its turn and is the last from now on.
                self._waiting.move_to_end(tenant)
                return tenant, job
        for tenant in [tenant for tenant, jobs in self._waiting.items() if not jobs]:
            del self._waiting[tenant]
        return None

    def _work(self, tenant: int, job: _Job[Any]) -> None:
        job.settle()
        with self._lock:
            self._running[tenant] -= 1
            self._large -= job.large
            self._start_ready()


@cache
def shares() -> Shares:
    """Return the scheduler of this process."""
    return Shares()

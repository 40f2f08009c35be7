"""Fair queues: the number of concurrent requests, the order of waiting ones, and the refusals.

The rule, which is the same for every tenant:

1. At most `places` requests are worked on at once. A tenant may hold all places while no other tenant is active. Once
   two tenants sent requests within ACTIVE_S, each holds at most `share` places, so that some are free for the other.
2. Requests beyond that wait. The tenants that wait take turns, and so do the callers of one tenant.
3. At most `room` requests wait. When the room is full, the newest request of the tenant that has the most waiting is
   refused. A tenant with few requests therefore loses none of them, however many another tenant sends.

A request has a weight, because a batch costs more than one check. Weights are counted in places.
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable

from linewarden.audit.errors import LogOverloaded

#: A tenant is active for this time after a request, seconds.
ACTIVE_S = 60.0


class _Waiter:
    """A request that waits for places. `future` has a result once it holds them."""

    __slots__ = ("caller", "future", "queued", "tenant", "weight")

    def __init__(self, tenant: str, caller: str, weight: int, future: "asyncio.Future[None]") -> None:
        self.tenant = tenant
        self.caller = caller
        self.weight = weight
        self.future = future
        self.queued = True


class _Queue:
    """The requests of one tenant that wait. Its callers take turns."""

    def __init__(self) -> None:
        self.count = 0
        self._callers: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    def add(self, waiter: _Waiter) -> None:
        self._callers.setdefault(waiter.caller, deque()).append(waiter)
        self.count += 1

    def first(self) -> _Waiter:
        """Return the oldest request of the caller whose turn it is."""
        return next(iter(self._callers.values()))[0]

    def newest(self) -> _Waiter:
        """Return the newest request of the caller that has the most."""
        return max(self._callers.values(), key=len)[-1]

    def remove(self, waiter: _Waiter) -> None:
        """Remove a request. The turn passes to the next caller."""
        waiters = self._callers[waiter.caller]
        waiters.remove(waiter)
        self.count -= 1
        if waiters:
            self._callers.move_to_end(waiter.caller)
        else:
            del self._callers[waiter.caller]


class FairQueue:
    """The places of one kind of work, shared by the rule above. One for the tasks of one event loop.

    `places`, `share` and `room` are counts of requests, `patience_s` is how long a request waits at most, in seconds.
    """

    def __init__(
        self,
        places: int,
        share: int,
        room: int,
        patience_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._share = min(share, places)
        self._room = room
        self._patience_s = patience_s
        self._monotonic = monotonic
        self._free = places
        self._held: Counter[str] = Counter()
        self._queues: OrderedDict[str, _Queue] = OrderedDict()
        self._waiting = 0
        self._latest = ""
        self._shared_until = float("-inf")
        self.refused = 0

    @property
    def inside(self) -> int:
        """Requests that hold places or wait for them."""
        return self._waiting + sum(self._held.values())

    async def enter(self, tenant: str, caller: str, weight: int = 1) -> int:
        """Take places for a request, or wait for them. Return the number taken, for `leave`.

        Raises:
            LogOverloaded: too many requests wait, or this one waited for too long.
        """
        if tenant != self._latest:
            self._see(tenant)
        limit = self._limit()
        weight = min(weight, self._share)
        if not self._waiting and self._free >= weight and self._held[tenant] + weight <= limit:
            self._grant(tenant, weight)
        else:
            await self._wait(tenant, caller, weight)
        return weight

    def leave(self, tenant: str, weight: int) -> None:
        """Give back the places of a request that is done."""
        self._free += weight
        left = self._held[tenant] - weight
        if left:
            self._held[tenant] = left
        else:
            del self._held[tenant]
        if self._queues:
            self._serve()

    @property
    def full(self) -> bool:
        """Return whether the queue has the maximum number of waiting requests."""
        return self._waiting >= self._room

    def would_refuse(self, tenant: str) -> bool:
        """Return whether a further request of this tenant would be refused at once."""
        return self.full and self._longest(tenant) == tenant

    def _see(self, tenant: str) -> None:
        if self._latest:
            self._shared_until = self._monotonic() + ACTIVE_S
        self._latest = tenant

    def _limit(self) -> int:
        if self._shared_until > 0 and self._monotonic() < self._shared_until:
            return self._share
        return self._places

    def _grant(self, tenant: str, weight: int) -> None:
        self._free -= weight
        self._held[tenant] += weight

    async def _wait(self, tenant: str, caller: str, weight: int) -> None:
        if self.full:
            self._make_room(tenant)
        waiter = _Waiter(tenant, caller, weight, asyncio.get_running_loop().create_future())
        self._queues.setdefault(tenant, _Queue()).add(waiter)
        self._waiting += 1
        self._serve()
        try:
            async with asyncio.timeout(self._patience_s):
                await waiter.future
        except (TimeoutError, asyncio.CancelledError) as error:
            self._give_up(waiter)
            if isinstance(error, TimeoutError):
                self.refused += 1
                raise LogOverloaded("the request waited for too long") from error
            raise

    def _give_up(self, waiter: _Waiter) -> None:
        """Remove a request that waits no longer; give back its places, if it was given them in the same turn."""
        if waiter.queued:
            self._remove(waiter)
        elif not waiter.future.cancelled() and waiter.future.exception() is None:
            self.leave(waiter.tenant, waiter.weight)

    def _make_room(self, tenant: str) -> None:
        """Refuse the newest request of the tenant that has the most waiting, the one that comes now included.

        Raises:
            LogOverloaded: that is the request that comes now.
        """
        self.refused += 1
        error = LogOverloaded("too many requests wait")
        longest = self._longest(tenant)
        if longest == tenant:
            raise error
        newest = self._queues[longest].newest()
        self._remove(newest)
        if not newest.future.done():
            newest.future.set_exception(error)

    def _longest(self, tenant: str) -> str:
        """Return the tenant with the most waiting requests, counting one more for this one, which wins a tie."""
        own = self._queues[tenant].count if tenant in self._queues else 0
        longest = max(self._queues, key=lambda name: self._queues[name].count, default=tenant)
        return tenant if longest == tenant or own + 1 >= self._queues[longest].count else longest

    def _serve(self) -> None:
        """Give free places to those whose turn it is. A tenant that holds as many as it may is passed over."""
        limit = self._limit()
        passed_over = 0
        while self._free and passed_over < len(self._queues):
            tenant, queue = next(iter(self._queues.items()))
            weight = queue.first().weight
            if self._held[tenant] + weight > limit:
                passed_over += 1
            elif weight > self._free:  # places gather for it, or a large batch would wait for ever
                return
            else:
                passed_over = 0
                self._start(queue.first())
            if tenant in self._queues:
                self._queues.move_to_end(tenant)

    def _start(self, waiter: _Waiter) -> None:
        self._remove(waiter)
        if not waiter.future.done():  # otherwise its caller went away
            self._grant(waiter.tenant, waiter.weight)
            waiter.future.set_result(None)

    def _remove(self, waiter: _Waiter) -> None:
        waiter.queued = False
        queue = self._queues[waiter.tenant]
        queue.remove(waiter)
        self._waiting -= 1
        if not queue.count:
            del self._queues[waiter.tenant]

"""Caches bounded in bytes, under a budget that several caches share.

Goal: the caches of a process have one stated bound, independent of the number of tenants and of their requests. The
owner of a value states its cost. Estimates err on the high side; a test compares them with the interpreter's
allocations. Refused: a bound in entries, because one entry can be a megabyte; and a bound for each cache, because the
number of caches grows with the tenants. When the budget is spent, the largest cache drops its least recently used
values. So a tenant that fills the memory loses its own entries first.

Several threads may use a cache. Each step is one operation on a dictionary. A value lost in a race is computed again,
and a wrong count is corrected when the budget is spent the next time.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar
from weakref import WeakSet

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

#: Bytes of an entry beside its value: a slot in an ordered dictionary, and the tuple of the key.
ENTRY_BYTES = 280

#: The part of a spent budget that is freed at once, because examining all caches for each entry would cost more.
_FREED = 16


class Budget:
    """A limit, in bytes, that several caches share."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: Counted by the caches. It may be too high, because it includes caches that no longer exist.
        self.spent = 0
        self._caches: WeakSet[Cache[Hashable, object]] = WeakSet()

    def held(self) -> int:
        """Return the bytes that all caches hold now, as the owners of the values estimate them."""
        return sum(cache.held for cache in list(self._caches))

    def join(self, cache: "Cache[Hashable, object]") -> None:
        """Count a cache from now on, for as long as it exists."""
        self._caches.add(cache)

    def make_room(self) -> None:
        """Drop the least recently used values of the largest caches, if the limit is exceeded."""
        caches = list(self._caches)
        held = sum(cache.held for cache in caches)
        goal = self.limit - self.limit // _FREED if held > self.limit else held
        while held > goal:
            largest = max(caches, key=lambda cache: cache.held)
            freed = largest.forget(held - goal)
            if not freed:
                break
            held -= freed
        self.spent = held


class Cache(Generic[_Key, _Value]):
    """Values by key, each with its cost in bytes. The oldest are dropped first, with a second chance if used since."""

    __slots__ = ("__weakref__", "_budget", "_values", "held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        # Each entry has its cost, and whether it was used since it last got its second chance.
        self._values: OrderedDict[_Key, _Entry[_Value]] = OrderedDict()
        self.held = 0
        budget.join(self)  # type: ignore[arg-type]

    def get(self, key: _Key) -> _Value | None:
        """Return the value of a key, if it is cached."""
        entry = self._values.get(key)
        if entry is None:
            return None
        entry.used = True
        return entry.value

    def put(self, key: _Key, value: _Value, cost: int) -> None:
        """Cache a value. `cost` is in bytes, without the cache's own entry."""
        cost += ENTRY_BYTES
        entry = self._values.get(key)
        if entry is None:
            self._values[key] = _Entry(value, cost)
        else:
            entry.value, entry.cost, cost = value, cost, cost - entry.cost
        self.held += cost
        budget = self._budget
        budget.spent += cost
        if budget.spent > budget.limit:
            budget.make_room()

    def forget(self, needed: int) -> int:
        """Drop values until `needed` bytes, or half of the cache, are free. Return the number of freed bytes."""
        before, enough = self.held, min(needed, max(1, self.held // 2))
        while self._values and before - self.held < enough:
            key, entry = self._values.popitem(last=False)
            if entry.used:
                entry.used = False
                self._values[key] = entry
            else:
                self.held -= entry.cost
        return before - self.held

    def __len__(self) -> int:
        return len(self._values)


class _Entry(Generic[_Value]):
    __slots__ = ("cost", "used", "value")

    def __init__(self, value: _Value, cost: int) -> None:
        self.value = value
        self.cost = cost
        self.used = False

"""Caches bounded in bytes, under a budget that several of them share.

Goal: what a process remembers has one stated bound, however many tenants it serves and whatever they ask. The owner of
a value says what it costs; estimates err on the high side, which a test compares with what the interpreter allocates.
Refused: a bound in entries, because one entry can be a megabyte; and a bound for each cache, because their number grows
with the tenants. Where the budget is spent, the largest cache forgets what it has not used for longest: a tenant that
fills the memory loses its own entries first.

Values may be used by several threads. Each step is one operation on a dictionary; what a race loses is computed again,
and what it miscounts is counted anew when the budget is next spent.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar
from weakref import WeakSet

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

#: What an entry costs beside its value: a place in a dictionary and its list of uses, and the key's tuple.
ENTRY_BYTES = 280

#: Once the budget is spent, so much of it is made free at once: to look at all caches for each entry would cost more.
_FREED = 16


class Budget:
    """Bytes that caches may hold together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: Counted by the caches; at times too much, for a cache that is gone.
        self.spent = 0
        self._caches: WeakSet[Cache[Hashable, object]] = WeakSet()

    def held(self) -> int:
        """Return the bytes that all caches hold now, as their owners estimate them."""
        return sum(cache.held for cache in list(self._caches))

    def join(self, cache: "Cache[Hashable, object]") -> None:
        """Count a cache from now on, for as long as it lives."""
        self._caches.add(cache)

    def make_room(self) -> None:
        """Let the largest caches forget what they have not used for longest, if too much is held."""
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
    """Values by key, with the bytes each costs. The oldest go first, but those used since then get a second chance."""

    __slots__ = ("__weakref__", "_budget", "_values", "held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        # Of each value its cost, and whether it was used since it was last looked at to make room.
        self._values: OrderedDict[_Key, _Entry[_Value]] = OrderedDict()
        self.held = 0
        budget.join(self)  # type: ignore[arg-type]

    def get(self, key: _Key) -> _Value | None:
        """Return the value, if it is still there."""
        found = self._values.get(key)
        if found is None:
            return None
        found.used = True
        return found.value

    def put(self, key: _Key, value: _Value, cost: int) -> None:
        """Remember a value that costs so many bytes, beside its entry."""
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

    def forget(self, wanted: int) -> int:
        """Forget values until so many bytes are free, or half of them are; returns how many are."""
        before, enough = self.held, min(wanted, max(1, self.held // 2))
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

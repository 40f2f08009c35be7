"""An immutable dictionary. The cost of a changed copy depends on the change, not on the size of the dictionary.

The entries are spread over buckets by their hash. A change copies the buckets that it touches and shares the others. Of
a million entries it copies about a thousand. *Instead of* layers of changes over a base: from time to time these must
be merged, at the cost of the whole.
"""

from collections.abc import Iterator, Mapping
from typing import Generic, Self, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

#: The number of buckets up to a number of entries, and the number of buckets beyond the last of these.
_SIZES = ((256, 1), (16_384, 32))
_MOST = 1_024

#: A bucket is chosen by bits of the hash above those that the dictionary of a bucket uses first.
_SHIFT = 24


class PersistentMap(Generic[_Key, _Value]):
    """An immutable dictionary. Values are never None."""

    __slots__ = ("_buckets", "_count", "_mask")

    def __init__(self, buckets: tuple[dict[_Key, _Value], ...] = ({},), count: int = 0) -> None:
        self._buckets = buckets
        self._mask = len(buckets) - 1
        self._count = count

    def get(self, key: _Key, default: _Value) -> _Value:
        """Return the value of a key, or `default`."""
        return self._buckets[hash(key) >> _SHIFT & self._mask].get(key, default)

    def __contains__(self, key: _Key) -> bool:
        return key in self._buckets[hash(key) >> _SHIFT & self._mask]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[_Key]:
        for bucket in self._buckets:
            yield from bucket

    def items(self) -> Iterator[tuple[_Key, _Value]]:
        """Yield all entries, in no particular order."""
        for bucket in self._buckets:
            yield from bucket.items()

    def changed(self, changes: Mapping[_Key, _Value | None]) -> Self:
        """Return a copy with these values. The value None removes a key."""
        needed = _buckets_for(self._count + len(changes))
        buckets = list(self._buckets) if needed <= len(self._buckets) else _spread(self._buckets, needed)
        mask, count, own = len(buckets) - 1, self._count, set[int]()
        for key, value in changes.items():
            place = hash(key) >> _SHIFT & mask
            if place not in own:
                own.add(place)
                buckets[place] = buckets[place].copy()
            bucket = buckets[place]
            before = len(bucket)
            if value is None:
                bucket.pop(key, None)
            else:
                bucket[key] = value
            count += len(bucket) - before
        return type(self)(tuple(buckets), count)


def _buckets_for(count: int) -> int:
    return next((buckets for most, buckets in _SIZES if count <= most), _MOST)


def _spread(buckets: tuple[dict[_Key, _Value], ...], needed: int) -> list[dict[_Key, _Value]]:
    spread: list[dict[_Key, _Value]] = [{} for _ in range(needed)]
    for bucket in buckets:
        for key, value in bucket.items():
            spread[hash(key) >> _SHIFT & needed - 1][key] = value
    return spread

"""The nouns of the log: units of entries that are appended together, and the guards they depend on.

Standard library only. Times are integers: microseconds since 1970-01-01 UTC.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

#: The log that belongs to no tenant: starts and stops, keys, calls for unknown tenants, failed authentications.
SYSTEM_LOG = 0

#: Indexes of one log; what stands above them in the id of an entry is the generation of the log.
INDEX_BITS = 40

#: An entry this large or larger is refused; the bundle format of C2SP tlog-tiles ends at 65,535.
MAX_ENTRY_BYTES = 32 * 1024


class Guard(NamedTuple):
    """The revision of a log that an entry was made under: that of a tenant's policy, or of the system's keys."""

    log: int
    revision: int


class Unit(NamedTuple):
    """Entries that go into one log next to each other, or not at all.

    `effect` runs inside the transaction, under the lock of the log, after the guards were found to hold: it gets the
    store's connection and may raise EffectRefused. `moves_revision` adds one to the revision of the log.
    """

    log: int
    entries: tuple[bytes, ...]
    guards: tuple[Guard, ...] = ()
    effect: Callable[[Any], None] | None = None
    moves_revision: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The state of a log: how many entries, under which revision, and the roots of the subtrees over them.

    `frontier` is 32 bytes for each bit set in `size`, the largest subtree first. `tenant` is empty for the system log.
    `time_us` is the latest time that an entry states. `generation` counts how often an operator accepted an older state
    of the log; `origin_start` is the index of the first entry under the present origin, `former_origin` the one before.
    """

    log: int
    tenant: str
    origin_id: str
    size: int
    revision: int
    frontier: bytes
    time_us: int = 0
    generation: int = 0
    origin_start: int = 0
    former_origin: str = ""


def entry_id(generation: int, index: int) -> int:
    """Return the id of an entry. It never repeats: after a recovery, indexes of the lost part are given out again."""
    return generation << INDEX_BITS | index


def index_of(id: int) -> int:
    """Return the index of the entry that has this id."""
    return id & (1 << INDEX_BITS) - 1


def id_text(id: int) -> str:
    """Return an id as callers see it: the index, with `generation-` before it once the log was recovered."""
    generation, index = id >> INDEX_BITS, index_of(id)
    return f"{generation}-{index}" if generation else str(index)


def index_in(text: str) -> int:
    """Return the index in the text of an id.

    Raises:
        ValueError: the text is not one that `id_text` makes.
    """
    return int(text.rpartition("-")[2])

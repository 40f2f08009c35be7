"""The nouns of the log: units of entries that are appended together, guards on which they depend, and heads of logs.

Standard library only. Times are integers: microseconds since 1970-01-01 UTC.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

#: The number of the system log: starts and stops, keys, calls for unknown tenants, failed authentications.
SYSTEM_LOG = 0

#: Bits of the index in the id of an entry. The bits above them are the generation of the log.
INDEX_BITS = 40

#: Entries must be smaller than this. The bundle format of C2SP tlog-tiles allows 65,535 bytes.
MAX_ENTRY_BYTES = 32 * 1024


class Guard(NamedTuple):
    """The revision under which an entry was made: of a tenant's policy, or of the keys in the system log."""

    log: int
    revision: int


class Unit(NamedTuple):
    """Entries that are appended to one log next to each other, or not at all.

    `effect` runs inside the transaction, under the lock of the log, after the guards were checked. It gets the store's
    connection and may raise EffectRefused. `moves_revision` adds one to the revision of the log.
    """

    log: int
    entries: tuple[bytes, ...]
    guards: tuple[Guard, ...] = ()
    effect: Callable[[Any], None] | None = None
    moves_revision: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The state of a log: number of entries, revision, and the roots of the subtrees over the entries.

    `log` is the number of the log. `tenant` is empty for the system log. `frontier` is 32 bytes for each bit set in
    `size`, the largest subtree first. `time_us` is the latest time of an entry. `generation` is how often an operator
    accepted an older state of the log. `origin_start` is the index of the first entry under the present origin, and
    `former_origin` the origin before it.
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
    """Return the id of an entry. Ids never repeat, although indexes of lost entries are used again after a recovery."""
    return generation << INDEX_BITS | index


def index_of(id: int) -> int:
    """Return the index of the entry that has this id."""
    return id & (1 << INDEX_BITS) - 1


def id_text(id: int) -> str:
    """Return an id as callers see it: the index, after `generation-` if the log was ever recovered."""
    generation, index = id >> INDEX_BITS, index_of(id)
    return f"{generation}-{index}" if generation else str(index)


def index_in(text: str) -> int:
    """Return the index in the text of an id.

    Raises:
        ValueError: the text is not one that `id_text` makes.
    """
    return int(text.rpartition("-")[2])

"""The heads of logs, sealed at each append.

The head has the revision of policy and keys under which answers are given, and the tenant of the log. Without a seal,
an intruder who can write the database could set a revision back together with its rows, or exchange two tenants. An
earlier head has a valid seal but belongs to a shorter log, which the last checkpoint shows.

A connection of a `LogStore` has the MAC of its rows as an option, so that effects and migrations can seal their rows.
Another option says whether a migration may seal rows that have no seal yet.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hmac import compare_digest
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from linewarden.audit.errors import LogUnavailable, RevisionMoved
from linewarden.audit.keyring import RowMac
from linewarden.audit.merkle import Frontier, Node
from linewarden.audit.model import SYSTEM_LOG, Guard, Head
from linewarden.audit.store.schema import log_head

#: The options of a connection: the MAC of its rows, and whether it may adopt rows without a seal.
ROW_MAC, ADOPTS = "linewarden_row_mac", "linewarden_adopts"

#: The columns of a head, in the order that `opened` expects.
COLUMNS = (
    log_head.c.log,
    log_head.c.tenant,
    log_head.c.origin_id,
    log_head.c.size,
    log_head.c.revision,
    log_head.c.frontier,
    log_head.c.time_us,
    log_head.c.generation,
    log_head.c.origin_start,
    log_head.c.former_origin,
    log_head.c.seal,
)

_PURPOSE = b"head"
#: The fields of a head in their order.
fields_of = attrgetter(*Head.__slots__)


def row_mac_of(connection: sa.Connection) -> RowMac:
    """Return the MAC that seals rows written through a store's connection."""
    row_mac: RowMac = connection.get_execution_options()[ROW_MAC]
    return row_mac


def may_adopt(connection: sa.Connection) -> bool:
    """Return whether rows that were written before there were seals may be sealed as they are."""
    return bool(connection.get_execution_options()[ADOPTS])


def seal_of(row_mac: RowMac, head: Head) -> bytes:
    """Return the seal of a head."""
    log_id, tenant, origin, size, revision, frontier, *others = fields_of(head)
    return row_mac.mac(_PURPOSE, (log_id, tenant, origin, size, revision, *others), frontier)


def opened(row_mac: RowMac, row: Any) -> Head:
    """Verify the seal of a row and return its head.

    Raises:
        LogUnavailable: this service did not write the head.
    """
    head, seal = Head(*row[:-1]), row[-1]
    # SQLite does not check types, so another program may have stored a number where bytes belong.
    with suppress(TypeError):
        if compare_digest(seal_of(row_mac, head), seal):
            return head
    raise LogUnavailable("the head of a log is not one that the service wrote")


def create(connection: sa.Connection, tenant: str, origin_id: str, now_us: int) -> int:
    """Create the log of a tenant, unless it exists. Return its number."""
    log_id = connection.scalar(sa.select(log_head.c.log).where(log_head.c.tenant == tenant))
    if log_id is not None:
        return int(log_id)
    highest = connection.scalar(sa.select(sa.func.max(log_head.c.log)))
    head = Head(0 if highest is None else int(highest) + 1, tenant, origin_id, 0, 0, b"")
    row = {"log": head.log, "tenant": tenant, "origin_id": origin_id, "created_us": now_us}
    row |= {"size": 0, "frontier": b"", "revision": 0, "seal": seal_of(row_mac_of(connection), head)}
    connection.execute(sa.insert(log_head), row)
    return head.log


@dataclass(slots=True)
class LockedHead:
    """A locked head row, and its new values in this transaction. `nodes` are those that this transaction completes."""

    found: Head
    frontier: Frontier
    revision: int
    time_us: int
    nodes: list[Node] = field(default_factory=list)

    @classmethod
    def of(cls, head: Head) -> "LockedHead":
        """Return the locked head before any change."""
        return cls(head, Frontier.from_bytes(head.size, head.frontier), head.revision, head.time_us)

    def extended(self) -> Head:
        """Return the head as this transaction leaves it."""
        found, frontier = self.found, self.frontier
        return Head(
            found.log, found.tenant, found.origin_id, frontier.size, self.revision, frontier.to_bytes(), self.time_us,
            found.generation, found.origin_start, found.former_origin,
        )  # fmt: skip


def parameters(row_mac: RowMac, head: Head) -> dict[str, object]:
    """Return the values of a head's row after an append."""
    return {
        "key": head.log, "n": head.size, "f": head.frontier, "r": head.revision, "t": head.time_us,
        "s": seal_of(row_mac, head),
    }  # fmt: skip


class Revisions:
    """The revisions for guards: of locked heads with their changes, of other heads as committed."""

    def __init__(self, heads: dict[int, LockedHead], read: Callable[[int], int]) -> None:
        self._heads = heads
        self._read = read
        self._others: dict[int, int] = {}

    def check(self, guards: tuple[Guard, ...]) -> None:
        """Check that all guards hold.

        Raises:
            RevisionMoved: a guard does not hold.
            LogUnavailable: the service did not write a head.
        """
        for guard in guards:
            if self._of(guard.log) != guard.revision:
                raise RevisionMoved("the keys changed" if guard.log == SYSTEM_LOG else "the policy changed")

    def _of(self, log_id: int) -> int:
        head = self._heads.get(log_id)
        if head is not None:
            return head.revision
        if log_id not in self._others:
            self._others[log_id] = self._read(log_id)
        return self._others[log_id]

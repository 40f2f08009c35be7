"""The stored nodes of the hash trees: the roots of complete subtrees of 2**8, 2**16, 2**24 and 2**32 entries.

Goal: proofs, and the verification of any 256 neighbouring entries, at a cost that does not grow with the log. An
intruder who can write the database must not be able to forge a node. So the append that completes a node stores it in
the same transaction, with a seal: a MAC over log, generation, level, number and hash.

The seal states the generation because of recoveries. Within one generation a log only grows, so each node has one
value. A recovery accepts an older state of a log, and the indexes of the lost entries are used again. A node over lost
entries has a valid seal, and would be a wrong node at the same place. A node is believed only under the generation of
the head, so the recovery seals the nodes of the accepted state again.

It need not know which of them to trust. The sealed head has the roots of all complete subtrees, and the hashes of the
tiles either lead to these roots or they do not. By collision resistance hashes that do are right, from whichever source
they come. The same check permits filling the table of a log that has no nodes yet, and repairing it.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hmac import compare_digest
from itertools import groupby, islice
from typing import Any

import sqlalchemy as sa

from linewarden.audit.errors import LogDamaged
from linewarden.audit.keyring import RowMac
from linewarden.audit.merkle import TILE_LEAVES, TILE_LEVEL, Frontier, Node, subtree_root
from linewarden.audit.model import Head
from linewarden.audit.store.entry_rows import EntryRows, Reading, octets
from linewarden.audit.store.schema import log_head, log_node

#: Bytes of a seal, which protects a public value against forgery and thus needs no more.
SEAL_BYTES = 16

#: Called with the number of entries whose tiles are done.
OnProgress = Callable[[int], None]

_PURPOSE = b"node"

#: Rows of one statement.
_STEP = 4_096

#: Tiles of which a rebuild holds the leaf hashes at once.
_TILES = 256

# An intruder may have stored a row in advance, or a restore left one behind. It must not stop the append.
_INSERT = sa.text(
    "INSERT INTO log_node (log, level, number, hash, seal) VALUES (:log, :level, :number, :hash, :seal)"
    " ON CONFLICT (log, level, number) DO UPDATE SET hash = excluded.hash, seal = excluded.seal"
)


def insert_text(engine: sa.Engine) -> str:
    """Return the statement that stores a node, for the driver."""
    return str(_INSERT.compile(dialect=engine.dialect))


def row_of(row_mac: RowMac, head: Head, node: Node) -> dict[str, Any]:
    """Return the sealed row of a node of a log that has this head."""
    seal = _seal(row_mac, head.log, head.generation, node)
    return {"log": head.log, "level": node.level, "number": node.number, "hash": node.hash, "seal": seal}


class NodeRows:
    """The nodes of all logs of a database. `reading` opens a connection."""

    def __init__(self, engine: sa.Engine, row_mac: RowMac, reading: Reading, entries: EntryRows) -> None:
        self._row_mac = row_mac
        self._reading = reading
        self._entries = entries
        columns = log_node.c.number, octets(log_node.c.hash, engine), octets(log_node.c.seal, engine)
        key = log_node.c.log == sa.bindparam("in_log"), log_node.c.level == sa.bindparam("in_level")
        number = log_node.c.number
        # Built once, because that takes longer than reading a few rows.
        self._query = sa.select(*columns).where(*key, number >= sa.bindparam("a"), number < sa.bindparam("b"))

    def stored(self, log_id: int, generation: int, level: int, start: int, stop: int) -> list[bytes | None]:
        """Return the hashes of the nodes `start` to `stop - 1` of a level; None where no node has a valid seal."""
        hashes: list[bytes | None] = []
        for begin in range(start, stop, _STEP):
            end = min(begin + _STEP, stop)
            found = {node.number: node.hash for node in self._sealed(log_id, generation, level, begin, end)}
            hashes += [found.get(number) for number in range(begin, end)]
        return hashes

    def verified(self, head: Head, on_progress: OnProgress) -> list[Node] | None:
        """Return all nodes of a log, from stored nodes and leaf hashes, if they lead to the frontier of its head.

        Returns None if neither the nodes with valid seals nor the leaf hashes alone do.
        """
        used: list[bytes] = []
        for tiles in (self._tiles(head, used), self._tiles_from_leaves(head, 0, head.size // TILE_LEAVES)):
            with suppress(LogDamaged):
                nodes, frontier = _built(tiles, on_progress)
                if head.frontier[: len(frontier)] == frontier:
                    return nodes
            if not used:  # both sources would be the same
                return None
        return None

    def write(self, connection: sa.Connection, head: Head, nodes: Iterable[Node]) -> None:
        """Store nodes of a log, sealed under the generation of its head."""
        source = iter(nodes)
        while some := [row_of(self._row_mac, head, node) for node in islice(source, _STEP)]:
            connection.execute(_INSERT, some)

    @staticmethod
    def delete(connection: sa.Connection, log_id: int) -> None:
        """Delete all nodes of a log."""
        connection.execute(sa.delete(log_node).where(log_node.c.log == log_id))

    def missing(self) -> list[int]:
        """Return the logs that have complete tiles and no node of the first one."""
        at = sa.and_(log_node.c.log == log_head.c.log, log_node.c.level == TILE_LEVEL, log_node.c.number == 0)
        without = sa.and_(log_head.c.size >= TILE_LEAVES, ~sa.exists().where(at))
        with self._reading() as connection:
            return list(connection.scalars(sa.select(log_head.c.log).where(without).order_by(log_head.c.log)))

    def _sealed(self, log_id: int, generation: int, level: int, start: int, stop: int) -> Iterator[Node]:
        with self._reading() as connection:
            rows = connection.execute(self._query, {"in_log": log_id, "in_level": level, "a": start, "b": stop}).all()
        for place, digest, seal in rows:
            if digest is not None and seal is not None:
                node = Node(level, place, bytes(digest))
                if compare_digest(_seal(self._row_mac, log_id, generation, node), bytes(seal)):
                    yield node

    def _tiles(self, head: Head, used: list[bytes]) -> Iterator[bytes]:
        """Yield the roots of all complete tiles, from sealed nodes as far as possible. Adds the first one to `used`."""
        count = head.size // TILE_LEAVES
        for start in range(0, count, _TILES):
            stop = min(start + _TILES, count)
            stored = enumerate(self.stored(head.log, head.generation, TILE_LEVEL, start, stop), start)
            for is_missing, run in groupby(stored, lambda one: one[1] is None):
                numbers, hashes = zip(*run, strict=True)
                if is_missing:
                    yield from self._tiles_from_leaves(head, numbers[0], numbers[-1] + 1)
                else:
                    used[:] = hashes[:1]
                    yield from hashes

    def _tiles_from_leaves(self, head: Head, start: int, stop: int) -> Iterator[bytes]:
        leaves = self._entries.leaf_hashes(head.log, start * TILE_LEAVES, stop * TILE_LEAVES)
        for _ in range(start, stop):
            yield subtree_root(list(islice(leaves, TILE_LEAVES)))


def _built(tiles: Iterator[bytes], on_progress: OnProgress) -> tuple[list[Node], bytes]:
    """Return the nodes over the roots of tiles, and the frontier over them."""
    # The tree above the tiles is a tree of the same kind, with the roots of the tiles in place of leaves.
    above, nodes = Frontier(), list[Node]()
    for number, root in enumerate(tiles):
        nodes.append(Node(TILE_LEVEL, number, root))
        if (number + 1) % TILE_LEAVES:
            above.append(root)
        else:
            nodes += (one._replace(level=one.level + TILE_LEVEL) for one in above.complete_tile(root))
            on_progress(above.size * TILE_LEAVES)
    return nodes, above.to_bytes()


def _seal(row_mac: RowMac, log_id: int, generation: int, node: Node) -> bytes:
    return row_mac.mac(_PURPOSE, (log_id, generation, node.level, node.number), node.hash)[:SEAL_BYTES]

"""Reading entries that are verified against the hash tree.

A *tile* is the 256 leaves under a node of level 8. The log stores the roots of complete tiles, sealed; the last tile is
verified against the sealed head. So damage in one tile does not affect the entries of others.
"""

from collections.abc import Sequence
from typing import NamedTuple

from linewarden.audit.merkle import HASH_BYTES, Frontier, leaf_hash
from linewarden.audit.model import Head
from linewarden.audit.store.log import LogStore
from linewarden.audit.tiles import TILE_WIDTH
from linewarden.audit.tree import Tree

#: Logs whose last tile is remembered, so that its beginning is not read again.
_REMEMBERED = 10_000


class Leaf(NamedTuple):
    """A leaf hash and the entry; None if the entry is missing, is not the one that was hashed, or is not verified."""

    digest: bytes
    entry: bytes | None


#: A stored row: the leaf hash as stored, and the bytes of the entry.
_Row = tuple[bytes, bytes]


class VerifiedEntries:
    """The entries of all logs, verified as they are read. Threads may share it: a remembered tile never changes."""

    def __init__(self, log: LogStore, tree: Tree) -> None:
        self._log = log
        self._tree = tree
        self._tails: dict[int, tuple[int, int, Frontier]] = {}

    def read(self, head: Head, start: int, stop: int) -> list[Leaf]:
        """Return the entries `start` to `stop - 1`. `stop` is the end of a tile or of the log.

        Raises:
            LogUnavailable: the database failed.
        """
        first, last = start // TILE_WIDTH, (stop - 1) // TILE_WIDTH
        roots = self._roots(head, first, min(last + 1, head.size // TILE_WIDTH))
        stored = self._log.stored(head.log, start, stop)
        leaves: list[Leaf] = []
        for tile in range(first, last + 1):
            begin, end = max(start, tile * TILE_WIDTH), min(stop, (tile + 1) * TILE_WIDTH)
            root = roots[tile - first] if tile - first < len(roots) else None
            rows = [stored.get(index) for index in range(begin, end)]
            leaves += self._verified(head, begin, rows, root)
        return leaves

    def _verified(self, head: Head, begin: int, rows: Sequence[_Row | None], root: bytes | None) -> list[Leaf]:
        """Return the entries from `begin` on, of one tile whose root is given, or which is the last one."""
        nodes = self._beginning(head, begin)
        leaves = [_leaf(row) for row in rows]
        for row in rows:
            if nodes is not None and row is not None and len(row[0]) == HASH_BYTES:
                nodes.append(row[0])
        end = begin + len(rows)
        expected = root if end % TILE_WIDTH == 0 else head.frontier[-HASH_BYTES * (end % TILE_WIDTH).bit_count() :]
        is_complete = nodes is not None and nodes.size == (end - 1) % TILE_WIDTH + 1
        if nodes is None or not is_complete or nodes.to_bytes() != expected:
            return [Leaf(leaf.digest, None) for leaf in leaves]
        self._remember(head, end, nodes)
        return leaves

    def _beginning(self, head: Head, begin: int) -> Frontier | None:
        """Return the frontier over the leaves of a tile before `begin`; None if one is missing."""
        generation, at, nodes = self._tails.get(head.log, (-1, 0, Frontier()))
        if (generation, at) == (head.generation, begin):
            return Frontier.from_bytes(nodes.size, nodes.to_bytes())
        nodes = Frontier()
        tile = begin - begin % TILE_WIDTH
        rows = self._log.stored(head.log, tile, begin) if tile < begin else {}
        for index in range(tile, begin):
            if index not in rows or len(rows[index][0]) != HASH_BYTES:
                return None
            nodes.append(rows[index][0])
        return nodes

    def _remember(self, head: Head, end: int, nodes: Frontier) -> None:
        if end % TILE_WIDTH:
            if len(self._tails) >= _REMEMBERED:
                self._tails.pop(next(iter(self._tails)), None)
            self._tails[head.log] = (head.generation, end, nodes)
        else:
            self._tails.pop(head.log, None)

    def _roots(self, head: Head, first: int, last: int) -> list[bytes | None]:
        """Return the sealed roots of complete tiles. Missing ones are computed again if the whole log agrees."""
        roots = self._tree.tiles(head.log, first, last) if first < last else []
        if None in roots and self._tree.repair(head.log):
            roots = self._tree.tiles(head.log, first, last)
        return roots


def _leaf(row: _Row | None) -> Leaf:
    if row is None:
        return Leaf(bytes(HASH_BYTES), None)
    digest, entry = row
    return Leaf(digest, entry if leaf_hash(entry) == digest else None)

"""Reading entries that are verified against the hash tree.

A *tile* is the 256 leaves under a node of level 8. The log stores the roots of complete tiles, sealed; the last tile is
verified against the sealed head. So damage in one tile does not affect the entries of others. The bytes of entries are
read only where they are asked for, and of the others in their tiles only the leaf hashes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from linewarden.audit.errors import LogDamaged
from linewarden.audit.merkle import HASH_BYTES, Frontier, leaf_hash, subtree_root
from linewarden.audit.model import Head
from linewarden.audit.store.entry_rows import changed_entries
from linewarden.audit.store.log import LogStore
from linewarden.audit.tiles import TILE_WIDTH
from linewarden.audit.tree import Tree

#: Entries that are read at once: whole tiles, and so few that large entries need no more than some 10 MB.
_READ = 2 * TILE_WIDTH

#: Logs whose last tile is remembered, so that its beginning is not read again.
_REMEMBERED = 10_000


class Leaf(NamedTuple):
    """A leaf hash and the entry; None if the entry is missing, is not the one that was hashed, or is not verified."""

    digest: bytes
    entry: bytes | None


class _Tile(NamedTuple):
    """The entries of one tile that were read, the first of which is `begin`.

    `is_right` is None if there is no valid root to compare the tile with. If it is False, one of the entries `suspect`,
    which need not have been read, is damaged.
    """

    begin: int
    leaves: list[Leaf]
    is_right: bool | None
    suspect: Sequence[int] = ()

    def damaged(self) -> Sequence[int]:
        """Return the entries that were read and are damaged, or the suspect ones if the damage is elsewhere."""
        found = [index for index, leaf in enumerate(self.leaves, self.begin) if leaf.entry is None]
        return found if found or self.is_right is not False else self.suspect


#: Stored rows by index: the leaf hash as stored, and the bytes of the entry.
_Rows = Mapping[int, tuple[bytes, bytes]]


class VerifiedEntries:
    """The entries of all logs, verified as they are read. Threads may share it: a remembered tile never changes."""

    def __init__(self, log: LogStore, tree: Tree) -> None:
        self._log = log
        self._tree = tree
        self._tails: dict[int, tuple[int, int, Frontier]] = {}

    def leaves(self, head: Head, start: int, stop: int) -> Iterator[list[Leaf]]:
        """Yield the entries `start` to `stop - 1`, those of a tile together.

        An entry whose tile has no valid root is not verified.

        Missing roots are computed again first, if the whole log agrees.

        Raises:
            LogUnavailable: the database failed.
        """
        for tile in self._tiles(head, start, stop, repair=True):
            yield tile.leaves if tile.is_right else [Leaf(leaf.digest, None) for leaf in tile.leaves]

    def entries(self, log_id: int, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of the entries `start` to `stop - 1`, in order, up to the first that is damaged.

        Entries of a tile without a valid root are yielded if they have their leaf hashes, so the caller must verify a
        root over what it gets.

        Raises:
            LogDamaged: an entry is missing or was changed. All entries before it, or before its tile, were yielded.
            RolledBack: the log is older than it was seen before.
            LogUnavailable: the database failed, or the service did not write the head.
        """
        for tile in self._tiles(self._log.verified_head(log_id), start, stop, repair=False):
            damaged = tile.damaged()
            count = damaged[0] - tile.begin if damaged else len(tile.leaves)
            yield from (leaf.entry for leaf in tile.leaves[: max(count, 0)] if leaf.entry is not None)
            if damaged:
                raise changed_entries(damaged)

    def _tiles(self, head: Head, start: int, stop: int, *, repair: bool) -> Iterator[_Tile]:
        """Yield the tiles with the entries `start` to `stop - 1`."""
        for begin in range(start - start % TILE_WIDTH, stop, _READ):
            yield from self._some_tiles(head, max(begin, start), min(begin + _READ, stop), repair=repair)

    def _some_tiles(self, head: Head, start: int, stop: int, *, repair: bool) -> Iterator[_Tile]:
        first, last = start // TILE_WIDTH, (stop - 1) // TILE_WIDTH
        roots = self._roots(head, first, min(last + 1, head.size // TILE_WIDTH), repair=repair)
        rows = self._log.stored(head.log, start, stop)
        for number in range(first, last + 1):
            begin, end = max(start, number * TILE_WIDTH), min(stop, (number + 1) * TILE_WIDTH)
            root = roots[number - first] if number - first < len(roots) else _last_root(head)
            yield self._tile(head, begin, end, rows, root)

    def _tile(self, head: Head, begin: int, end: int, rows: _Rows, root: bytes | None) -> _Tile:
        """Return a part of a tile, after comparing the whole tile with its root."""
        leaves = [_leaf(rows.get(index)) for index in range(begin, end)]
        start = begin - begin % TILE_WIDTH
        tile = range(start, min(start + TILE_WIDTH, head.size))
        if root is None:
            return _Tile(begin, leaves, None)
        if any(index not in rows for index in range(begin, end)):
            return _Tile(begin, leaves, is_right=False, suspect=tile)
        try:
            is_right = self._is_right(head, tile, begin, [leaf.digest for leaf in leaves], root)
        except LogDamaged as damage:  # a leaf hash beside those that were read is missing
            return _Tile(begin, leaves, is_right=False, suspect=damage.indexes)
        return _Tile(begin, leaves, is_right, tile)

    def _is_right(self, head: Head, tile: range, begin: int, hashes: Sequence[bytes], root: bytes) -> bool:
        """Return whether a tile whose leaf hashes from `begin` on are these has the root, or the last one its nodes."""
        if len(hashes) == TILE_WIDTH:
            return subtree_root(hashes) == root
        end = begin + len(hashes)
        nodes = self._beginning(head, tile.start, begin)
        for digest in (*hashes, *self._log.leaf_hashes(head.log, end, tile.stop)):
            nodes.append(digest)
        if nodes.to_bytes() != root:
            return False
        if end == tile.stop:
            self._remember(head, end, nodes)
        return True

    def _beginning(self, head: Head, start: int, stop: int) -> Frontier:
        """Return the frontier over the leaves of a tile, which begins with `start`, up to `stop`.

        Raises:
            LogDamaged: a leaf hash is missing.
        """
        generation, at, nodes = self._tails.get(head.log, (-1, 0, Frontier()))
        if (generation, at) == (head.generation, stop):
            return Frontier.from_bytes(nodes.size, nodes.to_bytes())
        nodes = Frontier()
        for digest in self._log.leaf_hashes(head.log, start, stop):
            nodes.append(digest)
        return nodes

    def _remember(self, head: Head, end: int, nodes: Frontier) -> None:
        if end % TILE_WIDTH:
            if len(self._tails) >= _REMEMBERED:
                self._tails.pop(next(iter(self._tails)), None)
            self._tails[head.log] = (head.generation, end, nodes)
        else:
            self._tails.pop(head.log, None)

    def _roots(self, head: Head, first: int, last: int, *, repair: bool) -> list[bytes | None]:
        """Return the sealed roots of complete tiles; None where there is no valid one."""
        roots = self._tree.tiles(head.log, first, last) if first < last else []
        if repair and None in roots and self._tree.repair(head.log):
            roots = self._tree.tiles(head.log, first, last)
        return roots


def _last_root(head: Head) -> bytes:
    """Return the nodes of the head that cover the last tile, which is not complete."""
    return head.frontier[-HASH_BYTES * (head.size % TILE_WIDTH).bit_count() :]


def _leaf(row: tuple[bytes, bytes] | None) -> Leaf:
    if row is None:
        return Leaf(bytes(HASH_BYTES), None)
    digest, entry = row
    return Leaf(digest, entry if leaf_hash(entry) == digest else None)

"""The hash trees of the logs, read from stored nodes, and from leaf hashes where there is no valid node.

A stored node may be missing or invalid although the log is right, so only the leaf hashes count against a log. Leaf
hashes of a tile may be damaged although its node is valid, so the node comes first. See `verified` for the entries.
"""

from linewarden.audit.merkle import KEPT_LEVELS, TILE_LEVEL, node_hash, subtree_root
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.nodes import OnProgress

#: The highest level of a subtree whose leaf hashes are read at once.
_READ_LEVEL = 11


class Tree:
    """The hash trees of all logs of a database. Its methods block, so call them in a thread."""

    def __init__(self, log: LogStore) -> None:
        self._log = log

    def node(self, log_id: int, level: int, number: int) -> bytes:
        """Return the hash of the complete subtree of 2**level leaves at `number`, from stored nodes if possible.

        Raises:
            LogDamaged: leaf hashes are missing where there is no valid node either.
            LogUnavailable: the database failed.
        """
        kept = max((one for one in KEPT_LEVELS if one <= level), default=0)
        if not kept:
            return self.node_from_leaves(log_id, level, number)
        width = 1 << (level - kept)
        return subtree_root(self._kept(log_id, kept, number * width, (number + 1) * width))

    def node_from_leaves(self, log_id: int, level: int, number: int) -> bytes:
        """Return the hash that `node` returns, computed from the leaf hashes of the log alone.

        Raises:
            LogDamaged: leaf hashes are missing.
            LogUnavailable: the database failed.
        """
        if level > _READ_LEVEL:
            halves = (self.node_from_leaves(log_id, level - 1, 2 * number + half) for half in (0, 1))
            return node_hash(*halves)
        return subtree_root(list(self._log.leaf_hashes(log_id, number << level, (number + 1) << level)))

    def tiles(self, log_id: int, start: int, stop: int) -> list[bytes | None]:
        """Return the stored roots of the tiles `start` to `stop - 1`, which have 256 entries each.

        The root is None where none is stored, or its seal is invalid.

        Raises:
            LogUnavailable: the database failed.
        """
        return self._log.nodes(log_id, TILE_LEVEL, start, stop)

    def repair(self, log_id: int, on_progress: OnProgress = lambda _done: None) -> bool:
        """Store all nodes of a log again, if its leaf hashes lead to its head. Return whether they do.

        `on_progress` is called with the number of entries that are done.

        Raises:
            RolledBack: the log is older than it was seen before.
            LogUnavailable: the service did not write the head, or the database failed.
        """
        return self._log.rebuild_nodes(log_id, on_progress)

    def _kept(self, log_id: int, level: int, start: int, stop: int) -> list[bytes]:
        """Return the nodes `start` to `stop - 1` of a kept level. Computes those that have no valid row."""
        stored = enumerate(self._log.nodes(log_id, level, start, stop), start)
        return [self._computed(log_id, level, number) if one is None else one for number, one in stored]

    def _computed(self, log_id: int, level: int, number: int) -> bytes:
        if level == TILE_LEVEL:
            return self.node_from_leaves(log_id, level, number)
        return subtree_root(self._kept(log_id, level - TILE_LEVEL, number << TILE_LEVEL, (number + 1) << TILE_LEVEL))

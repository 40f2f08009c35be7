"""Reading the blocks of one log's index."""

from collections.abc import Sequence

from linewarden.audit.index.blocks import Bits, Entries, Records, decode
from linewarden.audit.index.errors import IndexDamaged
from linewarden.audit.index.format import LOWEST, Block, Run
from linewarden.audit.index.view import View


class Reader:
    """The blocks of one view of a log's index. They are read once and kept for the life of the reader."""

    def __init__(self, view: View) -> None:
        self.runs = view.runs
        self._index = view.index
        self._view = view
        self._kept: dict[int, dict[bytes, Block]] = {}
        if view.memory:
            self._kept[self.runs[-1].first] = {block.key: block for block in view.memory}
        self._decoded: dict[tuple[int, bytes], Entries | Records | Bits] = {}

    def covering(self, probes: Sequence[tuple[Run, bytes]]) -> list[Block]:
        """Return for each run and key the block in whose interval the key lies.

        Raises:
            IndexDamaged: a block is missing or has no valid seal.
            LogUnavailable: the database failed.
        """
        found = [self._kept_block(run, key) for run, key in probes]
        missing = [probe for probe, block in zip(probes, found, strict=True) if block is None]
        read = iter(self._index.covering(missing) if missing else ())
        blocks = []
        for (run, _), block in zip(probes, found, strict=True):
            one = block or next(read)
            self._kept.setdefault(run.first, {})[one.key] = one
            blocks.append(one)
        return blocks

    def after(self, run: Run, block: Block, high: bytes, limit: int) -> list[Block]:
        """Return the blocks of a run that follow a block and begin below `high`: `limit` of them at most."""
        if self._is_in_memory(run):
            return [one for one in self._view.memory if block.next <= one.key < high][:limit]
        found = self._index.blocks(run, low=block.next, high=high, limit=limit)
        if (found[0].key if found else high) > block.next:
            raise IndexDamaged("a block of the index is missing")
        return found

    def before(self, run: Run, block: Block, low: bytes, limit: int) -> list[Block]:
        """Return the blocks of a run that precede a block and end above `low`, the last one first."""
        if self._is_in_memory(run):
            return [one for one in reversed(self._view.memory) if one.key < block.key and one.next > low][:limit]
        found = self._index.blocks(run, low=LOWEST, high=block.key, limit=limit, descending=True)
        if (found[0].next if found else b"") != block.key:
            raise IndexDamaged("a block of the index is missing")
        return found

    def decoded(self, run: Run, block: Block) -> Entries | Records | Bits:
        """Return what a block has."""
        key = (run.first, block.key)
        found = self._decoded.get(key)
        if found is None:
            found = self._decoded[key] = decode(block)
        return found

    def table(self, run: Run, block: Block) -> Entries:
        """Return the table of entries in a block."""
        found = self.decoded(run, block)
        if not isinstance(found, Entries):
            raise IndexDamaged("a block of the index is not a table of entries")
        return found

    def _is_in_memory(self, run: Run) -> bool:
        return bool(self._view.memory) and run is self.runs[-1]

    def _kept_block(self, run: Run, key: bytes) -> Block | None:
        kept = self._kept.get(run.first, {})
        return next((block for block in kept.values() if block.key <= key < block.next), None)

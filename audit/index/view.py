"""The state of a log's index that one search sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from linewarden.audit.index.format import HIGHEST, LOWEST, Block, Run


class StoredBlocks(Protocol):
    """The sealed blocks of one log's index.

    Raises, in all methods:
        IndexDamaged: a block is missing, or is not one that the service wrote.
        LogUnavailable: the database failed.
    """

    def covering(self, probes: Sequence[tuple[Run, bytes]]) -> list[Block]:
        """Return for each run and key the block in whose interval the key lies."""

    def blocks(
        self,
        run: Run,
        *,
        low: bytes = LOWEST,
        high: bytes = HIGHEST,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Block]:
        """Return the blocks of a run that begin from `low` up to `high`, exclusive: the first ones, or the last ones.

        They follow each other: no block between two of them is missing.
        """


@dataclass(frozen=True, slots=True)
class View:
    """The index of a log for one search: its runs, and the blocks of a last run that is only in memory.

    `size` is the number of entries that the search covers.
    """

    index: StoredBlocks
    runs: tuple[Run, ...]
    memory: tuple[Block, ...]
    size: int

    @property
    def stored(self) -> tuple[Run, ...]:
        """The runs that are in the database."""
        return self.runs[:-1] if self.memory else self.runs

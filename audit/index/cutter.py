"""Cutting sorted postings into blocks."""

from bisect import bisect_left

from linewarden.audit.index.blocks import Records, bits_body, length_of, records_body
from linewarden.audit.index.format import Block
from linewarden.audit.keyring import TERM_BYTES

#: Records of a block, so that a row has about 1,900 bytes: two fill a page of SQLite.
_RECORDS = 144
_PACKED_RECORDS = 192


class Cutter:
    """The blocks that sorted postings are cut into. Counts the items of a term that continues from block to block."""

    def __init__(self, records: Records, *, packed: bool) -> None:
        self._records = records
        self._packed = packed
        self._found: list[tuple[bytes, int, bytes]] = []
        self._term = b""
        self._count = 0

    def put(self, key: bytes, rank: int, body: bytes) -> None:
        """Add a block that begins with a key."""
        self._found.append((key, rank, body))

    def put_bits(self, key: bytes, bits: int) -> None:
        """Add a block of bits."""
        rank = self._rank(key)
        self.put(key, rank, bits_body(key, bits))
        self._count = rank + bits.bit_count()

    def cut(self, start: int, stop: int) -> None:
        """Add the blocks of the records `start` to `stop - 1`."""
        step = _PACKED_RECORDS if self._packed else _RECORDS
        for at in range(start, stop, step):
            self._cut(at, min(at + step, stop))

    def finished(self, low: bytes, high: bytes) -> list[Block]:
        """Return the blocks, which cover the interval from `low` up to `high`. There is at least one."""
        found = self._found or [(low, 0, records_body((), packed=False))]
        keys = [low, *(key for key, _, _ in found[1:]), high]
        return [Block(keys[n], keys[n + 1], rank, body) for n, (_, rank, body) in enumerate(found)]

    def _cut(self, start: int, stop: int) -> None:
        records = self._records
        rank = self._rank(records[start])
        self.put(records[start], rank, records_body(records[start:stop], packed=self._packed))
        term = records[stop - 1][:TERM_BYTES]
        first = bisect_left(records, term, start, stop)
        if term != self._term:
            rank = 0
        self._term = term
        self._count = rank + sum(map(length_of, records[first:stop]))

    def _rank(self, key: bytes) -> int:
        term = key[:TERM_BYTES]
        if term != self._term:
            self._term, self._count = term, 0
        return self._count

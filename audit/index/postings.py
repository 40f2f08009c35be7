"""The postings of a run that is being made.

A term that occurs often in a chunk is stored as bits, which are smaller there than records.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from linewarden.audit.index.blocks import Bits, Entries, Records, bits_of
from linewarden.audit.index.cutter import Cutter
from linewarden.audit.index.format import (
    CHUNK_BITS,
    CHUNK_ITEMS,
    CHUNK_SHIFT,
    HIGHEST,
    LENGTH_BITS,
    MORE_ITEMS,
    Block,
    key_of,
    next_chunk,
    ordinal_of,
)
from linewarden.audit.keyring import TERM_BYTES

#: Postings of one term in one chunk from which on they become bits.
_DENSE = 32


class Postings:
    """The postings of a run that is being made, in any order."""

    def __init__(self) -> None:
        self.records: Records = []
        self.bits: dict[bytes, int] = {}

    def add(self, term: bytes, one: int) -> None:
        """Add a range: a number with the first ordinal, shifted by LENGTH_BITS, and the length minus 1."""
        end = (one >> LENGTH_BITS) + (one & MORE_ITEMS)
        if end >> CHUNK_BITS == one >> CHUNK_SHIFT:
            self.records.append(term + one.to_bytes(6))
            return
        # A range that reaches into the next chunk becomes two.
        border = end >> CHUNK_BITS << CHUNK_BITS
        for start, stop in ((one >> LENGTH_BITS, border), (border, end + 1)):
            self.records.append(term + (start << LENGTH_BITS | stop - start - 1).to_bytes(6))

    def add_ranges(self, terms: Sequence[bytes], ranges: Sequence[int]) -> None:
        """Add ranges, in ascending order and as in `add`, to each of the terms."""
        start = 0
        while start < len(ranges):
            chunk = ranges[start] >> CHUNK_SHIFT
            stop = bisect_left(ranges, (chunk + 1) << CHUNK_SHIFT, start)
            if stop - start < _DENSE:
                for term in terms:
                    for one in ranges[start:stop]:
                        self.add(term, one)
            else:
                self._add_bits(terms, chunk, ranges[start:stop])
            start = stop

    def _add_bits(self, terms: Sequence[bytes], chunk: int, ranges: Sequence[int]) -> None:
        # Text of zeros and ones, because changing one bit of a large number copies the number.
        digits = bytearray(b"0") * (CHUNK_ITEMS + MORE_ITEMS + 1)
        start = chunk << CHUNK_SHIFT
        for one in ranges:
            at, more = (one - start) >> LENGTH_BITS, one & MORE_ITEMS
            if more:
                digits[at : at + more + 1] = b"1" * (more + 1)
            else:
                digits[at] = 49
        bits = int(digits[::-1], 2)
        inside, beyond = bits & (1 << CHUNK_ITEMS) - 1, bits >> CHUNK_ITEMS
        for term in terms:
            self._put_bits(term, chunk, inside)
            if beyond:
                self._put_bits(term, chunk + 1, beyond)

    def _put_bits(self, term: bytes, chunk: int, bits: int) -> None:
        key = key_of(term, chunk << CHUNK_BITS)
        self.bits[key] = self.bits.get(key, 0) | bits

    def add_block(self, found: Records | Bits, low: bytes, high: bytes) -> None:
        """Add what a block has from the key `low` up to `high`, exclusive. Bits are inside or outside as a whole."""
        if isinstance(found, Bits):
            if low <= key_of(found.term, found.chunk << CHUNK_BITS) < high:
                self._put_bits(found.term, found.chunk, found.bits)
        elif found:
            inside = low <= found[0] and found[-1] < high
            self.records += found if inside else found[bisect_left(found, low) : bisect_left(found, high)]

    def blocks(self, low: bytes, high: bytes, *, packed: bool, entries: Entries | None = None) -> list[Block]:
        """Return the blocks of the interval from `low` up to `high`. There is at least one.

        `packed` compresses records, which is for runs that stay.
        """
        self.records.sort()
        self._condense()
        cutter = Cutter(self.records, packed=packed)
        if entries is not None:
            for key, body in entries.blocks():
                cutter.put(key, 0, body)
        at = 0
        for key in sorted(self.bits):
            until = bisect_left(self.records, key, at)
            cutter.cut(at, until)
            cutter.put_bits(key, self.bits[key])
            at = until
        cutter.cut(at, len(self.records))
        return cutter.finished(low, high)

    def _condense(self) -> None:
        """Turn the records of terms that are frequent in a chunk to bits."""
        records, kept = self.records, list[bytes]()
        done = at = 0
        dense: list[tuple[int, int]] = []
        while at + _DENSE < len(records):
            term = records[at][:TERM_BYTES]
            if records[at + _DENSE].startswith(term):
                start = bisect_left(records, term, done, at + 1)
                at = bisect_left(records, term + HIGHEST, at)
                dense += self._dense_chunks(start, at)
                done = at
            else:
                at += _DENSE
        for key in self.bits:
            start = bisect_left(records, key)
            end = bisect_left(records, next_chunk(key), start)
            if start < end:
                dense.append((start, end))
        done = 0
        for start, end in sorted(set(dense)):
            kept += records[done:start]
            self._absorb(records[start:end])
            done = end
        if dense:
            self.records = kept + records[done:]

    def _dense_chunks(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of the records of one term that lie in one chunk and are many."""
        while start < end:
            stop = bisect_left(self.records, next_chunk(self.records[start]), start, end)
            if stop - start >= _DENSE:
                yield start, stop
            start = stop

    def _absorb(self, records: Records) -> None:
        self._put_bits(records[0][:TERM_BYTES], ordinal_of(records[0]) >> CHUNK_BITS, bits_of(records))

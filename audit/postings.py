"""The format of the search index: postings of terms, cut into blocks.

Every item of a log has an *ordinal*, its number in the order of the log; an entry without items counts as one. A *term*
is a keyed hash of a field and its value. A *posting* says that the term occurs in a range of ordinals: seven bytes of
term, then six bytes with the first ordinal and the length of the range. Sorted postings are thus ordered by term and by
place.

A *run* has the postings of consecutive entries, and never changes. Its sorted postings are cut into *blocks*. A block
covers an interval of keys completely, so a block also shows which terms do not occur. There are three kinds of blocks:

    entries   the time, the number of items and the leaf hash of each entry, under the term ENTRIES
    records   postings as they are, of any number of terms
    bits      a bit for each ordinal of one chunk, for a term that is frequent in it

Runs are merged into larger ones, in the manner of a log-structured merge tree (O'Neil et al., 1996), because a search
looks into every run.
"""

import struct
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple
from zlib import compress, decompress

TERM_BYTES = 7
KEY_BYTES = 13

#: Bits for the length of a range, so the most items of an entry.
LENGTH_BITS = 10

#: Bits of an ordinal inside its chunk.
CHUNK_BITS = 13
CHUNK_ITEMS = 1 << CHUNK_BITS

#: Reserved terms: the table of entries, and the entries that are not as they were hashed.
ENTRIES = bytes(TERM_BYTES)
DAMAGED = bytes(TERM_BYTES - 1) + b"\x01"

#: The interval of all keys.
LOWEST = b""
HIGHEST = b"\xff" * (KEY_BYTES + 1)

#: Bytes of a leaf hash in the table of entries. The block is sealed, so they resist second preimages of 96 bits.
HASH_BYTES = 12

#: Postings of one term in one chunk from which on they become bits.
_DENSE = 32

#: Records and entries of a block, so that a row has about 1,900 bytes: two fill a page of SQLite.
_RECORDS = 144
_PACKED_RECORDS = 192
_ENTRIES = 104

#: The bits of the length of a range: the number of its items minus 1.
MORE_ITEMS = (1 << LENGTH_BITS) - 1
_CHUNK_SHIFT = LENGTH_BITS + CHUNK_BITS
_CHUNK_NUMBER_BITS = 48 - _CHUNK_SHIFT

_KIND_ENTRIES, _KIND_RECORDS, _KIND_PACKED, _KIND_BITS = range(4)
_ENTRIES_HEAD = struct.Struct("<BBBHQQQ")
_CODES = "BHIQ"


class Block(NamedTuple):
    """A block of a run: all postings from `key` up to `next`, exclusive.

    `rank` is the number of items of the block's first term in the run before the block.
    """

    key: bytes
    next: bytes
    rank: int
    body: bytes


class Run(NamedTuple):
    """The entries `start` to `stop - 1`, which have the ordinals `first` to `end - 1`.

    Their times are from `low_us` to `high_us`. They are `ordered` if no time is more than the log's tolerance behind an
    earlier one.
    """

    first: int
    end: int
    start: int
    stop: int
    low_us: int
    high_us: int
    ordered: bool

    @property
    def items(self) -> int:
        """The number of items."""
        return self.end - self.first


def key_of(term: bytes, ordinal: int) -> bytes:
    """Return the lowest key of a posting of the term that begins at the ordinal."""
    return term + (ordinal << LENGTH_BITS).to_bytes(6)


def ordinal_of(key: bytes) -> int:
    """Return the ordinal in a key."""
    return int.from_bytes(key[TERM_BYTES:]) >> LENGTH_BITS


class Entries:
    """A table of consecutive entries: the time, the number of items and the start of the leaf hash of each."""

    __slots__ = ("counts", "first", "hashes", "start", "times")

    def __init__(self, start: int, first: int) -> None:
        self.start = start
        self.first = first
        self.times: list[int] = []
        self.counts: list[int] = []
        self.hashes = bytearray()

    def add(self, time_us: int, count: int, leaf: bytes) -> None:
        """Add the next entry."""
        self.times.append(time_us)
        self.counts.append(count)
        self.hashes += leaf[:HASH_BYTES]

    def extend(self, other: "Entries") -> None:
        """Add the entries of the table that follows this one."""
        self.times += other.times
        self.counts += other.counts
        self.hashes += other.hashes

    def bounds(self) -> list[int]:
        """Return the first ordinal of each entry, and the ordinal after the last one."""
        return list(accumulate(self.counts, initial=self.first))

    def hash_at(self, number: int) -> bytes:
        """Return the start of the leaf hash of an entry, counted from the first one of this table."""
        return bytes(self.hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES])

    def blocks(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the key and the body of each block of this table."""
        bounds = self.bounds()
        for at in range(0, len(self.times), _ENTRIES):
            times, counts = self.times[at : at + _ENTRIES], self.counts[at : at + _ENTRIES]
            low = min(times)
            times = [one - low for one in times]
            wide, long = _code(max(times)), _code(max(counts))
            n = len(times)
            head = _ENTRIES_HEAD.pack(
                _KIND_ENTRIES, _CODES.index(wide), _CODES.index(long), n, self.start + at, bounds[at], low
            )
            hashes = self.hashes[at * HASH_BYTES : (at + n) * HASH_BYTES]
            body = head + struct.pack(f"<{n}{wide}", *times) + struct.pack(f"<{n}{long}", *counts) + hashes
            yield key_of(ENTRIES, bounds[at]), body


class Bits(NamedTuple):
    """The items of one chunk that have the term, as the bits of a number; the lowest bit is the chunk's first item."""

    term: bytes
    chunk: int
    bits: int


Records = list[bytes]


def decode(block: Block) -> Entries | Records | Bits:
    """Return what a block has. Records are sorted postings of KEY_BYTES each."""
    body = block.body
    kind = body[0]
    if kind == _KIND_RECORDS:
        return [body[at : at + KEY_BYTES] for at in range(1, len(body), KEY_BYTES)]
    if kind == _KIND_PACKED:
        body = decompress(body[1:])
        return [body[at : at + KEY_BYTES] for at in range(0, len(body), KEY_BYTES)]
    if kind == _KIND_BITS:
        key = body[1 : 1 + KEY_BYTES]
        bits = int.from_bytes(decompress(body[1 + KEY_BYTES :]), "little")
        return Bits(key[:TERM_BYTES], ordinal_of(key) >> CHUNK_BITS, bits)
    return _entries(body)


def _entries(body: bytes) -> Entries:
    _kind, wide, long, n, start, first, low = _ENTRIES_HEAD.unpack_from(body)
    table = Entries(start, first)
    at = _ENTRIES_HEAD.size
    times = struct.unpack_from(f"<{n}{_CODES[wide]}", body, at)
    at += n * struct.calcsize(f"<{_CODES[wide]}")
    table.times = [low + one for one in times]
    table.counts = list(struct.unpack_from(f"<{n}{_CODES[long]}", body, at))
    at += n * struct.calcsize(f"<{_CODES[long]}")
    table.hashes = bytearray(body[at:])
    return table


class Postings:
    """The postings of a run that is being made, in any order."""

    def __init__(self) -> None:
        self.records: Records = []
        self.bits: dict[bytes, int] = {}

    def add_ranges(self, term: bytes, ranges: list[int]) -> None:
        """Add postings of one term: numbers with the first ordinal, shifted by LENGTH_BITS, and the length minus 1."""
        if len(ranges) < _DENSE:
            self._add_records(term, ranges)
            return
        chunks: defaultdict[int, list[int]] = defaultdict(list)
        for one in ranges:
            chunks[one >> _CHUNK_SHIFT].append(one)
        for chunk, some in chunks.items():
            if len(some) < _DENSE:
                self._add_records(term, some)
            else:
                self._add_bits(term, chunk, some)

    def _add_records(self, term: bytes, ranges: list[int]) -> None:
        for one in ranges:
            end = (one >> LENGTH_BITS) + (one & MORE_ITEMS)
            if end >> CHUNK_BITS == one >> _CHUNK_SHIFT:
                self.records.append(term + one.to_bytes(6))
            else:
                self._divide(term, one)

    def _divide(self, term: bytes, one: int) -> None:
        """Add a range that reaches into the next chunk as two."""
        first, end = one >> LENGTH_BITS, (one >> LENGTH_BITS) + (one & MORE_ITEMS)
        border = end >> CHUNK_BITS << CHUNK_BITS
        for start, stop in ((first, border), (border, end + 1)):
            self.records.append(term + (start << LENGTH_BITS | stop - start - 1).to_bytes(6))

    def _add_bits(self, term: bytes, chunk: int, ranges: list[int]) -> None:
        # Text of zeros and ones, because changing one bit of a large number copies the number.
        digits = bytearray(b"0") * (CHUNK_ITEMS + MORE_ITEMS + 1)
        start = chunk << CHUNK_BITS
        for one in ranges:
            at, length = (one >> LENGTH_BITS) - start, (one & MORE_ITEMS) + 1
            digits[at : at + length] = b"1" * length
        bits = int(digits[::-1], 2)
        self._put_bits(term, chunk, bits & (1 << CHUNK_ITEMS) - 1)
        if beyond := bits >> CHUNK_ITEMS:
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

        `packed` compresses records. It takes as long as all other work on them, so it is for runs that stay.
        """
        self.records.sort()
        self._condense()
        cutter = _Cutter(self.records, packed=packed)
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
            end = bisect_left(records, _next_chunk(key), start)
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
            stop = bisect_left(self.records, _next_chunk(self.records[start]), start, end)
            if stop - start >= _DENSE:
                yield start, stop
            start = stop

    def _absorb(self, records: Records) -> None:
        self._put_bits(records[0][:TERM_BYTES], ordinal_of(records[0]) >> CHUNK_BITS, bits_of(records))


def bits_of(records: Records) -> int:
    """Return the bits of records that lie in one chunk."""
    bits = 0
    for record in records:
        value = int.from_bytes(record[TERM_BYTES:])
        bits |= ((2 << (value & MORE_ITEMS)) - 1) << (value >> LENGTH_BITS & CHUNK_ITEMS - 1)
    return bits


def chunks_of(records: Records) -> Iterator[tuple[int, int]]:
    """Yield the chunks in which sorted records of one term lie, each with its bits."""
    start = 0
    while start < len(records):
        stop = bisect_left(records, _next_chunk(records[start]), start)
        yield int.from_bytes(records[start][TERM_BYTES:]) >> _CHUNK_SHIFT, bits_of(records[start:stop])
        start = stop


def records_of(records: Records, term: bytes) -> Records:
    """Return the part of sorted records that belongs to the term."""
    start = bisect_left(records, term)
    return records[start : bisect_left(records, term + HIGHEST, start)]


def items_before(found: Entries | Records | Bits, term: bytes, ordinal: int) -> int:
    """Return how many items of the term a block has before the ordinal."""
    if isinstance(found, Bits):
        if found.term != term:
            return 0
        inside = min(max(ordinal - (found.chunk << CHUNK_BITS), 0), CHUNK_ITEMS)
        return (found.bits & (1 << inside) - 1).bit_count()
    if isinstance(found, Entries):
        return 0
    start = bisect_left(found, term)
    stop = bisect_left(found, key_of(term, ordinal), start)
    count = sum((int.from_bytes(record[-2:]) & MORE_ITEMS) + 1 for record in found[start:stop])
    if stop > start:
        last = int.from_bytes(found[stop - 1][TERM_BYTES:])
        count -= max((last >> LENGTH_BITS) + (last & MORE_ITEMS) + 1 - ordinal, 0)
    return count


class _Cutter:
    """Cuts sorted postings into blocks and counts the items of a term that continues from block to block."""

    def __init__(self, records: Records, *, packed: bool) -> None:
        self._records = records
        self._packed = packed
        self._found: list[tuple[bytes, int, bytes]] = []
        self._term = b""
        self._count = 0

    def put(self, key: bytes, rank: int, body: bytes) -> None:
        self._found.append((key, rank, body))

    def put_bits(self, key: bytes, bits: int) -> None:
        rank = self._rank(key)
        self.put(key, rank, bytes((_KIND_BITS,)) + key + compress(bits.to_bytes(CHUNK_ITEMS // 8, "little"), 1))
        self._count = rank + bits.bit_count()

    def cut(self, start: int, stop: int) -> None:
        step = _PACKED_RECORDS if self._packed else _RECORDS
        for at in range(start, stop, step):
            self._cut(at, min(at + step, stop))

    def _cut(self, start: int, stop: int) -> None:
        records = self._records
        rank = self._rank(records[start])
        joined = b"".join(records[start:stop])
        packed = bytes((_KIND_PACKED,)) + compress(joined, 1) if self._packed else b""
        self.put(records[start], rank, packed or bytes((_KIND_RECORDS,)) + joined)
        term = records[stop - 1][:TERM_BYTES]
        first = bisect_left(records, term, start, stop)
        if term != self._term:
            rank = 0
        self._term = term
        self._count = rank + sum((int.from_bytes(one[-2:]) & MORE_ITEMS) + 1 for one in records[first:stop])

    def _rank(self, key: bytes) -> int:
        term = key[:TERM_BYTES]
        if term != self._term:
            self._term, self._count = term, 0
        return self._count

    def finished(self, low: bytes, high: bytes) -> list[Block]:
        found = self._found or [(low, 0, bytes((_KIND_RECORDS,)))]
        keys = [low, *(key for key, _, _ in found[1:]), high]
        return [Block(keys[n], keys[n + 1], rank, body) for n, (_, rank, body) in enumerate(found)]


def _next_chunk(key: bytes) -> bytes:
    """Return the lowest key of the next chunk of the term, or of what follows the term after its last chunk."""
    term, chunk = key[:TERM_BYTES], (int.from_bytes(key[TERM_BYTES:]) >> _CHUNK_SHIFT) + 1
    return term + HIGHEST if chunk >> _CHUNK_NUMBER_BITS else term + (chunk << _CHUNK_SHIFT).to_bytes(6)


def _code(value: int) -> str:
    return next(code for code in _CODES if value < 1 << 8 * array(code).itemsize)


def slices(count: int) -> Sequence[tuple[bytes, bytes]]:
    """Return intervals that divide the keys into `count` parts of about the same size; a term is never divided."""
    bounds = [(0x10000 * n // count).to_bytes(2) for n in range(1, count)]
    return tuple(zip([LOWEST, *bounds], [*bounds, HIGHEST], strict=True))

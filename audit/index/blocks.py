"""The bodies of blocks: writing them, and reading what they have."""

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple
from zlib import compress, decompress

from linewarden.audit.index.format import (
    CHUNK_BITS,
    CHUNK_ITEMS,
    CHUNK_SHIFT,
    ENTRIES,
    HASH_BYTES,
    HIGHEST,
    KEY_BYTES,
    LENGTH_BITS,
    MORE_ITEMS,
    Block,
    key_of,
    next_chunk,
    ordinal_of,
)
from linewarden.audit.keyring import TERM_BYTES

#: Entries of a block, so that a row has about 1,900 bytes: two fill a page of SQLite.
_ENTRIES = 104

_KIND_ENTRIES, _KIND_RECORDS, _KIND_PACKED, _KIND_BITS = range(4)
_ENTRIES_HEAD = struct.Struct("<BBBHQQQ")
_CODES = "BHIQ"

#: Sorted postings of KEY_BYTES each.
Records = list[bytes]


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
            yield key_of(ENTRIES, bounds[at]), self._body(at, min(at + _ENTRIES, len(self.times)), bounds[at])

    def _body(self, at: int, end: int, first: int) -> bytes:
        times, counts, n = self.times[at:end], self.counts[at:end], end - at
        low = min(times)
        times = [one - low for one in times]
        wide, long = _code(max(times)), _code(max(counts))
        codes = _CODES.index(wide), _CODES.index(long)
        head = _ENTRIES_HEAD.pack(_KIND_ENTRIES, *codes, n, self.start + at, first, low)
        hashes = self.hashes[at * HASH_BYTES : end * HASH_BYTES]
        return head + struct.pack(f"<{n}{wide}", *times) + struct.pack(f"<{n}{long}", *counts) + hashes


class Bits(NamedTuple):
    """The items of one chunk that have the term, as the bits of a number; the lowest bit is the chunk's first item."""

    term: bytes
    chunk: int
    bits: int


def records_body(records: Sequence[bytes], *, packed: bool) -> bytes:
    """Return the body of a block of records."""
    joined = b"".join(records)
    if not packed:
        return bytes((_KIND_RECORDS,)) + joined
    # Column by column, because neighbours share their first bytes, and the first and last ones of places are zero.
    columns = b"".join(joined[at::KEY_BYTES] for at in range(KEY_BYTES))
    return bytes((_KIND_PACKED,)) + compress(columns, 1)


def bits_body(key: bytes, bits: int) -> bytes:
    """Return the body of a block of bits whose first key this is."""
    return bytes((_KIND_BITS,)) + key + compress(bits.to_bytes(CHUNK_ITEMS // 8, "little"), 1)


def decode(block: Block) -> Entries | Records | Bits:
    """Return what a block has."""
    body = block.body
    kind = body[0]
    if kind == _KIND_RECORDS:
        return [body[at : at + KEY_BYTES] for at in range(1, len(body), KEY_BYTES)]
    if kind == _KIND_PACKED:
        return _unpacked(decompress(body[1:]))
    if kind == _KIND_BITS:
        key = body[1 : 1 + KEY_BYTES]
        bits = int.from_bytes(decompress(body[1 + KEY_BYTES :]), "little")
        return Bits(key[:TERM_BYTES], ordinal_of(key) >> CHUNK_BITS, bits)
    return _entries(body)


def _unpacked(columns: bytes) -> Records:
    count = len(columns) // KEY_BYTES
    rows = bytearray(len(columns))
    for at in range(KEY_BYTES):
        rows[at::KEY_BYTES] = columns[at * count : (at + 1) * count]
    body = bytes(rows)
    return [body[at : at + KEY_BYTES] for at in range(0, len(body), KEY_BYTES)]


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


def _code(value: int) -> str:
    return next(code for code in _CODES if value < 1 << 8 * array(code).itemsize)


def first_term(found: Entries | Records | Bits) -> bytes | None:
    """Return the term of the first posting in a block; None if it has no posting."""
    if isinstance(found, Entries):
        return None
    if isinstance(found, Bits):
        return found.term
    return found[0][:TERM_BYTES] if found else None


def length_of(record: bytes) -> int:
    """Return the number of items in the range of a posting."""
    return (int.from_bytes(record[-2:]) & MORE_ITEMS) + 1


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
        stop = bisect_left(records, next_chunk(records[start]), start)
        yield int.from_bytes(records[start][TERM_BYTES:]) >> CHUNK_SHIFT, bits_of(records[start:stop])
        start = stop


def records_of(records: Records, term: bytes) -> Records:
    """Return the part of sorted records that belongs to the term."""
    start = bisect_left(records, term)
    return records[start : bisect_left(records, term + HIGHEST, start)]


def items_before(found: Entries | Records | Bits, term: bytes, ordinal: int) -> int:
    """Return how many items of the term a block has before the ordinal."""
    if isinstance(found, Entries):
        return 0
    if isinstance(found, Bits):
        return _bits_before(found, ordinal) if found.term == term else 0
    start = bisect_left(found, term)
    stop = bisect_left(found, key_of(term, ordinal), start)
    count = sum(map(length_of, found[start:stop]))
    if stop > start:
        last = found[stop - 1]
        count -= max(ordinal_of(last) + length_of(last) - ordinal, 0)
    return count


def _bits_before(found: Bits, ordinal: int) -> int:
    inside = min(max(ordinal - (found.chunk << CHUNK_BITS), 0), CHUNK_ITEMS)
    return (found.bits & (1 << inside) - 1).bit_count()

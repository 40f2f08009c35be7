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

from typing import NamedTuple

from linewarden.audit.keyring import TERM_BYTES

KEY_BYTES = 13

#: Bits for the length of a range, so the most items of an entry.
LENGTH_BITS = 10

#: The bits of the length of a range: the number of its items minus 1.
MORE_ITEMS = (1 << LENGTH_BITS) - 1

#: Bits of an ordinal inside its chunk.
CHUNK_BITS = 13
CHUNK_ITEMS = 1 << CHUNK_BITS

#: The place of a chunk's number in the last six bytes of a key.
CHUNK_SHIFT = LENGTH_BITS + CHUNK_BITS
_CHUNK_NUMBER_BITS = 48 - CHUNK_SHIFT

#: Reserved terms: the table of entries, and the entries that are not as they were hashed.
ENTRIES = bytes(TERM_BYTES)
DAMAGED = bytes(TERM_BYTES - 1) + b"\x01"

#: The interval of all keys.
LOWEST = b""
HIGHEST = b"\xff" * (KEY_BYTES + 1)

#: Bytes of a leaf hash in the table of entries. The block is sealed, so they resist second preimages of 96 bits.
HASH_BYTES = 12


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


def next_chunk(key: bytes) -> bytes:
    """Return the lowest key of the next chunk of the term, or of what follows the term after its last chunk."""
    term, chunk = key[:TERM_BYTES], (int.from_bytes(key[TERM_BYTES:]) >> CHUNK_SHIFT) + 1
    return term + HIGHEST if chunk >> _CHUNK_NUMBER_BITS else term + (chunk << CHUNK_SHIFT).to_bytes(6)


def slices(count: int) -> tuple[tuple[bytes, bytes], ...]:
    """Return intervals that divide the keys into `count` parts of about the same size; a term is never divided."""
    bounds = [(0x10000 * n // count).to_bytes(2) for n in range(1, count)]
    return tuple(zip([LOWEST, *bounds], [*bounds, HIGHEST], strict=True))

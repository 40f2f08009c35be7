"""The files of a log: tiles of hashes and bundles of entries, in the layout of C2SP tlog-tiles.

A tile has up to 256 neighbouring hashes of every eighth level of the tree. A bundle has the up to 256 entries under a
tile of level 0. All files are functions of the entries. Writing and verifying an export use the same `TileStack`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import HASH_BYTES, Frontier, leaf_hash, node_hash

#: Hashes in a full tile, and entries in a full bundle.
TILE_WIDTH = 256

#: The largest entry that the two bytes of its length in a bundle can state.
MAX_BUNDLED_BYTES = 0xFFFF

_TILE_LEVELS = 8
_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,7}[0-9]{3})(?:\.p/[0-9]{1,3})?")


def tile_path(level: int, number: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile: `tile/0/x001/x234/067` for number 1234067 of level 0, with `.p/<width>` if partial."""
    return f"tile/{level}/{_number_path(number)}{_partial(width)}"


def bundle_path(number: int, width: int = TILE_WIDTH) -> str:
    """Return the path of the bundle that begins with entry `number` * 256."""
    return f"tile/entries/{_number_path(number)}{_partial(width)}"


def tile_width(level: int, number: int, size: int) -> int:
    """Return the number of hashes of a tile in a log of `size` entries; 0 if there is no such tile."""
    return max(0, min(TILE_WIDTH, (size >> _TILE_LEVELS * level) - number * TILE_WIDTH))


def is_path_of(path: str, size: int) -> bool:
    """Return whether a log of `size` entries has a tile or bundle at exactly this path."""
    match = _PATH.fullmatch(path)
    if match is None:
        return False
    number = int(re.sub("[x/]", "", match[2]))
    level = 0 if match[1] == "entries" else int(match[1])
    width = tile_width(level, number, size)
    right = bundle_path(number, width) if match[1] == "entries" else tile_path(level, number, width)
    return width > 0 and path == right


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Encode entries as a bundle: each after its length in two bytes, big-endian.

    Raises:
        ValueError: an entry is larger than MAX_BUNDLED_BYTES.
    """
    if any(len(entry) > MAX_BUNDLED_BYTES for entry in entries):
        raise ValueError(f"an entry of a bundle must have at most {MAX_BUNDLED_BYTES} bytes")
    return b"".join([part for entry in entries for part in (len(entry).to_bytes(2, "big"), entry)])


def decode_bundle(data: bytes, count: int) -> list[bytes]:
    """Decode the `count` entries of a bundle.

    Raises:
        VerificationFailed: the bundle has fewer or more entries, or ends inside an entry.
    """
    entries: list[bytes] = []
    at, end = 0, len(data)
    for index in range(count):
        start = at + 2
        if start > end:
            raise VerificationFailed(f"the bundle ends before entry {index} of {count}")
        at = start + (data[at] << 8 | data[at + 1])
        entries.append(data[start:at])
    if at > end:
        raise VerificationFailed(f"the bundle ends within its last entry, {count - 1}, or a length in it is wrong")
    if at < end:
        raise VerificationFailed(f"the bundle goes on for {end - at} bytes after its {count} entries")
    return entries


class TileStack:
    """The growing right edge of the tiles: at most one partial tile of each level above 0.

    `size` is the number of leaves that were pushed. Leaves are pushed 256 at once. The last leaves of a log, fewer than
    256, are passed to the methods that need them and are not stored.
    """

    def __init__(self) -> None:
        self.size = 0
        self._levels: list[list[bytes]] = []  # from level 1 upwards

    def push(self, leaves: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
        """Add the leaf hashes of a full tile. Return level, number and bytes of each tile that is now full."""
        self.size += TILE_WIDTH
        full: list[tuple[int, int, bytes]] = []
        tile = leaves
        while len(tile) == TILE_WIDTH:
            level = len(full)
            full.append((level, (self.size >> _TILE_LEVELS * (level + 1)) - 1, b"".join(tile)))
            if level == len(self._levels):
                self._levels.append([])
            above = self._levels[level]
            above.append(_tile_root(tile))
            tile = above
        for level in range(len(full) - 1):
            self._levels[level] = []
        return full

    def partial(self, leaves: Sequence[bytes] = ()) -> Iterator[tuple[int, int, bytes]]:
        """Yield the tiles that stay partial if the log ends with these leaves, fewer than 256, after those pushed."""
        size = self.size + len(leaves)
        for level, tile in enumerate([leaves, *self._levels]):
            if tile:
                yield level, size >> _TILE_LEVELS * (level + 1), b"".join(tile)

    def root(self, leaves: Sequence[bytes] = ()) -> bytes:
        """Return the root of the log if it ends with these leaves, fewer than 256, after the pushed ones."""
        peaks = [_frontier(tile).to_bytes() for tile in (*reversed(self._levels), leaves)]
        return Frontier.from_bytes(self.size + len(leaves), b"".join(peaks)).root()


def tree_files(entries: Iterable[bytes], size: int, root: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the paths and bytes of all tiles and bundles of a log, from its entries in order.

    Memory: one tile of each level and one bundle. The partial files come last. Files yielded before an error are not an
    export, so write the checkpoint after the last file.

    Raises:
        VerificationFailed: the entries are not those of the log with that size and root.
        ValueError: an entry is larger than MAX_BUNDLED_BYTES.
    """
    stack, source = TileStack(), iter(entries)
    while len(bundle := list(islice(source, TILE_WIDTH))) == TILE_WIDTH:
        yield bundle_path(stack.size // TILE_WIDTH), encode_bundle(bundle)
        for level, number, tile in stack.push([leaf_hash(entry) for entry in bundle]):
            yield tile_path(level, number), tile
    leaves = [leaf_hash(entry) for entry in bundle]
    if stack.size + len(leaves) != size or stack.root(leaves) != root:
        raise VerificationFailed(f"the entries given are not those of the log of {size} entries with that root")
    if bundle:
        yield bundle_path(stack.size // TILE_WIDTH, len(bundle)), encode_bundle(bundle)
    for level, number, tile in stack.partial(leaves):
        yield tile_path(level, number, len(tile) // HASH_BYTES), tile


class TileReader:
    """A `merkle.NodeReader` over the tiles of a log of `size` entries.

    `read` returns the bytes of the file at a path. Its exceptions are not caught. Nothing is cached between calls.
    """

    def __init__(self, read: Callable[[str], bytes], size: int) -> None:
        self._read = read
        self._size = size

    def __call__(self, level: int, index: int) -> bytes:
        """Return the hash of the complete subtree of 2**level leaves at `index`.

        Raises:
            ValueError: the log has no such subtree.
            VerificationFailed: a tile has another length than the size of the log requires.
        """
        if level < 0 or index < 0 or index + 1 > self._size >> level:
            raise ValueError(f"a log of {self._size} entries has no subtree {index} of level {level}")
        above = level % _TILE_LEVELS
        tile_level, first = level // _TILE_LEVELS, index << above
        number, offset = divmod(first, TILE_WIDTH)
        hashes = self._tile(tile_level, number)[offset * HASH_BYTES : (offset + (1 << above)) * HASH_BYTES]
        return _frontier(_split(hashes)).root()

    def _tile(self, level: int, number: int) -> bytes:
        width = tile_width(level, number, self._size)
        path = tile_path(level, number, width)
        data = self._read(path)
        if len(data) != width * HASH_BYTES:
            raise VerificationFailed(f"{path} has {len(data)} bytes where {width * HASH_BYTES} belong")
        return data


def _tile_root(tile: Sequence[bytes]) -> bytes:
    while len(tile) > 1:
        tile = [node_hash(left, right) for left, right in zip(tile[::2], tile[1::2], strict=True)]
    return tile[0]


def _frontier(leaves: Iterable[bytes]) -> Frontier:
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier


def _split(data: bytes) -> Iterator[bytes]:
    return (data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))


def _number_path(number: int) -> str:
    path = f"{number % 1000:03}"
    while number := number // 1000:
        path = f"x{number % 1000:03}/{path}"
    return path


def _partial(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"

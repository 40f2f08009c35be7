"""The Merkle tree of RFC 6962 over SHA-256: growing it, proving from it, checking proofs.

A leaf is SHA-256(0x00 ‖ entry), a node SHA-256(0x01 ‖ left ‖ right). Because of the two prefixes an entry cannot be
passed off as a node. A check that fails raises; no function returns False. Standard library only.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple, Self

from linewarden.audit.errors import VerificationFailed

HASH_BYTES = 32

#: The level of a tile: the complete subtree over 256 leaves. Each TILE_LEVEL-th level of a tree is a kept level.
TILE_LEVEL = 8

#: Leaves of a tile.
TILE_LEAVES = 1 << TILE_LEVEL

#: The levels whose nodes are stored. A log has at most 2**40 entries, and its root is computed from 256 of the last.
KEPT_LEVELS = (8, 16, 24, 32)

#: The root of a log without entries.
EMPTY_ROOT = sha256().digest()

#: Reads the hash of the complete subtree of 2**level leaves that is the index-th of its level.
NodeReader = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry as a leaf (RFC 6962, 2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two neighbouring subtrees (RFC 6962, 2.1)."""
    return sha256(b"\x01" + left + right).digest()


class Node(NamedTuple):
    """The root of the complete subtree of 2**level leaves that is the `number`-th of its level."""

    level: int
    number: int
    hash: bytes


class Frontier:
    """The part of a tree that is needed to append to it: the roots of its complete subtrees.

    There is one for each bit set in `size`, the largest and leftmost first.
    """

    __slots__ = ("_nodes", "size")

    def __init__(self) -> None:
        self.size = 0
        self._nodes: list[bytes] = []

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Self:
        """Return the frontier of a tree of `size` leaves, from the bytes that `to_bytes` returned.

        Raises:
            VerificationFailed: the number of bytes does not belong to the size.
        """
        if size < 0 or len(data) != HASH_BYTES * size.bit_count():
            raise VerificationFailed(f"a frontier of {len(data)} bytes does not belong to {size} entries")
        frontier = cls()
        frontier.size = size
        frontier._nodes = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        return frontier

    def to_bytes(self) -> bytes:
        """Return 32 bytes for each bit set in `size`, the largest subtree first. The size is not included."""
        return b"".join(self._nodes)

    def append(self, leaf: bytes) -> None:
        """Add the hash of one more leaf: one node hash on average, log2(size) at most."""
        nodes, complete = self._nodes, self.size
        while complete & 1:
            leaf = sha256(b"\x01" + nodes.pop() + leaf).digest()
            complete >>= 1
        nodes.append(leaf)
        self.size += 1

    def complete_tile(self, leaf: bytes) -> list[Node]:
        """Add the leaf that completes a tile, as `append` does. Return the nodes of KEPT_LEVELS that it completes."""
        nodes, level = self._nodes, 0
        kept: list[Node] = []
        while self.size >> level & 1:
            leaf = sha256(b"\x01" + nodes.pop() + leaf).digest()
            level += 1
            if level in KEPT_LEVELS:
                kept.append(Node(level, self.size >> level, leaf))
        nodes.append(leaf)
        self.size += 1
        return kept

    def root(self) -> bytes:
        """Return the root of the tree."""
        return _fold(self._nodes)


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of neighbouring subtrees of one size. Their number is a power of two."""
    while len(hashes) > 1:
        hashes = [sha256(b"\x01" + hashes[n] + hashes[n + 1]).digest() for n in range(0, len(hashes), 2)]
    return hashes[0]


def tree_root(read: NodeReader, size: int) -> bytes:
    """Return the root of the first `size` leaves, from one read for each bit set in `size`."""
    return _range_root(read, 0, size)


def inclusion_proof(read: NodeReader, index: int, size: int) -> list[bytes]:
    """Return the siblings from leaf `index` up to the root of `size` leaves (RFC 6962, 2.1.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = _split(start, stop)
        if index < middle:
            path.append(_range_root(read, middle, stop))
            stop = middle
        else:
            path.append(_range_root(read, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(read: NodeReader, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of the tree of `new` leaves (RFC 6962, 2.1.2).

    Raises:
        ValueError: the old tree is empty, and thus a prefix of anything, or larger than the new one.
    """
    if not 0 < old <= new:
        raise ValueError(f"no proof leads from {old} to {new} leaves")
    path: list[bytes] = []
    start, stop = 0, new
    while old != stop:
        middle = _split(start, stop)
        if old <= middle:
            path.append(_range_root(read, middle, stop))
            stop = middle
        else:
            path.append(_range_root(read, start, middle))
            start = middle
    if start:  # a subtree that begins at 0 is the old tree itself, whose root the verifier has
        path.append(_range_root(read, start, stop))
    return path[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf` is the hash of leaf `index` in the tree of `size` leaves with that root (RFC 9162, 2.1.3.2).

    Raises:
        VerificationFailed: the leaf is another, or the proof is malformed.
    """
    if not 0 <= index < size:
        raise VerificationFailed(f"a log of {size} entries has no entry {index}")
    _check_lengths(leaf, *proof)
    result = leaf
    for sibling, on_the_left in zip(proof, _sides(index, size - 1, len(proof)), strict=True):
        result = node_hash(sibling, result) if on_the_left else node_hash(result, sibling)
    if result != root:
        raise VerificationFailed(f"the proof does not lead from entry {index} to the root of {size} entries")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `old` leaves is a prefix of the tree of `new` leaves (RFC 9162, 2.1.4.2).

    Raises:
        VerificationFailed: it is not a prefix, the proof is malformed, or `old` is 0, which would prove nothing.
    """
    if not 0 < old <= new:
        raise VerificationFailed(f"no proof can lead from {old} to {new} entries")
    if old == new:
        if proof or old_root != new_root:
            raise VerificationFailed(f"two logs of {old} entries differ, or the proof is too long")
        return
    if not proof:
        raise VerificationFailed("the consistency proof is empty")
    levels = _trailing_zeros(old)
    position, last = (old - 1) >> levels, (new - 1) >> levels
    # If the old tree is one complete subtree, the proof starts there and leaves out its root, which is known.
    first, *siblings = proof if position else (old_root, *proof)
    _check_lengths(first, *siblings)
    second = first
    for sibling, on_the_left in zip(siblings, _sides(position, last, len(siblings)), strict=True):
        if on_the_left:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
        else:
            second = node_hash(second, sibling)
    if first != old_root or second != new_root:
        raise VerificationFailed(f"the log of {old} entries is not shown to be a prefix of the log of {new}")


def _check_lengths(*hashes: bytes) -> None:
    # A node joins its children without a separator, so pieces of other lengths could be split differently.
    if any(len(one) != HASH_BYTES for one in hashes):
        raise VerificationFailed("the proof has a hash that is not 32 bytes long")


def _sides(position: int, last: int, count: int) -> list[bool]:
    # Bottom up, whether each sibling of the node at `position` stands on its left. A node at the right edge without a
    # right sibling rises unchanged to where it has one on the left.
    sides: list[bool] = []
    while last:
        on_the_left = bool(position & 1) or position == last
        levels = _trailing_zeros(position) + 1 if on_the_left else 1
        position, last = position >> levels, last >> levels
        sides.append(on_the_left)
    if len(sides) != count:
        raise VerificationFailed(f"the proof has {count} hashes where {len(sides)} belong")
    return sides


def _fold(nodes: Sequence[bytes]) -> bytes:
    if not nodes:
        return EMPTY_ROOT
    root = nodes[-1]
    for node in nodes[-2::-1]:
        root = node_hash(node, root)
    return root


def _range_root(read: NodeReader, start: int, stop: int) -> bytes:
    return _fold([read(level, index) for level, index in _complete_subtrees(start, stop)])


def _complete_subtrees(start: int, stop: int) -> Iterator[tuple[int, int]]:
    # Largest first. `start` is a multiple of the largest, as it is for every subtree of RFC 6962.
    width = stop - start
    for level in reversed(range(width.bit_length())):
        if width >> level & 1:
            yield level, start >> level
            start += 1 << level


def _split(start: int, stop: int) -> int:
    return start + (1 << (stop - start - 1).bit_length() - 1)


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1

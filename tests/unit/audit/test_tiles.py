"""The log as files: the published paths and widths, and tiles that agree with the tree."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import EMPTY_ROOT, Frontier, inclusion_proof, leaf_hash, tree_root, verify_inclusion
from linewarden.audit.tiles import (
    TileReader,
    TileStack,
    bundle_path,
    decode_bundle,
    encode_bundle,
    is_path_of,
    tile_path,
    tile_width,
    tree_files,
)

_MOST = 66_000
_ENTRIES = [b"entry %d" % number for number in range(_MOST)]
_LEAVES = [leaf_hash(entry) for entry in _ENTRIES]

_SIZES = st.integers(0, 1_100) | st.sampled_from([0, 1, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537])


def _root(size: int) -> bytes:
    frontier = Frontier()
    for leaf in _LEAVES[:size]:
        frontier.append(leaf)
    return frontier.root()


def _files(size: int) -> dict[str, bytes]:
    files = list(tree_files(_ENTRIES[:size], size, _root(size)))
    assert len(dict(files)) == len(files), "no path comes twice"
    return dict(files)


@pytest.mark.parametrize(
    ("number", "path"),
    [
        (0, "000"),
        (7, "007"),
        (999, "999"),
        (1_000, "x001/000"),
        (1_234_067, "x001/x234/067"),
        (1_000_000_000, "x001/x000/x000/000"),
    ],
)
def test_paths_are_the_published_ones(number: int, path: str) -> None:
    """Numbers in paths have groups of three digits, all but the last with an x."""
    assert tile_path(3, number) == f"tile/3/{path}"
    assert tile_path(0, number, 17) == f"tile/0/{path}.p/17"
    assert bundle_path(number, 256) == f"tile/entries/{path}"
    assert bundle_path(number, 1) == f"tile/entries/{path}.p/1"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, [0, 0, 0]),
        (1, [1, 0, 0]),
        (256, [256, 1, 0]),
        (70_000, [256 * 273 + 112, 256 + 17, 1]),
    ],
)
def test_widths_are_the_published_ones(size: int, expected: list[int]) -> None:
    """A log of 70,000 entries has the tiles of the specification's example: 273 full ones and one of 112, and so on."""
    for level, hashes in enumerate(expected):
        widths = [tile_width(level, number, size) for number in range(hashes // 256 + 2)]
        assert sum(widths) == hashes
        assert widths == [256] * (hashes // 256) + [hashes % 256, 0]


@pytest.mark.slow
@given(_SIZES)
@settings(max_examples=60, deadline=None)
def test_files_of_a_log_are_those_the_specification_wants(size: int) -> None:
    """A log has exactly the tiles and bundles of the specification, and each hash is that of its subtree."""
    files = _files(size)
    wanted: dict[str, bytes] = {}
    for number in range(-(-size // 256)):
        entries = _ENTRIES[number * 256 : min(size, number * 256 + 256)]
        wanted[bundle_path(number, len(entries))] = b"".join(len(e).to_bytes(2, "big") + e for e in entries)
    hashes, level = _LEAVES[:size], 0
    while hashes:
        for number in range(-(-len(hashes) // 256)):
            tile = hashes[number * 256 : number * 256 + 256]
            wanted[tile_path(level, number, len(tile))] = b"".join(tile)
        full = [hashes[at : at + 256] for at in range(0, len(hashes) - 255, 256)]
        hashes, level = [_frontier_root(tile) for tile in full], level + 1
    assert files == wanted
    assert all(is_path_of(path, size) for path in files)


def _frontier_root(leaves: list[bytes]) -> bytes:
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


@given(_SIZES, st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_stack_knows_the_root_of_every_size(size: int, more: int) -> None:
    """The unfinished tiles are enough to compute the root, with any leaves still to come."""
    stack, full = TileStack(), size - size % 256
    for at in range(0, full, 256):
        stack.push(_LEAVES[at : at + 256])
    more = min(more, _MOST - full)
    assert stack.root(_LEAVES[full : full + more]) == _root(full + more)


@pytest.mark.slow
@given(_SIZES.filter(bool), st.data())
@settings(max_examples=60, deadline=None)
@example(65_536, None)
def test_proofs_can_be_built_from_tiles(size: int, data: st.DataObject | None) -> None:
    """A holder of an export can prove any of its entries from the tiles of the log's size."""
    index = data.draw(st.integers(0, size - 1)) if data else size - 1
    read = TileReader(_files(size).__getitem__, size)
    assert tree_root(read, size) == _root(size)
    verify_inclusion(index, size, _LEAVES[index], inclusion_proof(read, index, size), _root(size))


def test_reader_refuses_what_is_not_there() -> None:
    """The reader refuses subtrees beyond the log, and tiles of a wrong length."""
    read = TileReader({"tile/0/000.p/3": bytes(64)}.__getitem__, 3)
    for level, index in ((0, 3), (1, 1), (2, 0), (0, -1), (-1, 0)):
        with pytest.raises(ValueError, match="no subtree"):
            read(level, index)
    with pytest.raises(VerificationFailed, match="64 bytes where 96"):
        read(0, 1)


def test_files_come_as_the_entries_do() -> None:
    """The writer reads a long log piece by piece, just before it writes each piece."""
    taken = 0

    def entries() -> Iterator[bytes]:
        nonlocal taken
        for entry in _ENTRIES[:1_000]:
            taken += 1
            yield entry

    files = tree_files(entries(), 1_000, _root(1_000))
    assert [taken for path, _ in files if path.startswith("tile/entries/")] == [256, 512, 768, 1_000]


@pytest.mark.parametrize(("given_size", "stated"), [(299, 300), (301, 300), (300, 301), (0, 1)])
def test_export_of_other_entries_fails(given_size: int, stated: int) -> None:
    """The writer refuses to export a database that lost or gained an entry."""
    with pytest.raises(VerificationFailed, match="not those of the log"):
        list(tree_files(_ENTRIES[:given_size], stated, _root(stated)))


def test_export_of_a_changed_entry_fails() -> None:
    """The writer refuses to export a database in which an entry was changed."""
    with pytest.raises(VerificationFailed, match="not those of the log"):
        list(tree_files([*_ENTRIES[:299], b"altered"], 300, _root(300)))


def test_empty_log_has_no_files() -> None:
    """An empty log has no files."""
    assert list(tree_files([], 0, EMPTY_ROOT)) == []


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundle_comes_back(entries: list[bytes]) -> None:
    """Entries with any bytes are the same after being bundled."""
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=10), st.data())
def test_bundle_of_another_length_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    """The reader refuses a bundle with a missing or surplus byte or entry."""
    bundle, count = encode_bundle(entries), len(entries)
    cut = data.draw(st.integers(0, len(bundle) - 1))
    for spoiled, stated in ((bundle[:cut], count), (bundle + b"\0", count), (bundle, count + 1), (bundle, count - 1)):
        with pytest.raises(VerificationFailed):
            decode_bundle(spoiled, stated)


def test_largest_entry_fits_and_no_larger() -> None:
    """A bundle holds an entry of 65,535 bytes, the most that two bytes of length can state, and none larger."""
    largest = bytes(65_535)
    assert decode_bundle(encode_bundle([largest]), 1) == [largest]
    with pytest.raises(ValueError, match="65535"):
        encode_bundle([largest + b"\0"])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0/000.p/44",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/00/000",
        "tile/1/000",
        "tile/1/000.p/01",
        "tile/1/000.p/1/",
        "tile/1/000.p/2",
        "tile/2/000.p/1",
        "tile/64/000",
        "tile/0/../0/000",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/entries/001.p/43",
        "tile/entries/002",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/000\n",
        "x/tile/0/000",
    ],
)
def test_paths_of_other_logs_are_told_apart(path: str) -> None:
    """A path has one spelling, and stands for one width in a log of a given size."""
    assert not is_path_of(path, 300)

"""The Merkle tree: published vectors, and agreement with the definitions of RFC 6962 written out."""

import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

_ROOT = Path(__file__).parents[3]
_REFERENCE = json.loads((_ROOT / "tests/testdata/merkle/reference.json").read_text())
_PUBLISHED = _ROOT.parent / "shared/data/merkle"

#: Sizes that are small, or stand at the edges of complete subtrees.
_SIZES = st.integers(1, 70) | st.sampled_from([127, 128, 129, 255, 256, 257])


def _leaves(size: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(size)]


_LEAVES = _leaves(300)


def _half(size: int) -> int:
    half = 1
    while half * 2 < size:
        half *= 2
    return half


def _naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = _half(len(leaves))
    return node_hash(_naive_root(leaves[:k]), _naive_root(leaves[k:]))


def _naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = _half(len(leaves))
    if m < k:
        return [*_naive_path(m, leaves[:k]), _naive_root(leaves[k:])]
    return [*_naive_path(m - k, leaves[k:]), _naive_root(leaves[:k])]


def _naive_subproof(m: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [_naive_root(leaves)]
    k = _half(len(leaves))
    if m <= k:
        return [*_naive_subproof(m, leaves[:k], whole=whole), _naive_root(leaves[k:])]
    return [*_naive_subproof(m - k, leaves[k:], whole=False), _naive_root(leaves[:k])]


def _read(level: int, index: int) -> bytes:
    leaves = _LEAVES[index << level : (index + 1) << level]
    assert len(leaves) == 1 << level, "only complete subtrees are read"
    return _naive_root(leaves)


def _holds(check: Any, *args: Any) -> bool:
    try:
        check(*args)
    except VerificationFailed:
        return False
    return True


def test_empty_root_and_empty_leaf_are_the_published_ones() -> None:
    """The hashes of an empty tree and an empty leaf are those that RFC 6962 fixes."""
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert Frontier().root() == EMPTY_ROOT == tree_root(_read, 0)


def test_frontier_has_the_published_roots() -> None:
    """Each size of the reference tree has the published root."""
    frontier = Frontier()
    for leaf, root in zip(_REFERENCE["leaves"], _REFERENCE["roots"], strict=True):
        frontier.append(leaf_hash(bytes.fromhex(leaf)))
        assert frontier.root().hex() == root


@pytest.mark.parametrize("case", _REFERENCE["inclusion"], ids=lambda case: case["promise"])
def test_inclusion_reference(case: dict[str, Any]) -> None:
    """Published inclusion proofs hold, and their spoiled forms do not."""
    leaf, root, *proof = map(bytes.fromhex, [case["leaf"], case["root"], *case["proof"]])
    assert _holds(verify_inclusion, case["index"], case["size"], leaf, proof, root) == case["holds"]


@pytest.mark.parametrize("case", _REFERENCE["consistency"], ids=lambda case: case["promise"])
def test_consistency_reference(case: dict[str, Any]) -> None:
    """Published consistency proofs hold, and their spoiled forms do not."""
    old_root, new_root, *proof = map(bytes.fromhex, [case["old_root"], case["new_root"], *case["proof"]])
    assert _holds(verify_consistency, case["old"], old_root, case["new"], new_root, proof) == case["holds"]


@pytest.mark.skipif(not _PUBLISHED.is_dir(), reason="lay the published proofs in ../shared/data/merkle")
def test_all_published_vectors() -> None:
    """Every published vector is judged as its authors say."""
    wrong, seen = [], 0
    for path in _PUBLISHED.rglob("*.json"):
        case = json.loads(path.read_text())
        proof = [b64decode(one) for one in case["proof"] or []]
        if "leafIdx" in case:
            leaf, root = b64decode(case["leafHash"]), b64decode(case["root"])
            holds = _holds(verify_inclusion, case["leafIdx"], case["treeSize"], leaf, proof, root)
        else:
            roots = b64decode(case["root1"]), b64decode(case["root2"])
            holds = _holds(verify_consistency, case["size1"], roots[0], case["size2"], roots[1], proof)
        seen += 1
        if holds == case["wantErr"]:
            wrong.append(str(path))
    assert not wrong
    assert seen >= 190


@given(_SIZES)
def test_root_is_the_naive_one(size: int) -> None:
    """Appending one by one and reading subtrees give the root of the definition."""
    frontier = Frontier()
    for leaf in _LEAVES[:size]:
        frontier.append(leaf)
    assert frontier.root() == tree_root(_read, size) == _naive_root(_LEAVES[:size])


@given(_SIZES, st.integers(0, 40))
def test_frontier_goes_on_from_its_bytes(size: int, more: int) -> None:
    """A tree that is restored from its bytes grows like the original."""
    frontier = Frontier()
    for leaf in _LEAVES[:size]:
        frontier.append(leaf)
    data = frontier.to_bytes()
    assert len(data) == 32 * size.bit_count()
    again = Frontier.from_bytes(size, data)
    for leaf in _LEAVES[size : size + more]:
        again.append(leaf)
    assert again.size == size + more
    assert again.root() == _naive_root(_LEAVES[: size + more])


@pytest.mark.parametrize(("size", "length"), [(0, 32), (1, 0), (3, 32), (3, 96), (4, 31), (-1, 32)])
def test_frontier_of_wrong_length_is_refused(size: int, length: int) -> None:
    """The reader refuses a head row whose frontier does not fit its size."""
    with pytest.raises(VerificationFailed):
        Frontier.from_bytes(size, bytes(length))


@given(_SIZES, st.data())
def test_inclusion_proof_is_the_naive_one(size: int, data: st.DataObject) -> None:
    """A proof is the one RFC 6962 defines, and holds."""
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(_read, index, size)
    assert proof == _naive_path(index, _LEAVES[:size])
    verify_inclusion(index, size, _LEAVES[index], proof, _naive_root(_LEAVES[:size]))


@given(_SIZES, st.data())
def test_consistency_proof_is_the_naive_one(size: int, data: st.DataObject) -> None:
    """A consistency proof is the one that RFC 6962 defines, and holds."""
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(_read, old, size)
    assert proof == _naive_subproof(old, _LEAVES[:size], whole=True)
    verify_consistency(old, _naive_root(_LEAVES[:old]), size, _naive_root(_LEAVES[:size]), proof)


@given(_SIZES, st.data())
def test_inclusion_holds_at_one_place_only(size: int, data: st.DataObject) -> None:
    """The proof of one index fails for another index, leaf or root."""
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-1, size + 1))
    proof, root = inclusion_proof(_read, index, size), _naive_root(_LEAVES[:size])
    assert _holds(verify_inclusion, other, size, _LEAVES[index], proof, root) == (other == index)
    assert not _holds(verify_inclusion, index, size, leaf_hash(b"other"), proof, root)
    assert not _holds(verify_inclusion, index, size, _LEAVES[index], proof, leaf_hash(b"other"))


@given(st.integers(2, 70), st.data())
def test_consistency_with_another_past_fails(size: int, data: st.DataObject) -> None:
    """A proof with a changed, dropped, doubled or added hash, or with another old root, fails."""
    old = data.draw(st.integers(1, size - 1))
    proof = consistency_proof(_read, old, size)
    old_root, new_root = _naive_root(_LEAVES[:old]), _naive_root(_LEAVES[:size])
    at = data.draw(st.integers(0, len(proof) - 1))
    spoiled = [
        [*proof[:at], leaf_hash(proof[at]), *proof[at + 1 :]],
        [*proof[:at], *proof[at + 1 :]],
        [*proof[:at], proof[at], *proof[at:]],
        [*proof, new_root],
        [*proof[:at], proof[at][:-1], *proof[at + 1 :]],
    ]
    assert not any(_holds(verify_consistency, old, old_root, size, new_root, one) for one in spoiled)
    assert not _holds(verify_consistency, old, leaf_hash(b"other"), size, new_root, proof)
    assert not _holds(verify_consistency, old, old_root, size, leaf_hash(b"other"), proof)


def test_hashes_of_other_lengths_are_refused() -> None:
    """A proof fails if the border between two children is moved, although the node's hash stays."""
    left, right = _LEAVES[:2]
    root = node_hash(left, right)
    verify_inclusion(0, 2, left, [right], root)
    assert not _holds(verify_inclusion, 0, 2, left + right[:1], [right[1:]], root)
    assert not _holds(verify_inclusion, 0, 2, left + right, [b""], root)
    verify_consistency(1, left, 2, root, [right])
    assert not _holds(verify_consistency, 1, left + right[:1], 2, root, [right[1:]])


def test_proofs_read_few_nodes() -> None:
    """A proof from a log of 2**40 entries reads dozens of nodes."""
    reads: list[tuple[int, int]] = []

    def read(level: int, index: int) -> bytes:
        reads.append((level, index))
        return leaf_hash(b"%d/%d" % (level, index))

    size = 2**40 - 1
    builds: list[Callable[[], list[bytes]]] = [
        lambda: inclusion_proof(read, 12_345_678_901, size),
        lambda: inclusion_proof(read, size - 1, size),
        lambda: consistency_proof(read, 12_345_678_901, size),
        lambda: [tree_root(read, size)],
    ]
    for build in builds:
        reads.clear()
        build()
        assert 0 < len(reads) <= 80


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 4), (4, 4)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    """The tree neither makes nor accepts a proof of an index beyond its size."""
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(_read, index, size)
    assert not _holds(verify_inclusion, index, size, _LEAVES[0], [], _LEAVES[0])


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 4), (5, 4), (-1, 4)])
def test_there_is_no_way_back_in_a_log(old: int, new: int) -> None:
    """The tree makes no consistency proof from nothing or from a longer log."""
    with pytest.raises(ValueError, match="no proof leads"):
        consistency_proof(_read, old, new)

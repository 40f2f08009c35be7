"""Promises of the stored nodes of the hash trees on every database."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from linewarden.audit.anchors import Anchors
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.entry import HEARTBEAT, encode
from linewarden.audit.errors import LogDamaged
from linewarden.audit.merkle import Frontier, leaf_hash, node_hash, subtree_root, verify_consistency, verify_inclusion
from linewarden.audit.model import Head, Unit
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.schema import log_entry, log_node, position_of
from linewarden.audit.tree import Tree
from linewarden.audit.verified import VerifiedEntries
from tests.contract.conftest import SEALS

#: Numbers of entries around the ends of one and of two tiles, and of 256 tiles.
SIZES = (255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537)


@pytest.fixture
def tree(store: LogStore) -> Tree:
    """Return the trees of the store."""
    return Tree(store)


def _entries(count: int, start: int = 0) -> tuple[bytes, ...]:
    return tuple(b"%d" % n for n in range(start, start + count))


def _leaves(entries: tuple[bytes, ...]) -> list[bytes]:
    return [leaf_hash(entry) for entry in entries]


def _naive_root(leaves: list[bytes]) -> bytes:
    """Return the root by the definition of RFC 6962, 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(_naive_root(leaves[:split]), _naive_root(leaves[split:]))


def _rows(engine: sa.Engine, log: int = 1) -> dict[tuple[int, int], bytes]:
    """Return the stored hashes of a log by level and number."""
    with engine.connect() as connection:
        query = sa.select(log_node.c.level, log_node.c.number, log_node.c.hash).where(log_node.c.log == log)
        return {(level, number): bytes(digest) for level, number, digest in connection.execute(query)}


def _change(engine: sa.Engine, statement: sa.Executable) -> None:
    with engine.begin() as connection:
        connection.execute(statement)


def _node(level: int, number: int, log: int = 1) -> "sa.ColumnElement[bool]":
    return sa.and_(log_node.c.log == log, log_node.c.level == level, log_node.c.number == number)


def _entry(index: int, log: int = 1) -> "sa.ColumnElement[bool]":
    return log_entry.c.position == position_of(log, index)


def _recover(store: LogStore, log: int = 1) -> Head:
    """Accept a log as it is, as an operator does."""

    def amendment(head: Head) -> tuple[Head, bytes]:
        return replace(head, generation=head.generation + 1, origin_start=head.size), encode(HEARTBEAT, 1, {})

    return store.amend(log, amendment, lambda _connection, _before, _after: None)


def _checkpoints(store: LogStore, folder: Path) -> Checkpoints:
    return Checkpoints(store, Tree(store), Anchors(folder / "anchors", "test", bytes(32)))


def test_the_nodes_are_those_of_the_tree_at_each_size(store: LogStore, tree: Tree, engine: sa.Engine) -> None:
    """A log has exactly the nodes of its complete subtrees of levels 8 and 16, whichever units its entries came in."""
    entries = _entries(SIZES[-1])
    leaves = _leaves(entries)
    tiles = [subtree_root(leaves[at : at + 256]) for at in range(0, 65_536, 256)]
    for start, stop in pairwise((0, *SIZES)):
        store.append([Unit(1, entries[at : min(at + 8_000, stop)]) for at in range(start, stop, 8_000)])
        expected = {(8, number): root for number, root in enumerate(tiles[: stop // 256])}
        if stop >= 65_536:
            expected[16, 0] = subtree_root(tiles)
        assert _rows(engine) == expected
    assert tree.tiles(1, 0, 257) == [*tiles, None]
    assert tree.node(1, 16, 0) == tree.node_from_leaves(1, 16, 0) == subtree_root(tiles)
    assert tree.node(1, 12, 3) == subtree_root(tiles[48:64])


def test_logs_of_one_transaction_have_their_own_nodes(store: LogStore, tree: Tree) -> None:
    """Units of several logs in one batch store the nodes of each log."""
    ours, theirs = _entries(300), _entries(300, 1_000)
    units = [Unit(log, (entry,)) for pair in zip(ours, theirs, strict=True) for log, entry in enumerate(pair, 1)]
    store.append(units)
    assert tree.tiles(1, 0, 1) == [subtree_root(_leaves(ours[:256]))]
    assert tree.tiles(2, 0, 1) == [subtree_root(_leaves(theirs[:256]))]


def test_a_log_that_cannot_be_appended_to_costs_no_other_its_nodes(
    store: LogStore, tree: Tree, engine: sa.Engine
) -> None:
    """The nodes of a log are stored although another log of the batch is broken."""
    entries = _entries(256)
    _change(engine, sa.insert(log_entry).values(position=position_of(2, 0), leaf_hash=b"", entry=b""))
    results = store.append([Unit(2, (b"x",)), Unit(1, entries)])
    assert isinstance(results[0], Exception)
    assert results[1] == 0
    assert tree.tiles(1, 0, 1) == [subtree_root(_leaves(entries))]


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 600])
def test_proofs_hold_with_and_without_nodes(store: LogStore, engine: sa.Engine, tmp_path: Path, size: int) -> None:
    """Proofs from nodes, and from leaves where nodes were deleted, lead to the root of a naive tree."""
    entries = _entries(600)
    store.append([Unit(1, entries)])
    checkpoints = _checkpoints(store, tmp_path)
    leaves = _leaves(entries)
    root = _naive_root(leaves[:size])
    for keep in (None, 1, 0):
        if keep is not None:
            _change(engine, sa.delete(log_node).where(log_node.c.number >= keep))
        for n in {0, size // 2, size - 1}:
            verify_inclusion(n, size, leaves[n], checkpoints.inclusion(1, n, size), root)
        verify_consistency(size, root, 600, _naive_root(leaves), checkpoints.consistency(1, size, 600))


@pytest.mark.slow
def test_a_large_log_is_proved_from_kept_nodes(store: LogStore, engine: sa.Engine, tmp_path: Path) -> None:
    """Beyond 65,536 entries, nodes of two kept levels and the leaves behind them make one tree."""
    size = 66_000
    entries = _entries(size)
    store.append([Unit(1, entries[start : start + 5_000]) for start in range(0, size, 5_000)])
    checkpoints = _checkpoints(store, tmp_path)
    root = checkpoints.sign(1).checkpoint.root
    old = _naive_root(_leaves(entries[:65_537]))
    for _ in range(2):
        for n in (0, 40_000, size - 1):
            verify_inclusion(n, size, leaf_hash(entries[n]), checkpoints.inclusion(1, n, size), root)
        verify_consistency(65_537, old, size, root, checkpoints.consistency(1, 65_537, size))
        _change(engine, sa.delete(log_node).where(sa.or_(log_node.c.level == 16, log_node.c.number % 16 == 7)))


FORGERIES: dict[str, Callable[[dict[str, object]], dict[str, object]]] = {
    "another hash": lambda _other: {"hash": bytes(32)},
    "the seal of another node": lambda other: {"seal": other["seal"]},
    "another node with its seal": lambda other: {"hash": other["hash"], "seal": other["seal"]},
    "no seal": lambda _other: {"seal": b""},
}


@pytest.mark.parametrize("forged", FORGERIES)
@pytest.mark.parametrize(("log", "number"), [(1, 1), (2, 0)])
def test_a_forged_node_is_not_believed(
    store: LogStore, tree: Tree, engine: sa.Engine, forged: str, log: int, number: int
) -> None:
    """A node that an intruder changed, or moved from another place or log, counts as missing until it is repaired."""
    entries = _entries(512)
    store.append([Unit(1, entries), Unit(2, _entries(256, 1_000))])
    with engine.connect() as connection:
        other = dict(connection.execute(sa.select(log_node).where(_node(8, number, log))).one()._mapping)
    _change(engine, sa.update(log_node).where(_node(8, 0)).values(**FORGERIES[forged](other)))
    right = subtree_root(_leaves(entries[:256]))
    assert tree.tiles(1, 0, 2) == [None, subtree_root(_leaves(entries[256:]))]
    assert tree.node(1, 8, 0) == right
    assert tree.repair(1)
    assert tree.tiles(1, 0, 1) == [right]


def test_values_of_other_types_count_as_missing(store: LogStore, tree: Tree, engine: sa.Engine) -> None:
    """A node or an entry with a number or an undecodable text in place of bytes is missing, and reading goes on."""
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL checks types")
    entries = _entries(512)
    store.append([Unit(1, entries)])
    with engine.begin() as connection:
        for value, number in (("99999999999", 0), ("CAST(x'ff' AS TEXT)", 1)):
            connection.exec_driver_sql(f"UPDATE log_node SET hash = {value} WHERE number = {number}")
            connection.exec_driver_sql(
                f"UPDATE log_entry SET entry = {value} WHERE position = {position_of(1, number)}"
            )
    assert tree.tiles(1, 0, 2) == [None, None]
    assert tree.node(1, 9, 0) == subtree_root(_leaves(entries))
    found = store.stored(1, 0, 512)
    assert found == {n: (leaf_hash(entry), entry) for n, entry in enumerate(entries) if n > 1}
    with pytest.raises(LogDamaged) as damaged:
        list(store.entries(1, 0, 512))
    assert damaged.value.indexes == (0, 1)


def test_a_row_put_there_in_advance_does_not_stop_the_append(store: LogStore, tree: Tree, engine: sa.Engine) -> None:
    """An append replaces a row at the place of its node."""
    _change(engine, sa.insert(log_node).values(log=1, level=8, number=0, hash=bytes(32), seal=bytes(16)))
    entries = _entries(256)
    assert store.append([Unit(1, entries)]) == [0]
    assert tree.tiles(1, 0, 1) == [subtree_root(_leaves(entries))]


def test_a_recovery_seals_the_nodes_again(store: LogStore, engine: sa.Engine) -> None:
    """After a recovery the nodes of the accepted entries hold, and a node of the lost ones does not."""
    accepted, lost = _entries(600), _entries(300, 5_000)
    store.append([Unit(1, accepted)])
    tables = (log_node, log_entry, sa.Table("log_head", sa.MetaData(), autoload_with=engine))
    with engine.connect() as connection:
        kept = [list(map(dict, connection.execute(sa.select(table)).mappings())) for table in tables]
    store.append([Unit(1, lost)])
    with engine.connect() as connection:
        replayed = dict(connection.execute(sa.select(log_node).where(_node(8, 2))).one()._mapping)
    with engine.begin() as connection:
        for table, rows in zip(tables, kept, strict=True):
            connection.execute(sa.delete(table))
            connection.execute(sa.insert(table), rows)
    restored = LogStore(engine, SEALS)
    _recover(restored)
    new = _entries(300, 9_000)
    restored.append([Unit(1, new)])
    restored.close()
    again = LogStore(engine, SEALS)
    leaves = list(again.leaf_hashes(1, 0, again.head(1).size))
    tiles = [subtree_root(leaves[at : at + 256]) for at in (0, 256, 512)]
    assert Tree(again).tiles(1, 0, 3) == tiles
    _change(engine, sa.update(log_node).where(_node(8, 2)).values(replayed))
    assert replayed["hash"] != tiles[2]
    assert Tree(again).tiles(1, 0, 3) == [*tiles[:2], None]
    assert Tree(again).node(1, 8, 2) == tiles[2]
    again.close()


def test_a_recovery_that_completes_a_tile_stores_its_node(store: LogStore, tree: Tree) -> None:
    """The entry that records a recovery completes a tile as any other entry does."""
    store.append([Unit(1, _entries(255))])
    _recover(store)
    assert tree.tiles(1, 0, 1) == [subtree_root(list(store.leaf_hashes(1, 0, 256)))]


def test_a_recovery_needs_no_leaves_of_a_tile_whose_node_is_right(
    store: LogStore, tree: Tree, engine: sa.Engine
) -> None:
    """Nodes that lead to the head are kept although an entry below them is lost; without them there are no nodes."""
    store.append([Unit(1, _entries(600))])
    before = tree.tiles(1, 0, 2)
    _change(engine, sa.delete(log_entry).where(_entry(7)))
    _recover(store)
    assert tree.tiles(1, 0, 2) == before
    _change(engine, sa.delete(log_node).where(_node(8, 0)))
    _recover(store)
    assert _rows(engine) == {}


def test_nodes_are_stored_again_only_if_they_lead_to_the_head(store: LogStore, tree: Tree, engine: sa.Engine) -> None:
    """A repair gives a log all its nodes, and gives none to a log whose leaf hashes were changed."""
    entries = _entries(700)
    store.append([Unit(1, entries)])
    whole = _rows(engine)
    _change(engine, sa.delete(log_node))
    assert store.without_nodes() == [1]
    assert tree.repair(1)
    assert _rows(engine) == whole
    assert tree.tiles(1, 0, 2) == list(whole.values())
    assert store.without_nodes() == []
    _change(engine, sa.delete(log_node))
    _change(engine, sa.update(log_entry).where(_entry(300)).values(entry=b"{}", leaf_hash=leaf_hash(b"{}")))
    assert not tree.repair(1)
    assert _rows(engine) == {}


def test_a_node_that_is_wrong_under_its_seal_is_repaired_from_the_leaves(
    store: LogStore, tree: Tree, engine: sa.Engine, tmp_path: Path
) -> None:
    """The signer believes the leaf hashes and not the nodes where both differ, and stores the right nodes."""
    entries = _entries(300)
    store.append([Unit(1, entries)])
    _checkpoints(store, tmp_path).sign(1)
    seal = SEALS.mac(b"node", (1, 0, 8, 0), bytes(32))[:16]
    _change(engine, sa.update(log_node).where(_node(8, 0)).values(hash=bytes(32), seal=seal))
    assert tree.tiles(1, 0, 1) == [bytes(32)]
    store.append([Unit(1, (b"x",))])
    assert _checkpoints(store, tmp_path).sign(1).checkpoint.size == 301
    assert tree.tiles(1, 0, 1) == [subtree_root(_leaves(entries[:256]))]


def test_a_lost_entry_of_one_tile_stops_no_proof_of_another(store: LogStore, engine: sa.Engine, tmp_path: Path) -> None:
    """Proofs and checkpoints go on beside a lost entry; what needs the lost entry names it."""
    entries = _entries(600)
    store.append([Unit(1, entries)])
    signed = _checkpoints(store, tmp_path).sign(1).checkpoint
    _change(engine, sa.delete(log_entry).where(_entry(10)))
    store.append([Unit(1, (b"x",))])
    checkpoints = _checkpoints(store, tmp_path)
    again = checkpoints.sign(1).checkpoint
    assert again.size == 601
    verify_consistency(600, signed.root, 601, again.root, checkpoints.consistency(1, 600, 601))
    for n in (256, 400, 599):
        verify_inclusion(n, 601, leaf_hash(entries[n]), checkpoints.inclusion(1, n, 601), again.root)
    with pytest.raises(LogDamaged) as damaged:
        checkpoints.inclusion(1, 11, 601)
    assert damaged.value.indexes == (10,)


def test_damage_after_the_last_checkpoint_is_named_and_not_signed_for(
    store: LogStore, engine: sa.Engine, tmp_path: Path
) -> None:
    """The signer names changed entries, and gives the last checkpoint for the entries that it covers."""
    store.append([Unit(1, _entries(300))])
    checkpoints = _checkpoints(store, tmp_path)
    signed = checkpoints.sign(1)
    store.append([Unit(1, _entries(9, 300))])
    changed = sa.update(log_entry).where(_entry(303)).values(entry=b"{}")
    lost = sa.delete(log_entry).where(_entry(305))
    for damage, indexes in ((changed, (303,)), (lost, (305,))):
        _change(engine, damage)
        with pytest.raises(LogDamaged) as damaged:
            checkpoints.sign(1)
        assert damaged.value.indexes == indexes
        assert checkpoints.covering(1, 299) == signed
        with pytest.raises(LogDamaged):
            checkpoints.covering(1, 300)


@pytest.mark.parametrize("size", [256, 512, 65_536])
def test_a_frontier_gives_the_nodes_that_it_completes(size: int) -> None:
    """A leaf that completes a tile grows the frontier as any leaf does."""
    leaves = [leaf_hash(n.to_bytes(4, "big")) for n in range(size)]
    plain, kept = Frontier(), Frontier()
    for leaf in leaves[:-1]:
        plain.append(leaf)
        kept.append(leaf)
    plain.append(leaves[-1])
    nodes = kept.complete_tile(leaves[-1])
    assert kept.to_bytes() == plain.to_bytes()
    assert [(one.level, one.number) for one in nodes] == [(8, size // 256 - 1)] + [(16, 0)] * (size == 65_536)
    assert all(one.hash == subtree_root(leaves[one.number << one.level :]) for one in nodes)


def _verified(store: LogStore) -> VerifiedEntries:
    return VerifiedEntries(store, Tree(store))


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 600), (0, 256), (5, 6), (250, 260), (511, 600), (599, 600), (256, 512)]
)
def test_entries_of_any_range_are_verified(store: LogStore, start: int, stop: int) -> None:
    """A whole log, a part of it and single entries are read as they were appended."""
    entries = _entries(600)
    store.append([Unit(1, entries)])
    assert tuple(_verified(store).entries(1, start, stop)) == entries[start:stop]
    leaves = [leaf for tile in _verified(store).leaves(store.verified_head(1), start, stop) for leaf in tile]
    assert [leaf.entry for leaf in leaves] == list(entries[start:stop])


@pytest.mark.parametrize(("changed", "named"), [(300, range(256, 512)), (580, range(512, 600))])
def test_an_entry_and_its_hash_that_were_changed_are_found_by_the_root(
    store: LogStore, engine: sa.Engine, changed: int, named: range
) -> None:
    """Reading ends before the tile with the changed entry, also the last one, and names the tile."""
    entries = _entries(600)
    store.append([Unit(1, entries)])
    _change(engine, sa.update(log_entry).where(_entry(changed)).values(entry=b"{}", leaf_hash=leaf_hash(b"{}")))
    read: list[bytes] = []
    with pytest.raises(LogDamaged) as damaged:
        read.extend(iter(_verified(store).entries(1, 0, 600)))
    assert damaged.value.indexes == tuple(named)
    for one in (named.start, changed):
        with pytest.raises(LogDamaged) as damaged:
            list(_verified(store).entries(1, one, one + 1))
        assert damaged.value.indexes == tuple(named)
    leaves = [leaf for tile in _verified(store).leaves(store.verified_head(1), 0, 600) for leaf in tile]
    assert [n for n, leaf in enumerate(leaves) if leaf.entry is None] == list(named)


def test_a_missing_entry_is_named_by_reading_its_neighbours(store: LogStore, engine: sa.Engine) -> None:
    """An entry that cannot be verified because another one is missing is not given, and the missing one is named."""
    entries = _entries(600)
    store.append([Unit(1, entries)])
    _change(engine, sa.delete(log_entry).where(_entry(300)))
    for one in (256, 300, 511):
        with pytest.raises(LogDamaged) as damaged:
            list(_verified(store).entries(1, one, one + 1))
        assert damaged.value.indexes == (300,)
    assert tuple(_verified(store).entries(1, 0, 256)) == entries[:256]


def test_a_missing_root_stops_no_reading(store: LogStore, engine: sa.Engine) -> None:
    """Entries of a tile without a stored root are read beside damage elsewhere, up to an entry without its hash."""
    entries = _entries(600)
    store.append([Unit(1, entries)])
    _change(engine, sa.delete(log_node))
    _change(engine, sa.update(log_entry).where(_entry(300)).values(entry=b"{}"))
    read: list[bytes] = []
    with pytest.raises(LogDamaged) as damaged:
        read.extend(iter(_verified(store).entries(1, 0, 600)))
    assert (tuple(read), damaged.value.indexes) == (entries[:300], (300,))

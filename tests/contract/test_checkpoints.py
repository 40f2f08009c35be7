"""Promises of checkpoints on every database."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from linewarden.audit.anchors import Anchors
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.errors import LogDamaged, RolledBack
from linewarden.audit.merkle import leaf_hash, node_hash
from linewarden.audit.model import Unit
from linewarden.audit.note import open_checkpoint
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.schema import log_entry, log_head
from linewarden.audit.tree import Tree
from tests.contract.indexing import beats


def _root(leaves: list[bytes]) -> bytes:
    """Return the root by the definition of RFC 6962, 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(_root(leaves[:split]), _root(leaves[split:]))


def test_a_checkpoint_is_of_the_whole_log_and_of_its_key(store: LogStore, tmp_path: Path) -> None:
    """Each signed checkpoint has the root over every entry, and each later one has it as a prefix."""
    checkpoints = Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32)))
    entries = beats(20)
    for start in range(0, 20, 5):
        store.append([Unit(1, entries[start : start + 5])])
        signed = checkpoints.sign(1)
        opened = open_checkpoint(signed.note, checkpoints.signer(store.head(1)).verifier)
        assert opened == signed.checkpoint
        assert opened.size == start + 5
        assert opened.root == _root([leaf_hash(entry) for entry in entries[: start + 5]])
        assert checkpoints.sign(1) == signed


def test_another_process_goes_on_from_the_anchor(store: LogStore, tmp_path: Path) -> None:
    """The next signer checks the last checkpoint, also in another process."""
    store.append([Unit(1, beats(5))])
    Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32))).sign(1)
    store.append([Unit(1, beats(7))])
    signed = Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32))).sign(1)
    assert signed.checkpoint.size == 12


def test_a_changed_entry_is_not_signed_for(store: LogStore, engine: sa.Engine, tmp_path: Path) -> None:
    """The indexer notices an entry that was changed in the table before its checkpoint, with any stored hash."""
    store.append([Unit(1, beats(5))])
    with engine.begin() as connection:
        connection.execute(sa.update(log_entry).where(log_entry.c.position == (1 << 40) + 3).values(entry=b"{}"))
    with pytest.raises(LogDamaged):
        Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32))).sign(1)


def test_a_log_shorter_than_its_anchor_is_not_signed_for(store: LogStore, engine: sa.Engine, tmp_path: Path) -> None:
    """Both the process that signed and a fresh one refuse an older, restored database."""
    store.append([Unit(1, beats(5))])
    row = sa.select(log_head).where(log_head.c.log == 1)
    with engine.connect() as connection:
        old = connection.execute(row).one()
    store.append([Unit(1, beats(2))])
    checkpoints = Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32)))
    checkpoints.sign(1)
    with engine.begin() as connection:
        connection.execute(sa.delete(log_entry).where(log_entry.c.position >= (1 << 40) + old.size))
        connection.execute(sa.update(log_head).where(log_head.c.log == 1).values(**old._mapping))
    for signer in (checkpoints, Checkpoints(store, Tree(store), Anchors(tmp_path / "anchors", "test", bytes(32)))):
        with pytest.raises(RolledBack):
            signer.sign(1)

"""Signing what a log states of itself, and remembering it where the database cannot take it back.

The last checkpoint of each log stands in a file outside the database. Before another is signed, the log must still have
that checkpoint as a prefix, and the leaf hashes of what came since are computed again from the stored bytes. A database
that is older than its last checkpoint was rolled back; one with another root was changed. Neither is signed for.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from linewarden.audit.errors import LogUnavailable, RolledBack, VerificationFailed
from linewarden.audit.indexer import Indexer
from linewarden.audit.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash
from linewarden.audit.model import Head
from linewarden.audit.note import Checkpoint, Signer, open_checkpoint, sign_checkpoint
from linewarden.audit.store.log import LogStore

#: How long another process may take to sign for the same log, seconds.
LOCK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint with its signed note."""

    checkpoint: Checkpoint
    note: str


class Checkpoints:
    """Signs checkpoints of all logs of one database. The methods block: they belong in a thread.

    `service` is the first part of every origin; `seed` are the 32 bytes of the Ed25519 key; `anchors` is the folder of
    the last checkpoints. Several processes may share it: a file lock orders them.
    """

    def __init__(self, log: LogStore, indexer: Indexer, anchors: Path, service: str, seed: bytes) -> None:
        self._log = log
        self._indexer = indexer
        self._anchors = anchors
        self._service = service
        self._seed = seed
        self._grown: dict[int, Frontier] = {}

    def signer(self, head: Head) -> Signer:
        """The key that signs for a log: one private key for all, under the name of the log's origin."""
        return Signer(f"{self._service}/{head.origin_id}", self._seed)

    def sign(self, log: int) -> Signed:
        """A checkpoint that covers every entry that was committed before this call.

        Raises:
            RolledBack: the log does not have its last checkpoint as a prefix.
            LogUnavailable: a database or the anchor's file failed.
        """
        head = self._log.head(log)
        signer = self.signer(head)
        with self._anchored(signer, head) as (last, write):
            # Again, under the lock: another process may just have signed for entries that the first look did not see.
            head = self._log.head(log)
            grown = self._prefix(head, last)
            for entry in self._log.entries(log, grown.size, head.size):
                grown.append(leaf_hash(entry))
            if grown.to_bytes() != head.frontier:
                self._grown.pop(log, None)
                raise RolledBack("the stored entries are not those that were hashed when they were appended")
            self._grown[log] = grown
            checkpoint = Checkpoint(signer.verifier.name, grown.size, grown.root())
            if last is not None and last.checkpoint == checkpoint:
                return last
            note = sign_checkpoint(checkpoint, signer)
            write(note)
            return Signed(checkpoint, note)

    def inclusion(self, log: int, index: int, size: int) -> list[bytes]:
        """The RFC 6962 inclusion proof of an entry in the log of that size.

        Raises:
            LogUnavailable: a database failed.
        """
        return inclusion_proof(lambda level, number: self._indexer.node(log, level, number), index, size)

    def consistency(self, log: int, old: int, size: int) -> list[bytes]:
        """The RFC 6962 consistency proof between two sizes of a log.

        Raises:
            LogUnavailable: a database failed.
            ValueError: `old` is 0 or larger than `size`.
        """
        return consistency_proof(lambda level, number: self._indexer.node(log, level, number), old, size)

    def _prefix(self, head: Head, last: Signed | None) -> Frontier:
        """The frontier of what was signed last, checked; the empty one if nothing was."""
        if last is None:
            return Frontier()
        checkpoint = last.checkpoint
        if checkpoint.size > head.size:
            raise RolledBack("the log is shorter than its last checkpoint")
        known = self._grown.get(head.log)
        if known is not None and known.size == checkpoint.size:
            self._check(known, checkpoint)
            return Frontier.from_bytes(known.size, known.to_bytes())
        nodes = (self._indexer.node(head.log, level, number) for level, number in _complete(checkpoint.size))
        grown = Frontier.from_bytes(checkpoint.size, b"".join(nodes))
        if grown.root() != checkpoint.root:
            # The index may be wrong where the log is not: only what the log itself says is held against it.
            leaves = (self._indexer.node_from_leaves(head.log, *node) for node in _complete(checkpoint.size))
            grown = Frontier.from_bytes(checkpoint.size, b"".join(leaves))
            self._check(grown, checkpoint)
            self._indexer.forget(head.log)
        return grown

    @staticmethod
    def _check(grown: Frontier, checkpoint: Checkpoint) -> None:
        if grown.size != checkpoint.size or grown.root() != checkpoint.root:
            raise RolledBack("the log is not the one its last checkpoint speaks of")

    @contextmanager
    def _anchored(self, signer: Signer, head: Head) -> Iterator[tuple[Signed | None, Callable[[str], None]]]:
        """The last checkpoint of a log and the way to replace it, under a lock between processes."""
        path = self._anchors / f"{head.origin_id}.checkpoint"
        try:
            self._anchors.mkdir(parents=True, exist_ok=True)
            lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LogUnavailable("the folder of checkpoints cannot be used") from error
        try:
            _lock(lock)
            yield self._read(path, signer), lambda note: _replace(path, note)
        except OSError as error:
            raise LogUnavailable("the last checkpoint cannot be read or written") from error
        finally:
            os.close(lock)

    @staticmethod
    def _read(path: Path, signer: Signer) -> Signed | None:
        try:
            note = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            return Signed(open_checkpoint(note, signer.verifier), note)
        except VerificationFailed as error:
            raise RolledBack("the last checkpoint is not one of this service's key") from error


def _complete(size: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees over the first `size` leaves, the largest first, as (level, number)."""
    start = 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            yield level, start >> level
            start += 1 << level


def _lock(file: int) -> None:
    """Lock a file, or raise OSError when another process holds it for long."""
    until = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _replace(path: Path, text: str) -> None:
    # A crash leaves the old checkpoint or the new one, never half of either.
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""Signing checkpoints of logs, and storing the last one of each log outside the database.

Before a log is signed, it must still have its last checkpoint as a prefix, and the leaf hashes of all later entries are
computed again from the stored bytes. A log that is shorter than its last checkpoint was rolled back, and a log with
another root was changed. Neither is signed.
"""

from collections.abc import Iterator, Sequence

from linewarden.audit.anchors import Anchors, Signed
from linewarden.audit.continuity import complete_subtrees
from linewarden.audit.errors import AuditError, LogDamaged, LogUnavailable, RolledBack
from linewarden.audit.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash
from linewarden.audit.model import Head
from linewarden.audit.note import Checkpoint, Signer, sign_checkpoint
from linewarden.audit.store.entry_rows import changed_entries
from linewarden.audit.store.log import LogStore
from linewarden.audit.tree import Tree


class Checkpoints:
    """The signer of checkpoints for all logs of one database. Its methods block, so call them in a thread."""

    def __init__(self, log: LogStore, tree: Tree, anchors: Anchors) -> None:
        self._log = log
        self._tree = tree
        self._anchors = anchors
        self._grown: dict[int, Frontier] = {}

    def signer(self, head: Head) -> Signer:
        """Return the key that signs for a log: one private key for all, under the name of the log's origin."""
        return self._anchors.signer(head.origin_id)

    def sign(self, log_id: int) -> Signed:
        """Sign a checkpoint that covers every entry committed before this call, and store it as the anchor.

        Raises:
            RolledBack: the log does not have its last checkpoint as a prefix.
            LogDamaged: a stored entry is missing, or is not the one that was hashed when it was appended.
            LogUnavailable: a database or the anchor's file failed.
        """
        head = self._log.admitted_head(log_id)
        signer = self.signer(head)
        with self._anchors.locked(head.origin_id) as (last, write):
            # Read again under the lock, because another process may have signed for entries appended since.
            signed = self._signed(self._log.verified_head(log_id), signer, last)
            if signed is not last:
                write(signed)
            return signed

    def sign_together(self, log_ids: Sequence[int]) -> dict[int, Signed | Exception]:
        """Sign checkpoints of several logs as `sign` does, waiting for the disk once. Return its results and errors.

        Logs are left out while another process signs for them.

        Raises:
            LogUnavailable: the database or the folder of the anchors failed. Some anchors may have been replaced.
        """
        results: dict[int, Signed | Exception] = {}
        origins = {head.log: head.origin_id for head in self._unsigned(log_ids, results)}
        with self._anchors.locked_together(origins.values()) as (locked, write):
            fresh: dict[str, Signed] = {}
            # Read again under the locks, because another process may have signed for entries appended since.
            ours = [log_id for log_id, origin_id in origins.items() if origin_id in locked]
            for log_id, head in self._log.verified_heads(ours).items():
                origin_id = origins[log_id]
                try:
                    last = self._anchors.last(origin_id)
                    signed = self._signed(_sound(head), self._anchors.signer(origin_id), last)
                except Exception as fault:  # noqa: BLE001 - an error of one log must not stop the work on the others
                    results[log_id] = fault
                    continue
                results[log_id] = signed
                if signed is not last:
                    fresh[origin_id] = signed
            numbers = {origin_id: log_id for log_id, origin_id in origins.items()}
            for origin_id, error in (write(fresh) if fresh else {}).items():
                results[numbers[origin_id]] = _unwritten(error)
        return results

    def _unsigned(self, log_ids: Sequence[int], results: dict[int, Signed | Exception]) -> Iterator[Head]:
        """Yield the heads of the logs to be signed, and add the results of the others.

        After a start most logs have their last checkpoint, as the sealed head shows, and need not be admitted.
        """
        for log_id, found in self._log.verified_heads(log_ids).items():
            try:
                head = _sound(found)
                last = self._anchors.last(head.origin_id)
                if last is not None and _is_of(last.checkpoint, head):
                    results[log_id] = last
                else:
                    yield head if self._log.marks.seen(log_id) else self._log.admitted_head(log_id)
            except AuditError as error:
                results[log_id] = error

    def _signed(self, head: Head, signer: Signer, last: Signed | None) -> Signed:
        """Return the checkpoint of a log, which is `last` if that covers all entries."""
        grown = self._prefix(head, last)
        known = grown.size
        for entry in self._log.entries(head.log, known, head.size):
            grown.append(leaf_hash(entry))
        if grown.to_bytes() != head.frontier:
            self._grown.pop(head.log, None)
            raise changed_entries(self._log.damaged(head.log, known, head.size))
        self._grown[head.log] = grown
        checkpoint = Checkpoint(signer.verifier.name, grown.size, grown.root())
        if last is not None and last.checkpoint == checkpoint:
            return last
        return Signed(checkpoint, sign_checkpoint(checkpoint, signer))

    def covering(self, log_id: int, index: int) -> Signed:
        """Return what `sign` returns; if a later entry is damaged, the last checkpoint that covers entry `index`.

        Raises:
            LogDamaged: a stored entry is damaged, and no checkpoint covers entry `index`.
            RolledBack, LogUnavailable: as `sign` does.
        """
        try:
            return self.sign(log_id)
        except LogDamaged:
            last = self._anchors.last(self._log.admitted_head(log_id).origin_id)
            if last is None or last.checkpoint.size <= index:
                raise
            return last

    def inclusion(self, log_id: int, index: int, size: int) -> list[bytes]:
        """Return the RFC 6962 inclusion proof of an entry in the log of that size.

        Raises:
            LogDamaged: leaf hashes are missing that the proof needs.
            LogUnavailable: the database failed.
        """
        return inclusion_proof(lambda level, number: self._tree.node(log_id, level, number), index, size)

    def consistency(self, log_id: int, old: int, size: int) -> list[bytes]:
        """Return the RFC 6962 consistency proof between two sizes of a log.

        Raises:
            LogDamaged: leaf hashes are missing that the proof needs.
            LogUnavailable: the database failed.
            ValueError: `old` is 0 or larger than `size`.
        """
        return consistency_proof(lambda level, number: self._tree.node(log_id, level, number), old, size)

    def _prefix(self, head: Head, last: Signed | None) -> Frontier:
        """Return the verified frontier of the last checkpoint; an empty frontier if there is none."""
        if last is None:
            return Frontier()
        checkpoint = last.checkpoint
        if checkpoint.size > head.size:
            raise RolledBack("is shorter than its last checkpoint", head.log, expected=checkpoint.size, found=head.size)
        known = self._grown.get(head.log)
        if known is not None and known.size == checkpoint.size:
            self._check(known, checkpoint, head)
            return Frontier.from_bytes(known.size, known.to_bytes())
        nodes = (self._tree.node(head.log, level, number) for level, number in complete_subtrees(checkpoint.size))
        grown = Frontier.from_bytes(checkpoint.size, b"".join(nodes))
        if grown.root() != checkpoint.root:
            # A stored node may be wrong although the log is right, so only its leaf hashes count against the log.
            leaves = (self._tree.node_from_leaves(head.log, *node) for node in complete_subtrees(checkpoint.size))
            grown = Frontier.from_bytes(checkpoint.size, b"".join(leaves))
            self._check(grown, checkpoint, head)
            self._tree.repair(head.log)
        return grown

    @staticmethod
    def _check(grown: Frontier, checkpoint: Checkpoint, head: Head) -> None:
        if grown.size != checkpoint.size or grown.root() != checkpoint.root:
            raise RolledBack("is not that of its last checkpoint", head.log, expected=checkpoint.size, found=head.size)


def _sound(head: Head | AuditError) -> Head:
    if isinstance(head, AuditError):
        raise head
    return head


def _is_of(checkpoint: Checkpoint, head: Head) -> bool:
    return checkpoint.size == head.size and checkpoint.root == Frontier.from_bytes(head.size, head.frontier).root()


def _unwritten(error: OSError) -> LogUnavailable:
    fault = LogUnavailable("the last checkpoint of the log in anchor_dir cannot be written")
    fault.__cause__ = error
    return fault

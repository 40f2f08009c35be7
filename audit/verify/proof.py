"""Verifying single statements about a log without the log."""

from collections.abc import Sequence
from dataclasses import dataclass

from linewarden.audit.entryproof import EntryProof
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from linewarden.audit.note import Checkpoint, Verifier, open_checkpoint


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """The index of a proven entry, and the signed checkpoint that the proof refers to."""

    index: int
    checkpoint: Checkpoint


def verify_entry(entry: bytes, proof: str, verifier_key: str) -> ProvenEntry:
    """Verify with a c2sp.org/tlog-proof@v1 text that the bytes are an entry of the log of the key.

    Raises:
        VerificationFailed: the bytes are no such entry, the text is malformed, or the key did not sign its checkpoint.
    """
    parsed = EntryProof.parse(proof)
    checkpoint = open_checkpoint(parsed.checkpoint, Verifier.parse(verifier_key))
    verify_inclusion(parsed.index, checkpoint.size, leaf_hash(entry), parsed.path, checkpoint.root)
    return ProvenEntry(parsed.index, checkpoint)


def verify_growth(old_checkpoint: str, new_checkpoint: str, proof: Sequence[bytes], verifier_key: str) -> None:
    """Verify with a consistency proof that the log of the old checkpoint is a prefix of the log of the new one.

    An empty log is a prefix of every log; its proof is empty.

    Raises:
        VerificationFailed: it is no prefix, or the key did not sign one of the checkpoints.
    """
    verifier = Verifier.parse(verifier_key)
    old, new = open_checkpoint(old_checkpoint, verifier), open_checkpoint(new_checkpoint, verifier)
    if old.size > 0:
        verify_consistency(old.size, old.root, new.size, new.root, proof)
    elif proof or old.root != EMPTY_ROOT or (new.size == 0 and new.root != EMPTY_ROOT):
        raise VerificationFailed("the old checkpoint is of an empty log, but its root or the proof is not")

"""The proof of one entry as text for a third party: c2sp.org/tlog-proof@v1."""

from dataclasses import dataclass
from typing import Self

from linewarden.audit.canonical_text import check_text, from_base64, from_base64_hash, from_decimal, to_base64
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.note import MAX_NOTE_LENGTH

#: A proof is a note with at most 63 hashes, an index and opaque extra data before it.
MAX_PROOF_LENGTH = 2 * MAX_NOTE_LENGTH

_START = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class EntryProof:
    """The proof that an entry is in the log: its index, the hashes from its sibling upwards, and a signed checkpoint.

    `extra` is free for the sender of the proof. No signature covers it.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text of a proof. Neither the path nor the signature is checked here.

        Raises:
            VerificationFailed: the text is malformed.
        """
        check_text(text, MAX_PROOF_LENGTH, "the proof")
        head, _, checkpoint = text.partition("\n\n")
        start, *lines = head.split("\n")
        if start != _START or not lines:
            raise VerificationFailed(f"the proof does not begin with {_START!r} and an index")
        extra = b""
        if lines[0].startswith("extra "):
            extra = from_base64(lines.pop(0).removeprefix("extra "), "the proof's extra data")
            if not extra:
                raise VerificationFailed("the proof has a line for extra data without data")
        if not lines or not lines[0].startswith("index "):
            raise VerificationFailed("the proof has no index")
        index = from_decimal(lines[0].removeprefix("index "), "the proof's index")
        return cls(index, tuple(from_base64_hash(line, "a hash of the proof") for line in lines[1:]), checkpoint, extra)

    def __str__(self) -> str:
        extra = [f"extra {to_base64(self.extra)}"] if self.extra else []
        lines = [_START, *extra, f"index {self.index}", *map(to_base64, self.path)]
        return "\n".join(lines) + "\n\n" + self.checkpoint

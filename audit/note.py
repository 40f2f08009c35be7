"""Signed notes and the checkpoints in them, which a third party can verify.

Formats: C2SP signed-note with Ed25519 keys in the text form of Go's sumdb/note, and C2SP tlog-checkpoint. The name of
the key that signs a checkpoint is the log's origin. So a verifier key identifies its log, and a checkpoint of another
log does not verify with it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from linewarden.audit.canonical_text import check_text, from_base64, from_base64_hash, from_decimal, is_clean, to_base64
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import HASH_BYTES

#: Most characters of a note. A hundred post-quantum signatures fit in.
MAX_NOTE_LENGTH = 1_000_000

_MAX_SIGNATURES = 100
_ED25519 = b"\x01"
_SIGNATURE_START = "\N{EM DASH} "
_PRIVATE_START = "PRIVATE+KEY+"
_KEY = re.compile(r"([^+]*)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]*)")


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with which notes are verified. `str()` is its text: name, key id and key, joined by `+`."""

    name: str
    public_key: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text of a key.

        Raises:
            VerificationFailed: the text is malformed, of another algorithm, or its id is not that of the key.
        """
        name, key_id, public_key = _parse_key(text)
        verifier = cls(name, public_key)
        if verifier.key_id != key_id:
            raise VerificationFailed("the id in the key's text is not that of the key")
        return verifier

    @property
    def key_id(self) -> bytes:
        """Four bytes that distinguish keys of one name. They are no protection against forgery."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[:4]

    def verify(self, signature: bytes, text: str) -> None:
        """Check a bare Ed25519 signature over the UTF-8 bytes of `text`.

        Raises:
            VerificationFailed: the signature is not of this key.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            raise VerificationFailed(f"the signature of {self.name!r} is wrong") from None

    def __str__(self) -> str:
        return _key_text(self.name, self.key_id, self.public_key)


class Signer:
    """A private key that signs notes, from the 32 bytes of an Ed25519 seed.

    Raises:
        ValueError: the seed has another length, or the name is empty or has a space or `+` in it.
    """

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        if not _is_name(name):
            raise ValueError("the name of a key must not be empty or have spaces, `+` or control characters")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a text that `secret_text` returned.

        Raises:
            VerificationFailed: the text is malformed, of another algorithm, or its id is not that of the key.
        """
        if not text.startswith(_PRIVATE_START):
            raise VerificationFailed("the text is not that of a private key")
        name, key_id, seed = _parse_key(text.removeprefix(_PRIVATE_START))
        signer = cls(name, seed)
        if signer.verifier.key_id != key_id:
            raise VerificationFailed("the id in the key's text is not that of the key")
        return signer

    def secret_text(self) -> str:
        """Return the private key as text: `PRIVATE+KEY+`, and then like a verifier's. It must be kept secret."""
        verifier = self.verifier
        return _PRIVATE_START + _key_text(verifier.name, verifier.key_id, self._key.private_bytes_raw())

    def sign(self, text: str) -> str:
        """Return the signature line of a note with this text."""
        signature = self.verifier.key_id + self._key.sign(text.encode())
        return f"{_SIGNATURE_START}{self.verifier.name} {to_base64(signature)}\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint: the origin of a log, its number of entries, and the root over them. `str()` is the note's text."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"


def sign_note(text: str, signer: Signer) -> str:
    """Return the text with its signature.

    Raises:
        ValueError: the text has no newline at its end, or has a control character in it.
    """
    if not text.endswith("\n") or not is_clean(text):
        raise ValueError("the text of a note must end in a newline and have no other control characters")
    return f"{text}\n{signer.sign(text)}"


def open_note(note: str, verifier: Verifier) -> str:
    """Verify that the key signed a note, and return the note's text. Signatures of other keys are ignored.

    Raises:
        VerificationFailed: the note is malformed, the key did not sign it, or a signature of the key is wrong.
    """
    check_text(note, MAX_NOTE_LENGTH, "the note")
    head, gap, foot = note.rpartition("\n\n")
    if not gap or not foot.endswith("\n"):
        raise VerificationFailed("the note has no signatures")
    text, known = head + "\n", False
    for name, key_id, signature in _signatures(foot):
        if (name, key_id) == (verifier.name, verifier.key_id):
            verifier.verify(signature, text)
            known = True
    if not known:
        raise VerificationFailed(f"the note is not signed by {verifier.name!r} with the key given")
    return text


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """Return the checkpoint as a signed note.

    Raises:
        ValueError: the signer's name is not the checkpoint's origin, or a value of the checkpoint is out of range.
    """
    sound = len(checkpoint.root) == HASH_BYTES and 0 <= checkpoint.size < 1 << 63
    if not sound or checkpoint.origin != signer.verifier.name:
        raise ValueError("the checkpoint is of another origin than the key, or its root or size is out of range")
    return sign_note(str(checkpoint), signer)


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """Verify a signed note and return the checkpoint in it. The signature covers extension lines, which are ignored.

    Raises:
        VerificationFailed: the note does not verify, is not a checkpoint, or is the checkpoint of another log.
    """
    lines = open_note(note, verifier).removesuffix("\n").split("\n")
    if len(lines) < 3 or "" in lines:
        raise VerificationFailed("the note is not a checkpoint")
    origin, size, root = lines[:3]
    if origin != verifier.name:
        raise VerificationFailed(f"the checkpoint is of {origin!r}, the key of {verifier.name!r}")
    return Checkpoint(
        origin, from_decimal(size, "the checkpoint's size"), from_base64_hash(root, "the checkpoint's root")
    )


def _signatures(foot: str) -> Iterator[tuple[str, bytes, bytes]]:
    lines = foot.removesuffix("\n").split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise VerificationFailed(f"the note has more than {_MAX_SIGNATURES} signatures")
    for line in lines:
        name, _, encoded = line.removeprefix(_SIGNATURE_START).partition(" ")
        signature = from_base64(encoded, "a signature of the note")
        if not line.startswith(_SIGNATURE_START) or not _is_name(name) or len(signature) < 5:
            raise VerificationFailed("a signature line of the note is malformed")
        yield name, signature[:4], signature[4:]


def _is_name(name: str) -> bool:
    return bool(name) and not any(char.isspace() or char < " " or char == "+" for char in name)


def _key_text(name: str, key_id: bytes, key: bytes) -> str:
    return f"{name}+{key_id.hex()}+{to_base64(_ED25519 + key)}"


def _parse_key(text: str) -> tuple[str, bytes, bytes]:
    check_text(text, MAX_NOTE_LENGTH, "the key")
    match = _KEY.fullmatch(text)
    if match is None or not _is_name(match[1]):
        raise VerificationFailed("the key's text is not of the form name+id+key")
    key = from_base64(match[3], "the key")
    if key[:1] != _ED25519 or len(key) != 33:
        raise VerificationFailed("the key is not an Ed25519 key")
    return match[1], bytes.fromhex(match[2]), key[1:]

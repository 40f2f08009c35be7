"""Keys of persons: made, wrapped, and used to seal personal values.

Each person has 64 random bytes: half encrypts, half makes references to items. They are stored wrapped by the
key-encryption key, which lives outside the database. Deleting a person's row therefore makes every sealed value of that
person unreadable, in the log, in its exports and in old backups, while no byte of the log changes.

A reference to an item is a MAC under the owner's own key, so that it dies with it; a hash, or a MAC under a key shared
by all, could be tried out against every phone number in hours.

Rows that the server believes, such as statements of a policy, are sealed: a MAC under a key derived from the
key-encryption key says that the service wrote them. Whoever can write the database, and has not that key, cannot make
one.
"""

import hmac
import os
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b, sha256
from pathlib import Path
from typing import NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from linewarden.audit.errors import VerificationFailed

_NONCE = 12
_OPENING = 16

#: Sums of MACs are counted modulo this.
SUMS = 1 << 256

_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class Sealed(NamedTuple):
    """Personal values of one person as they stand in an entry.

    `ciphertext` is nonce ‖ AES-256-GCM(opening ‖ JSON of the values); `commitment` is HMAC-SHA256(opening, JSON of the
    values), so that whoever was shown the opening and the values can check them against the entry without any key.
    """

    sid: str
    ciphertext: str
    commitment: str

    def as_json(self) -> dict[str, str]:
        """Return the form in an entry; bytes are base64."""
        return {"commit": self.commitment, "ct": self.ciphertext, "sid": self.sid}


class Person:
    """A pseudonym with its keys. `sid` is random and says nothing about the person."""

    __slots__ = ("_cipher", "_reference_key", "sid")

    def __init__(self, sid: str, keys: bytes) -> None:
        self.sid = sid
        self._cipher = AESGCM(keys[:32])
        self._reference_key = keys[32:]

    def seal(self, values: Mapping[str, str], randomness: bytes) -> Sealed:
        """Encrypt values under this person's key; `randomness` is 28 fresh random bytes."""
        nonce, opening = randomness[:_NONCE], randomness[_NONCE:]
        plain = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
        ciphertext = nonce + self._cipher.encrypt(nonce, opening + plain, self.sid.encode())
        commitment = _hmac(opening, plain)
        return Sealed(
            self.sid,
            b2a_base64(ciphertext, newline=False).decode(),
            b2a_base64(commitment, newline=False).decode(),
        )

    def open(self, ciphertext: str, commitment: str) -> dict[str, str]:
        """Return the sealed values.

        Raises:
            VerificationFailed: the ciphertext is not one of this person, or the commitment is not to these values.
        """
        raw = a2b_base64(ciphertext)
        try:
            plain = self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], self.sid.encode())
        except InvalidTag:
            raise VerificationFailed("a sealed value does not open under its person's key") from None
        opening, values = plain[:_OPENING], plain[_OPENING:]
        if not hmac.compare_digest(_hmac(opening, values), a2b_base64(commitment)):
            raise VerificationFailed("a sealed value is not the one its commitment states")
        return dict(orjson.loads(values))

    def reference(self, type: str, id: str) -> str:
        """Return the pseudonym of an item of this person: 16 characters."""
        # Keyed BLAKE2b is a MAC by design (RFC 7693, 2.9), in one call where HMAC takes two hashes.
        return blake2b(f"{type}\0{id}".encode(), digest_size=8, key=self._reference_key).hexdigest()


class RowMac:
    """MACs over rows of the database, under a key that is not in it.

    All are keyed BLAKE2b, as in `Person.reference`: a million rows take half the time of HMAC-SHA256. `purpose`, of at
    most 16 bytes, keeps those of different rows apart.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mac(self, purpose: bytes, fields: Sequence[object], data: bytes = b"") -> bytes:
        """32 bytes over fields, which are texts, whole numbers, None and lists of these, and bytes that follow."""
        return blake2b(orjson.dumps(fields) + b"\0" + data, digest_size=32, key=self._key, person=purpose).digest()

    def sum(self, purpose: bytes, rows: Iterable[str]) -> int:
        """Return the sum of a MAC of each row, modulo 2²⁵⁶: of a set, whatever its order, and changed as the set is.

        It is never stored in clear. Out of sums, or MACs, that are known, another set with the same sum could be put
        together (Wagner, A Generalized Birthday Problem, 2002); hidden as in `masked` it is the MSet-Add-Hash of
        Clarke et al., Incremental Multiset Hash Functions, 2003.
        """
        begun = blake2b(digest_size=32, key=self._key, person=purpose)
        total = 0
        for row in rows:
            one = begun.copy()
            one.update(row.encode("utf-8", "surrogatepass"))
            total += int.from_bytes(one.digest())
        return total % SUMS

    def masked(self, purpose: bytes, total: int, nonce: bytes) -> bytes:
        """Return a sum as it may be stored: with a number added that follows from the key and a fresh random nonce."""
        return ((total + self._mask(purpose, nonce)) % SUMS).to_bytes(32)

    def unmasked(self, purpose: bytes, stored: bytes, nonce: bytes) -> int:
        """Return the sum that was stored so."""
        return (int.from_bytes(stored) - self._mask(purpose, nonce)) % SUMS

    def _mask(self, purpose: bytes, nonce: bytes) -> int:
        return int.from_bytes(self.mac(purpose + b" mask", (), nonce))


class Keyring:
    """What the key-encryption key is good for: wrapping persons' keys, finding persons and items by name, row_mac."""

    def __init__(self, key_encryption_key: bytes) -> None:
        if len(key_encryption_key) != 32:
            raise ValueError("the key-encryption key has 32 bytes")
        self._wrap = AESGCM(_derive(key_encryption_key, b"linewarden/v1/wrap"))
        self._lookup = _derive(key_encryption_key, b"linewarden/v1/look-up")
        self.row_mac = RowMac(_derive(key_encryption_key, b"linewarden/v1/seal"))

    def wrap(self, log_id: int, sid: str, keys: bytes) -> bytes:
        """Encrypt a person's keys for storage."""
        nonce = os.urandom(_NONCE)
        return nonce + self._wrap.encrypt(nonce, keys, f"{log_id}/{sid}".encode())

    def unwrap(self, log_id: int, sid: str, wrapped: bytes) -> Person:
        """Return the person whose wrapped keys these are.

        Raises:
            VerificationFailed: they were wrapped under another key-encryption key, or for another person.
        """
        try:
            return Person(sid, self._wrap.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], f"{log_id}/{sid}".encode()))
        except InvalidTag:
            raise VerificationFailed("a person's key does not open under this key-encryption key") from None

    def name_token(self, log_id: int, name: str) -> bytes:
        """What a person's row is found by; stands in mutable tables only."""
        return hmac.digest(self._lookup, f"{log_id}/person\0{name}".encode(), "sha256")

    def item_token(self, log_id: int, type: str, id: str) -> bytes:
        """What the entries of an item are found by; stands in mutable tables only."""
        return hmac.digest(self._lookup, f"{log_id}/{type}\0{id}".encode(), "sha256")[:16]

    def seal_name(self, person: Person, name: str) -> bytes:
        """Return a person's name for its row, under the person's own key."""
        sealed = person.seal({"name": name}, os.urandom(28))
        return orjson.dumps(sealed.as_json())

    def open_name(self, person: Person, sealed: bytes) -> str:
        """Return the name in a person's row.

        Raises:
            VerificationFailed: it is not this person's.
        """
        parts = orjson.loads(sealed)
        return person.open(parts["ct"], parts["commit"])["name"]


def new_person_keys() -> tuple[str, bytes]:
    """Return a fresh pseudonym and fresh keys."""
    return os.urandom(8).hex(), os.urandom(64)


def load_key_encryption_key(path: Path) -> Keyring:
    """Read the key-encryption key: 32 bytes as base64 in one line.

    Raises:
        ValueError: the file does not hold that.
        OSError: it cannot be read.
    """
    return Keyring(a2b_base64(path.read_bytes().strip()))


def new_key_encryption_key() -> bytes:
    """Return a fresh key-encryption key as the text of its file."""
    return b2a_base64(os.urandom(32))


def _hmac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) for keys of at most 64 bytes.

    `hmac.digest` gives the interpreter lock away for each call, which beside a busy writer costs ten times the hash.
    """
    block = key.ljust(64, b"\0")
    inner = sha256(block.translate(_INNER) + message).digest()
    return sha256(block.translate(_OUTER) + inner).digest()


def _derive(key: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key)

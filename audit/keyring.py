"""Keys of persons, the values sealed under them, and the MACs of rows.

Each person has 64 random bytes. One half encrypts values, the other half makes references to items. They are stored
wrapped by the key-encryption key, which is kept outside the database. So deleting a person's row makes every sealed
value of that person unreadable, in the log, in its exports and in old backups, and changes no byte of the log.

A reference to an item is a MAC under the owner's own key, so that it is erased with that key. A hash, or a MAC under a
shared key, could be tried against every phone number within hours.

Rows on which the server relies, such as statements of a policy, are sealed with a MAC under a key derived from the
key-encryption key. An intruder who can write the database but does not have that key cannot forge them.
"""

import hmac
import os
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from linewarden.audit.errors import VerificationFailed

_NONCE = 12
_OPENING = 16

#: Bytes of a term of the search index.
TERM_BYTES = 7

#: Sums of MACs are counted modulo this.
SUMS = 1 << 256

_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class Sealed(NamedTuple):
    """The personal values of one person as an entry states them.

    `ciphertext` is nonce ‖ AES-256-GCM(opening ‖ JSON of the values). `commitment` is HMAC-SHA256(opening, JSON of the
    values). So an auditor who is given the opening and the values can check them against the entry without a key.
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
            VerificationFailed: the ciphertext is not of this person, or the commitment is not to these values.
        """
        opening, values = self._decrypted(ciphertext)
        if not hmac.compare_digest(_hmac(opening, values), a2b_base64(commitment)):
            raise VerificationFailed("a sealed value does not match its commitment")
        return dict(orjson.loads(values))

    def values(self, ciphertext: str) -> dict[str, str]:
        """Return the sealed values without comparing them with their commitment.

        Raises:
            VerificationFailed: the ciphertext is not of this person.
        """
        return dict(orjson.loads(self._decrypted(ciphertext)[1]))

    def _decrypted(self, ciphertext: str) -> tuple[bytes, bytes]:
        raw = a2b_base64(ciphertext)
        try:
            plain = self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], self.sid.encode())
        except InvalidTag:
            raise VerificationFailed("a sealed value does not open under its person's key") from None
        return plain[:_OPENING], plain[_OPENING:]

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
        """Return 32 bytes over `fields`, which are texts, whole numbers, None and lists of these, and over `data`."""
        return blake2b(orjson.dumps(fields) + b"\0" + data, digest_size=32, key=self._key, person=purpose).digest()

    def sum(self, purpose: bytes, rows: Iterable[str]) -> int:
        """Return the sum of the MACs of the rows, modulo 2²⁵⁶. It represents a set: the order does not matter.

        The sum is never stored in clear, because an intruder could construct another set with the same sum from known
        sums or MACs (Wagner, A Generalized Birthday Problem, 2002). Hidden as in `masked` it is the MSet-Add-Hash of
        Clarke et al., Incremental Multiset Hash Functions, 2003.
        """
        keyed = blake2b(digest_size=32, key=self._key, person=purpose)
        total = 0
        for row in rows:
            mac = keyed.copy()
            mac.update(row.encode("utf-8", "surrogatepass"))
            total += int.from_bytes(mac.digest())
        return total % SUMS

    def masked(self, purpose: bytes, total: int, nonce: bytes) -> bytes:
        """Return a sum as it may be stored: plus a number derived from the key and a fresh random nonce."""
        return ((total + self._mask(purpose, nonce)) % SUMS).to_bytes(32)

    def unmasked(self, purpose: bytes, stored: bytes, nonce: bytes) -> int:
        """Return the sum that `masked` made the stored bytes of."""
        return (int.from_bytes(stored) - self._mask(purpose, nonce)) % SUMS

    def _mask(self, purpose: bytes, nonce: bytes) -> int:
        return int.from_bytes(self.mac(purpose + b" mask", (), nonce))


class Terms:
    """The terms of one log's index: keyed hashes of a field and its value. Only the index may contain them.

    A term has 56 bits. Values that collide by chance are told apart by their entries.
    """

    def __init__(self, key: bytes, log_id: int) -> None:
        self._key = key
        self._salt = log_id.to_bytes(8)
        self._fields: dict[str, Any] = {}

    def of(self, field: str, value: str) -> bytes:
        """Return the term of a value. `field` has at most 16 bytes."""
        keyed = self._fields.get(field)
        if keyed is None:
            keyed = blake2b(digest_size=TERM_BYTES, key=self._key, salt=self._salt, person=field.encode())
            self._fields[field] = keyed
        term = keyed.copy()
        term.update(value.encode("utf-8", "surrogatepass"))
        return bytes(term.digest())


class Keyring:
    """The uses of the key-encryption key: wrapping persons' keys, look-up tokens of persons and items, MACs of rows."""

    def __init__(self, key_encryption_key: bytes) -> None:
        if len(key_encryption_key) != 32:
            raise ValueError("the key-encryption key must have 32 bytes")
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
            raise VerificationFailed("a person's key is not wrapped under this key-encryption key") from None

    def name_token(self, log_id: int, name: str) -> bytes:
        """Return the token by which a person's row is looked up. Only mutable tables may contain it."""
        return hmac.digest(self._lookup, f"{log_id}/person\0{name}".encode(), "sha256")

    def terms(self, log_id: int) -> "Terms":
        """Return the terms of a log's index."""
        return Terms(self._lookup, log_id)

    def seal_name(self, person: Person, name: str) -> bytes:
        """Return a person's name for its row, under the person's own key."""
        sealed = person.seal({"name": name}, os.urandom(28))
        return orjson.dumps(sealed.as_json())

    def open_name(self, person: Person, sealed: bytes) -> str:
        """Return the name in a person's row.

        Raises:
            VerificationFailed: the name was not sealed under this person's key.
        """
        parts = orjson.loads(sealed)
        return person.open(parts["ct"], parts["commit"])["name"]


def new_person_keys() -> tuple[str, bytes]:
    """Return a fresh pseudonym and fresh keys."""
    return os.urandom(8).hex(), os.urandom(64)


def load_key_encryption_key(path: Path) -> Keyring:
    """Read the key-encryption key: 32 bytes as base64 in one line.

    Raises:
        ValueError: the file has other content.
        OSError: the file cannot be read.
    """
    return Keyring(a2b_base64(path.read_bytes().strip()))


def new_key_encryption_key() -> bytes:
    """Return a fresh key-encryption key as the text of its file."""
    return b2a_base64(os.urandom(32))


def _hmac(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 (RFC 2104) under a key of at most 64 bytes.

    `hmac.digest` releases the interpreter lock at each call, which costs ten times the hash beside a busy writer.
    """
    block = key.ljust(64, b"\0")
    inner = sha256(block.translate(_INNER) + message).digest()
    return sha256(block.translate(_OUTER) + inner).digest()


def _derive(key: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key)

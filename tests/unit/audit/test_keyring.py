"""Promises about the keys of persons."""

import hmac
import os
import random
from binascii import a2b_base64, b2a_base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewarden.audit.errors import VerificationFailed
from linewarden.audit.keyring import (
    SUMS,
    Keyring,
    Person,
    RowMac,
    _hmac,
    load_key_encryption_key,
    new_key_encryption_key,
    new_person_keys,
)

ANN, BEN = Person("a" * 16, bytes(range(64))), Person("b" * 16, bytes(range(1, 65)))
RANDOM = bytes(28)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.dictionaries(texts, texts, max_size=5), st.binary(min_size=28, max_size=28))
def test_what_is_sealed_opens_again_for_its_person_alone(values: dict[str, str], randomness: bytes) -> None:
    """A sealed value opens unchanged for its person, and under no other person's key."""
    sealed = ANN.seal(values, randomness)
    assert ANN.open(sealed.ciphertext, sealed.commitment) == values
    with pytest.raises(VerificationFailed):
        BEN.open(sealed.ciphertext, sealed.commitment)


@given(st.integers(min_value=0), st.integers(0, 7))
def test_one_changed_bit_of_a_sealed_value_is_noticed(place: int, bit: int) -> None:
    """A changed bit of ciphertext or commitment makes opening fail."""
    sealed = ANN.seal({"items.0.id": "2026/01/31/out-15550100-1001.wav"}, RANDOM)
    for name in ("ciphertext", "commitment"):
        raw = bytearray(a2b_base64(getattr(sealed, name)))
        raw[place % len(raw)] ^= 1 << bit
        changed = sealed._replace(**{name: b2a_base64(bytes(raw), newline=False).decode()})
        with pytest.raises(VerificationFailed):
            ANN.open(changed.ciphertext, changed.commitment)


@given(st.binary(max_size=64), st.binary(max_size=300))
def test_the_commitment_is_hmac_sha256(key: bytes, message: bytes) -> None:
    """A stranger can check commitments with any library's HMAC."""
    assert _hmac(key, message) == hmac.digest(key, message, "sha256")


def test_a_reference_tells_items_apart_and_persons_too() -> None:
    """Equal items of one person have one reference, and another type, id or person has another."""
    reference = ANN.reference("recording", "1")
    assert reference == ANN.reference("recording", "1")
    others = {ANN.reference("voicemail", "1"), ANN.reference("recording", "2"), BEN.reference("recording", "1")}
    assert reference not in others
    assert len(others) == 3


def test_keys_open_only_under_the_key_and_for_the_person_they_were_wrapped_for() -> None:
    """A person's keys do not open under another key-encryption key, in another log or under another pseudonym."""
    keyring, other = Keyring(os.urandom(32)), Keyring(os.urandom(32))
    sid, keys = new_person_keys()
    wrapped = keyring.wrap(1, sid, keys)
    sealed = Person(sid, keys).seal({"name": "ann"}, os.urandom(28))
    assert keyring.unwrap(1, sid, wrapped).open(sealed.ciphertext, sealed.commitment) == {"name": "ann"}
    for ring, log, name in ((other, 1, sid), (keyring, 2, sid), (keyring, 1, "f" * 16)):
        with pytest.raises(VerificationFailed):
            ring.unwrap(log, name, wrapped)


def test_look_up_tokens_differ_between_logs_and_rings() -> None:
    """A look-up token of a person in one tenant's log finds no person in another's."""
    keyring, other = Keyring(bytes(32)), Keyring(bytes(31) + b"\1")
    tokens = {keyring.name_token(1, "ann"), keyring.name_token(2, "ann"), other.name_token(1, "ann")}
    assert len(tokens) == 3
    assert keyring.name_token(1, "ann") in tokens


@given(st.lists(texts), st.randoms(use_true_random=False))
def test_the_sum_of_rows_is_that_of_their_set(rows: list[str], chosen: random.Random) -> None:
    """The sum of rows does not depend on their order, and follows from the sums of the parts."""
    seals, shuffled = RowMac(bytes(32)), chosen.sample(rows, len(rows))
    total = seals.sum(b"rows", rows)
    assert seals.sum(b"rows", shuffled) == total
    first, second = shuffled[::2], shuffled[1::2]
    assert (seals.sum(b"rows", first) + seals.sum(b"rows", second)) % SUMS == total
    assert seals.sum(b"rows", [*rows, "another"]) != total


@given(st.integers(0, SUMS - 1), st.binary(min_size=16, max_size=16))
def test_a_masked_sum_comes_back_under_its_nonce_alone(total: int, nonce: bytes) -> None:
    """A stored sum reveals nothing without key and nonce, and opens with them."""
    seals = RowMac(bytes(32))
    stored = seals.masked(b"rows", total, nonce)
    assert seals.unmasked(b"rows", stored, nonce) == total
    assert seals.unmasked(b"rows", stored, nonce[:-1] + bytes((nonce[-1] ^ 1,))) != total
    assert RowMac(bytes(31) + b"\1").unmasked(b"rows", stored, nonce) != total


def test_seals_differ_by_key_purpose_fields_and_data() -> None:
    """A seal fits no other row, however the fields are split, and each ring makes different ones."""
    seals = Keyring(bytes(32)).row_mac
    made = [
        seals.mac(b"head", (1, "ab", "c")),
        seals.mac(b"head", (1, "a", "bc")),
        seals.mac(b"head", (11, "ab", "c")),
        seals.mac(b"head", (1, "ab", "c"), b"x"),
        seals.mac(b"head", (1, "ab", None)),
        seals.mac(b"keys", (1, "ab", "c")),
        Keyring(bytes(31) + b"\1").row_mac.mac(b"head", (1, "ab", "c")),
    ]
    assert len(set(made)) == len(made)


def test_a_key_file_round_trips_and_a_short_one_is_refused(tmp_path: Path) -> None:
    """The key file holds 32 bytes as base64, and the reader refuses any other length."""
    file = tmp_path / "kek"
    file.write_bytes(new_key_encryption_key())
    load_key_encryption_key(file)
    file.write_bytes(b2a_base64(bytes(16)))
    with pytest.raises(ValueError, match="32 bytes"):
        load_key_encryption_key(file)

"""Signed notes, checkpoints and proof texts: published examples, round trips, and refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewarden.audit.entryproof import EntryProof
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import EMPTY_ROOT, leaf_hash
from linewarden.audit.note import (
    MAX_NOTE_LENGTH,
    Checkpoint,
    Signer,
    Verifier,
    open_checkpoint,
    open_note,
    sign_checkpoint,
    sign_note,
)

#: The key pair and note of the documentation of Go's sumdb/note.
_GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
_GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
_GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
_GO_NOTE = (
    f"{_GO_TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

_ORIGIN = "linewarden.example/3f1c"
_SIGNER = Signer(_ORIGIN, bytes(range(32)))
_OTHER = Signer("witness.example", bytes(32))
_CHECKPOINT = Checkpoint(_ORIGIN, 20_852_163, leaf_hash(b"root"))
_NOTE = sign_checkpoint(_CHECKPOINT, _SIGNER)


def test_go_note_opens() -> None:
    """A note of Go's library opens under the key in Go's form, and our signer makes the same bytes."""
    assert open_note(_GO_NOTE, Verifier.parse(_GO_VERIFIER)) == _GO_TEXT
    assert sign_note(_GO_TEXT, Signer.parse(_GO_SIGNER)) == _GO_NOTE


def test_keys_come_back_from_their_texts() -> None:
    """Both halves of a key are read back from their printed texts."""
    assert str(Verifier.parse(_GO_VERIFIER)) == _GO_VERIFIER
    assert Signer.parse(_GO_SIGNER).secret_text() == _GO_SIGNER
    assert Verifier.parse(str(_SIGNER.verifier)) == _SIGNER.verifier


def test_signer_does_not_show_its_key() -> None:
    """The representation of a signer reveals nothing of its key."""
    secret = _SIGNER.secret_text().rpartition("+")[2]
    assert secret not in repr(_SIGNER)
    assert secret not in str(_SIGNER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10Q=",
        "OtherName+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        _GO_VERIFIER + "\n",
        " " + _GO_VERIFIER,
    ],
)
def test_malformed_key_is_refused(text: str) -> None:
    """The reader refuses a key with a wrong id, algorithm, length, name or surrounding."""
    with pytest.raises(VerificationFailed):
        Verifier.parse(text)
    with pytest.raises(VerificationFailed):
        Signer.parse("PRIVATE+KEY+" + text)


def test_halves_of_a_key_are_not_confused() -> None:
    """The text of one half does not parse as the other."""
    with pytest.raises(VerificationFailed):
        Signer.parse(_GO_VERIFIER)
    with pytest.raises(VerificationFailed):
        Verifier.parse(_GO_SIGNER)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u3000b", "a\x00b"])
def test_key_name_is_checked(name: str) -> None:
    """The reader refuses a name that is ambiguous in a signature line."""
    with pytest.raises(ValueError, match="name of a key"):
        Signer(name, bytes(32))


def test_checkpoint_is_what_the_specification_shows() -> None:
    """A checkpoint has origin, size and root in lines, an empty line, and one signature line."""
    lines = _NOTE.split("\n")
    assert lines[:2] == [_ORIGIN, "20852163"]
    assert lines[3] == ""
    assert lines[4].startswith(f"— {_ORIGIN} ")
    assert lines[5:] == [""]
    assert open_checkpoint(_NOTE, _SIGNER.verifier) == _CHECKPOINT


def test_signatures_of_others_are_ignored() -> None:
    """The reader ignores up to a hundred signatures of witnesses, before or after that of the log."""
    text, _, own = _NOTE.rpartition("\n\n")
    foreign = _OTHER.sign(text + "\n")
    same_name = Signer(_ORIGIN, bytes(32)).sign(text + "\n")
    wrong = sign_note("something else\n", _OTHER).rpartition("\n\n")[2]
    for signatures in (foreign + own, own + foreign, same_name + own, wrong + own, own + own, foreign * 99 + own):
        assert open_checkpoint(f"{text}\n\n{signatures}", _SIGNER.verifier) == _CHECKPOINT


def test_wrong_signature_of_a_known_key_rejects() -> None:
    """A good signature does not outweigh a bad one of the same key."""
    text, _, own = _NOTE.rpartition("\n\n")
    bad = sign_note("something else\n", _SIGNER).rpartition("\n\n")[2]
    for signatures in (bad, own + bad, bad + own):
        with pytest.raises(VerificationFailed, match="is wrong"):
            open_note(f"{text}\n\n{signatures}", _SIGNER.verifier)


def test_note_without_the_key_rejects() -> None:
    """The reader refuses a note that only others have signed."""
    with pytest.raises(VerificationFailed, match="is not signed by"):
        open_note(sign_note(str(_CHECKPOINT), _OTHER), _SIGNER.verifier)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        "text\n",
        "text\n\n",
        _NOTE.removesuffix("\n"),
        _NOTE + "\n",
        _NOTE + "more\n",
        _NOTE.replace("— ", "- "),
        _NOTE.replace("— ", "—\u00a0"),
        _NOTE.replace("\n", "\r\n"),
        _NOTE.replace("linewarden", "linewarden\x00"),
        _NOTE.replace("linewarden", "linewarden\ud800"),
        _NOTE.replace("=\n", "\n"),
        _NOTE.replace("=\n", "==\n"),
        "\n" + _NOTE,
        _NOTE + "— witness.example AAAAAA==\n",
        _NOTE + "— witness.example AAAA AAAAAAA=\n",
        _NOTE + "— wit+ness AAAAAAAAAA==\n",
        _NOTE + "—  AAAAAAAAAA==\n",
        _NOTE + _OTHER.sign(str(_CHECKPOINT)) * 100,
        "x" * MAX_NOTE_LENGTH + _NOTE,
    ],
)
def test_malformed_note_is_refused(note: str) -> None:
    """The reader refuses a text that deviates from the format of a note."""
    with pytest.raises(VerificationFailed):
        open_note(note, _SIGNER.verifier)


@given(st.integers(0, len(_NOTE) - 1), st.characters())
def test_no_character_of_a_note_can_be_changed(at: int, char: str) -> None:
    """A change of any character in text, name, key id or signature makes the note fail."""
    changed = _NOTE[:at] + char + _NOTE[at + 1 :]
    if changed == _NOTE:
        return
    with pytest.raises(VerificationFailed):
        open_note(changed, _SIGNER.verifier)


@pytest.mark.parametrize(
    "body",
    [
        f"{_ORIGIN}\n5\n",
        f"{_ORIGIN}\n05\n{'A' * 43}=\n",
        f"{_ORIGIN}\n-5\n{'A' * 43}=\n",
        f"{_ORIGIN}\n+5\n{'A' * 43}=\n",
        f"{_ORIGIN}\n 5\n{'A' * 43}=\n",
        f"{_ORIGIN}\n5_0\n{'A' * 43}=\n",
        f"{_ORIGIN}\n\u0665\n{'A' * 43}=\n",
        f"{_ORIGIN}\n\n{'A' * 43}=\n",
        f"{_ORIGIN}\n{2**63}\n{'A' * 43}=\n",
        f"{_ORIGIN}\n{2**64}\n{'A' * 43}=\n",
        f"{_ORIGIN}\n{'9' * 5000}\n{'A' * 43}=\n",
        f"{_ORIGIN}\n5\n{'A' * 43}\n",
        f"{_ORIGIN}\n5\n{'A' * 42}B=\n",
        f"{_ORIGIN}\n5\n{'A' * 40}\n",
        f"{_ORIGIN}\n5\n{'A' * 43}=\n\nextension\n",
        f"{_ORIGIN}\n5\n{'A' * 43}=\n\n",
        f"\n{_ORIGIN}\n5\n{'A' * 43}=\n",
        f"other.example/log\n5\n{'A' * 43}=\n",
    ],
)
def test_malformed_checkpoint_is_refused(body: str) -> None:
    """The reader refuses a signed checkpoint of another log or of another spelling."""
    with pytest.raises(VerificationFailed):
        open_checkpoint(sign_note(body, _SIGNER), _SIGNER.verifier)


def test_extension_lines_are_allowed() -> None:
    """Lines after the root are signed with the rest and change nothing."""
    note = sign_note(f"{_CHECKPOINT}extension 1\nextension 2\n", _SIGNER)
    assert open_checkpoint(note, _SIGNER.verifier) == _CHECKPOINT


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("other.example", 1, EMPTY_ROOT),
        Checkpoint(_ORIGIN, -1, EMPTY_ROOT),
        Checkpoint(_ORIGIN, 2**63, EMPTY_ROOT),
        Checkpoint(_ORIGIN, 1, EMPTY_ROOT[1:]),
    ],
)
def test_what_could_not_be_opened_is_not_signed(checkpoint: Checkpoint) -> None:
    """A signer signs only valid checkpoints of the key's log."""
    with pytest.raises(ValueError, match="of another origin than the key"):
        sign_checkpoint(checkpoint, _SIGNER)


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "half \ud800\n"])
def test_text_that_makes_no_note_is_not_signed(text: str) -> None:
    """A signer refuses a text that no verifier would open."""
    with pytest.raises(ValueError, match="text of a note"):
        sign_note(text, _SIGNER)


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63), st.binary())
def test_proof_text_comes_back(index: int, path: list[bytes], extra: bytes) -> None:
    """A proof is the same after being written and read."""
    proof = EntryProof(index, tuple(path), _NOTE, extra)
    assert EntryProof.parse(str(proof)) == proof


def test_proof_text_is_what_the_specification_shows() -> None:
    """A proof text has its lines in order, and the checkpoint after an empty line, verbatim."""
    proof = str(EntryProof(73894, (EMPTY_ROOT, EMPTY_ROOT), _NOTE, b"more"))
    root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert proof == f"c2sp.org/tlog-proof@v1\nextra bW9yZQ==\nindex 73894\n{root}\n{root}\n\n{_NOTE}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1",
        f"c2sp.org/tlog-proof@v1\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v2\nindex 1\n\n{_NOTE}",
        f" c2sp.org/tlog-proof@v1\nindex 1\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 01\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex  1\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex -1\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex {2**64}\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra \nindex 1\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra AAAA\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1\nextra AAAA\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nextra AAAA\nextra AAAA\nindex 1\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1\r\n\n{_NOTE}",
        f"c2sp.org/tlog-proof@v1\nindex 1\n{'A' * 42}B=\n\n{_NOTE}",
        "c2sp.org/tlog-proof@v1\nindex 1\n" + "A" * 2_000_000,
    ],
)
def test_malformed_proof_text_is_refused(text: str) -> None:
    """The reader refuses a text that deviates from the format of a proof."""
    with pytest.raises(VerificationFailed):
        EntryProof.parse(text)

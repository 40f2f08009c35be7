"""Sealing: evidence opens for its readers only, whole, and as it was."""

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from linewarden.diagnostics.evidence.seal_file import keep_seal, line_of, parse_seal, read_seal
from linewarden.diagnostics.evidence.sealer import key_alone
from linewarden.diagnostics.evidence.sealing import (
    DiskFull,
    ReaderInvalid,
    SealBroken,
    SealFailed,
    check,
    seal,
    seal_file,
    unseal,
)
from tests.deadlines import HANG_S

pyrage: Any = pytest.importorskip("pyrage", reason="install linewarden[capture]")

DIGEST = bytes(32)
EVIDENCE = bytes(range(256)) * 1_000


@pytest.fixture(scope="module")
def identity() -> Any:
    """A reader."""
    return pyrage.x25519.Identity.generate()


def _sealed(identity: Any) -> tuple[bytes, Any]:
    out = io.BytesIO()
    made = seal(io.BytesIO(EVIDENCE), out, [str(identity.to_public())], DIGEST)
    return out.getvalue(), made


def test_round_trip(identity: Any):
    """Sealed bytes come out unchanged, with the same manifest on both sides."""
    sealed, made = _sealed(identity)
    plain = io.BytesIO()
    found = unseal(io.BytesIO(sealed), plain, [str(identity)], DIGEST)
    assert plain.getvalue() == EVIDENCE
    check(found, made.manifest)
    assert made.bytes == len(sealed)
    assert EVIDENCE[:64] not in sealed


def test_several_readers(identity: Any):
    """Each named reader can open the evidence, and no other key can."""
    other, stranger = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    out = io.BytesIO()
    seal(io.BytesIO(EVIDENCE), out, [str(identity.to_public()), str(other.to_public())], DIGEST)
    for reader in (identity, other):
        assert unseal(io.BytesIO(out.getvalue()), io.BytesIO(), [str(reader)], DIGEST).bytes == len(EVIDENCE)
    with pytest.raises(SealBroken):
        unseal(io.BytesIO(out.getvalue()), io.BytesIO(), [str(stranger)], DIGEST)


@pytest.mark.parametrize("at", [0, 30, 200, 70_000, -1])
def test_changed_or_cut(identity: Any, at: int):
    """A sealed file with one byte changed or cut off does not open to its end."""
    sealed, _ = _sealed(identity)
    changed = bytearray(sealed)
    changed[at] ^= 1
    for broken in (bytes(changed), sealed[: at or 1]):
        with pytest.raises(SealBroken):
            unseal(io.BytesIO(broken), io.BytesIO(), [str(identity)], DIGEST)


def test_other_evidence(identity: Any):
    """Evidence of another ticket, or another manifest, is noticed."""
    sealed, made = _sealed(identity)
    with pytest.raises(SealBroken):
        check(unseal(io.BytesIO(sealed), io.BytesIO(), [str(identity)], b"other ticket"), made.manifest)
    with pytest.raises(SealBroken):
        check(made.manifest, dataclasses.replace(made.manifest, chunks=1))


@pytest.mark.parametrize("recipients", [[], ["age1nonsense"], ["ssh-ed25519 nonsense"], ["AGE-SECRET-KEY-1"]])
def test_no_reader_no_file(tmp_path: Path, recipients: list[str]):
    """Without valid readers nothing is sealed."""
    with pytest.raises(ReaderInvalid):
        seal_file(io.BytesIO(EVIDENCE), tmp_path / "e.age", recipients, DIGEST)
    with pytest.raises(ReaderInvalid):
        unseal(io.BytesIO(b""), io.BytesIO(), ["nonsense"], DIGEST)


def test_file(tmp_path: Path, identity: Any):
    """The file is readable by its owner only, and an existing one is never overwritten."""
    path = tmp_path / "e.age"
    made = seal_file(io.BytesIO(EVIDENCE), path, [str(identity.to_public())], DIGEST)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size == made.bytes
    with pytest.raises(SealFailed):
        seal_file(io.BytesIO(EVIDENCE), path, [str(identity.to_public())], DIGEST)


class _Full:
    """A disk with no room."""

    def write(self, data: bytes, /) -> int:
        raise OSError(28, "No space left on device", str(len(data)))


def test_full_disk(identity: Any):
    """A disk that is full is told as such."""
    with pytest.raises(DiskFull):
        seal(io.BytesIO(EVIDENCE), _Full(), [str(identity.to_public())], DIGEST)


def test_process(tmp_path: Path, identity: Any):
    """The sealer as a process seals its input and prints the seal."""
    path = tmp_path / "e.age"
    command = [
        sys.executable,
        "-m",
        "linewarden.diagnostics.evidence.sealing",
        "--recipient",
        str(identity.to_public()),
    ]
    command += ["--ticket-digest", DIGEST.hex(), str(path)]
    done = subprocess.run(command, input=EVIDENCE, capture_output=True, check=True, timeout=HANG_S)
    made = json.loads(done.stdout)
    with path.open("rb") as file:
        assert dataclasses.asdict(unseal(file, io.BytesIO(), [str(identity)], DIGEST)) == made["manifest"]
    again = subprocess.run(command, input=EVIDENCE, capture_output=True, check=False, timeout=HANG_S)
    assert again.returncode == 1


def test_process_leaves_its_seal(tmp_path: Path, identity: Any):
    """The sealer leaves beside the file what it prints, for its owner only; of what it could not seal, nothing."""
    path, left = tmp_path / "e.age", tmp_path / "e.seal"
    command = [
        sys.executable,
        "-m",
        "linewarden.diagnostics.evidence.sealing",
        "--recipient",
        str(identity.to_public()),
    ]
    command += ["--ticket-digest", DIGEST.hex(), "--seal", str(left), str(path)]
    done = subprocess.run(command, input=EVIDENCE, capture_output=True, check=True, timeout=HANG_S)
    assert left.read_bytes() == done.stdout
    assert left.stat().st_mode & 0o777 == 0o600
    assert read_seal(left) == parse_seal(done.stdout)
    left.unlink()
    assert subprocess.run(command, input=EVIDENCE, capture_output=True, check=False, timeout=HANG_S).returncode == 1
    assert sorted(tmp_path.iterdir()) == [path]


def test_seal_without_a_listener(tmp_path: Path, identity: Any):
    """A sealer whose starter is gone has left its seal before it finds that out."""
    left = tmp_path / "e.seal"
    command = [
        sys.executable,
        "-m",
        "linewarden.diagnostics.evidence.sealing",
        "--recipient",
        str(identity.to_public()),
    ]
    command += ["--ticket-digest", DIGEST.hex(), "--seal", str(left), str(tmp_path / "e.age")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as sealer:
        assert sealer.stdin is not None
        assert sealer.stdout is not None
        sealer.stdout.close()
        sealer.stdin.write(EVIDENCE)
        sealer.stdin.close()
        sealer.wait(HANG_S)
    made = read_seal(left)
    assert made is not None
    assert made.manifest.bytes == len(EVIDENCE)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b"{",
        b"\xff",
        b"null",
        b'{"bytes": 1, "sha256": "", "manifest": {}}',
        b'{"bytes": 1, "sha256": "", "manifest": 4}',
    ],
)
def test_no_seal(tmp_path: Path, line: bytes):
    """The remains of a seal after a crash do not parse."""
    assert parse_seal(line) is None
    (tmp_path / "e.seal").write_bytes(line)
    assert read_seal(tmp_path / "e.seal") is None


@pytest.mark.parametrize(
    "change", [{"bytes": "7"}, {"bytes": -1}, {"bytes": True}, {"sha256": "AA"}, {"sha256": None}, {"more": 1}]
)
def test_changed_seal(identity: Any, change: dict[str, Any]):
    """A seal with fields of a wrong kind does not parse."""
    made = _sealed(identity)[1]
    fields = json.loads(line_of(made))
    assert parse_seal(json.dumps(fields).encode()) == made
    assert parse_seal(json.dumps(fields | change).encode()) is None
    assert parse_seal(json.dumps(fields | {"manifest": fields["manifest"] | change}).encode()) is None


def test_seal_that_finds_no_room(tmp_path: Path, identity: Any):
    """A seal is there whole, or not at all."""
    (tmp_path / "e.seal").mkdir()
    with pytest.raises(OSError, match=r"e\.seal"):
        keep_seal(_sealed(identity)[1], tmp_path / "e.seal")
    assert [one.name for one in tmp_path.iterdir()] == ["e.seal"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("ssh-ed25519 AAAA erik@example.org", "ssh-ed25519 AAAA"),
        ("ssh-rsa AAAA  Erik Example, second floor ", "ssh-rsa AAAA"),
        ("ssh-ed25519 AAAA", "ssh-ed25519 AAAA"),
        ("age1qqq", "age1qqq"),
    ],
)
def test_comment_of_a_key(given: str, shown: str):
    """Other users of the host see only the key of a reader, not the name or address that SSH puts after it."""
    assert key_alone(given) == shown

"""The folder of evidence: known by its id, and holding nothing that was not whole."""

import hashlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.evidence.folder import EvidenceFolder
from linewarden.diagnostics.evidence.seal_file import SealFile, keep_seal
from linewarden.diagnostics.packets.evidence import Manifest
from tests.deadlines import HANG_S

SEALED = b"sealed" * 500_000
HASH = hashlib.sha256(SEALED).hexdigest()
SEAL = SealFile(len(SEALED), HASH, Manifest(65_536, 1, 10, "a" * 64, "b" * 64))


@pytest.fixture
def folder(tmp_path: Path) -> EvidenceFolder:
    """A folder that is not there yet."""
    return EvidenceFolder(tmp_path / "evidence")


@pytest.fixture
def whole(folder: EvidenceFolder) -> EvidenceFolder:
    """A folder with the evidence of one capture, and its seal."""
    folder.make()
    folder.path("s1").write_bytes(SEALED)
    keep_seal(SEAL, folder.seal_path("s1"))
    return folder


def left(folder: EvidenceFolder) -> list[str]:
    """The names of what is in a folder beside its id."""
    return sorted(one.name for one in folder.make().iterdir() if one.name != "folder-id")


def test_an_id_is_made_once(folder: EvidenceFolder):
    """Whichever process asks first makes the id, and all have the same one, whatever path leads to the folder."""
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _turn: EvidenceFolder(folder.make()).id(), range(64)))
    assert len(ids) == 1
    moved = folder.make().rename(folder.make().with_name("elsewhere"))
    assert {EvidenceFolder(moved).id()} == ids
    assert left(EvidenceFolder(moved)) == []


def test_two_folders_differ(tmp_path: Path):
    """No two folders have one id."""
    assert EvidenceFolder(tmp_path / "one").id() != EvidenceFolder(tmp_path / "two").id()


def test_another_folder_is_left_alone(whole: EvidenceFolder, tmp_path: Path):
    """Evidence in another folder is neither found nor deleted here, nor recorded as lost."""
    other = EvidenceFolder(tmp_path / "other").id()
    for ask in (whole.find, whole.delete, whole.recover):
        with pytest.raises(DiagnosisUnavailable):
            ask("s1", other)
    assert left(whole) == ["s1.pcapng.age", "s1.seal"]


def test_a_disk_that_is_not_mounted(whole: EvidenceFolder):
    """An empty folder in the place of the one that was there is another one, and is not given an id by a look."""
    id = whole.id()
    whole.make().rename(whole.make().with_name("unmounted"))
    with pytest.raises(DiagnosisUnavailable):
        whole.delete("s1", id)
    whole.make()
    with pytest.raises(DiagnosisUnavailable):
        whole.delete("s1", id)
    assert not list(whole.make().iterdir())


@pytest.mark.parametrize("text", ["", "nonsense", "A" * 32, "ä"])
def test_an_id_that_is_none(whole: EvidenceFolder, text: str):
    """A folder whose id cannot be understood is not used."""
    (whole.make() / "folder-id").write_text(text)
    with pytest.raises(DiagnosisUnavailable):
        whole.id()
    with pytest.raises(DiagnosisUnavailable):
        whole.delete("s1", "0" * 32)


def test_evidence_from_before_folders_had_an_id(whole: EvidenceFolder):
    """A capture that names no folder is found in any."""
    assert whole.find("s1", "") == whole.path("s1")
    whole.delete("s1", "")
    assert left(whole) == []


def test_whole_evidence_is_recovered(whole: EvidenceFolder):
    """A file that agrees with its seal is evidence, as the seal says."""
    found = whole.recover("s1", whole.id())
    assert found is not None
    assert (found.file, found.sealed_bytes, found.sealed_sha256) == ("s1.pcapng.age", len(SEALED), HASH)
    assert (found.plain_bytes, found.plain_sha256, found.chain) == (10, "a" * 64, "b" * 64)
    assert left(whole) == ["s1.pcapng.age", "s1.seal"]


@pytest.mark.parametrize(
    "sealed", [SEALED[:-1], SEALED + b"x", b"x" + SEALED[1:], b""], ids=["cut", "longer", "changed", "empty"]
)
def test_a_file_that_is_not_what_was_sealed(whole: EvidenceFolder, sealed: bytes):
    """A file that does not agree with its seal is no evidence, and does not stay."""
    whole.path("s1").write_bytes(sealed)
    assert whole.recover("s1", whole.id()) is None
    assert left(whole) == []


def test_a_file_without_a_seal_and_a_seal_without_a_file(whole: EvidenceFolder):
    """The remains of an interrupted sealer are no evidence, and are deleted."""
    whole.seal_path("s1").rename(whole.seal_path("s2"))
    for part in ("s1.seal.part", "s1.pcapng.age.part"):
        (whole.make() / part).write_bytes(b"part")
    assert whole.recover("s1", whole.id()) is None
    assert left(whole) == ["s2.seal"]
    assert whole.recover("s2", whole.id()) is None
    assert whole.recover("s3", whole.id()) is None
    assert left(whole) == []


def test_a_seal_that_leads_elsewhere(whole: EvidenceFolder, tmp_path: Path):
    """A seal is a file of its own; what cannot be read is looked at again later, and nothing of it is deleted."""
    keep_seal(SEAL, tmp_path / "other.seal")
    whole.seal_path("s1").unlink()
    whole.seal_path("s1").symlink_to(tmp_path / "other.seal")
    with pytest.raises(DiagnosisUnavailable):
        whole.recover("s1", whole.id())
    assert whole.path("s1").exists()


def test_what_is_being_made_is_not_taken_for_what_was_left(folder: EvidenceFolder):
    """A sweep leaves a working sealer alone; once it has ended there is evidence."""
    pyrage = pytest.importorskip("pyrage", reason="install linewarden[capture]")
    folder.make()
    id = folder.id()
    command = [sys.executable, "-m", "linewarden.diagnostics.evidence.sealing"]
    command += ["--recipient", str(pyrage.x25519.Identity.generate().to_public()), "--ticket-digest", "00" * 32]
    command += ["--seal", str(folder.seal_path("s1")), str(folder.path("s1"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as sealer:
        assert sealer.stdin is not None
        sealer.stdin.write(bytes(1 << 20))
        sealer.stdin.flush()
        until = time.monotonic() + HANG_S
        while not folder.path("s1").exists() or not folder.path("s1").stat().st_size:
            assert time.monotonic() < until
            time.sleep(0.01)
        with pytest.raises(DiagnosisUnavailable):
            folder.recover("s1", id)
        sealer.stdin.close()
        assert sealer.wait(HANG_S) == 0
    found = folder.recover("s1", id)
    assert found is not None
    assert found.plain_bytes == 1 << 20


def test_deleting_takes_the_seal_too(whole: EvidenceFolder):
    """Of deleted evidence nothing stays, not even its hashes; deleting it again is no fault."""
    whole.path("s2").write_bytes(b"another capture's")
    for _ in range(2):
        whole.delete("s1", whole.id())
    assert left(whole) == ["s2.pcapng.age"]

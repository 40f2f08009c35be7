"""The evidence folder: its id, its files, and the recovery of evidence that a lost process left there.

    folder-id              a random id, made once
    <capture>.pcapng.age   the evidence, sealed
    <capture>.seal         the seal file of it, written once the evidence is durable

Several servers with one database may share a folder, or each have a separate one. A folder is known by its id, not by
its path. Evidence in another folder is neither read here nor recorded as deleted. The id is read each time, because a
disk that is not mounted leaves an empty folder behind.
"""

import fcntl
import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from linewarden.diagnostics.capture_model import Evidence
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.evidence.seal_file import SealFile, read_seal, sync_folder

_ID = re.compile(r"[0-9a-f]{32}")
_ID_FILE = "folder-id"
_PART_BYTES = 1 << 20


class EvidenceFolder:
    """One evidence folder. Its methods wait for the disk."""

    def __init__(self, path: Path) -> None:
        self._folder = path

    def path(self, capture: str) -> Path:
        """Return the path of the evidence of a capture, if this is its folder."""
        return self._folder / f"{capture}.pcapng.age"

    def seal_path(self, capture: str) -> Path:
        """Return the path of the seal file of a capture."""
        return self._folder / f"{capture}.seal"

    def make(self) -> Path:
        """Return the folder. Make it if it does not exist.

        Raises:
            OSError: it cannot be made.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder

    def id(self) -> str:
        """Return the id of the folder. Make it if it does not exist.

        Raises:
            DiagnosisUnavailable: it cannot be read or made.
        """
        try:
            self.make()
            return self._read_id() or self._make_id()
        except OSError:
            raise DiagnosisUnavailable from None

    def find(self, capture: str, folder: str) -> Path:
        """Return the path of the evidence of a capture in the folder with this id; the empty id stands for any folder.

        Raises:
            DiagnosisUnavailable: this is another folder.
        """
        self._check(folder)
        return self.path(capture)

    def delete(self, capture: str, folder: str) -> None:
        """Delete all files of a capture durably.

        Raises:
            DiagnosisUnavailable: this is another folder, or a file cannot be deleted.
        """
        self._check(folder)
        try:
            self.clear(capture)
        except OSError:
            raise DiagnosisUnavailable from None

    def clear(self, capture: str) -> None:
        """Delete all files of a capture durably, partial ones included.

        Raises:
            OSError: a file cannot be deleted.
        """
        gone = False
        for path in (self.path(capture), self.seal_path(capture)):
            for file in (path, path.with_name(f"{path.name}.part")):
                gone |= file.exists()
                file.unlink(missing_ok=True)
        if gone:
            # Otherwise a power cut could bring back evidence without a record.
            sync_folder(self._folder)

    def recover(self, capture: str, folder: str) -> Evidence | None:
        """Return the evidence that an unwatched worker left, if it agrees with its seal. Delete it otherwise.

        Raises:
            DiagnosisUnavailable: this is another folder, it cannot be read, or the sealer is still at work.
        """
        self._check(folder)
        if self._is_being_made(capture):
            raise DiagnosisUnavailable
        try:
            seal = read_seal(self.seal_path(capture))
            if seal is not None and self._agrees(capture, seal):
                return evidence_of(self.path(capture), seal)
            self.clear(capture)
        except OSError:
            raise DiagnosisUnavailable from None
        return None

    def _is_being_made(self, capture: str) -> bool:
        path = self.path(capture)
        return any(_is_locked(one) for one in (path, path.with_name(f"{path.name}.part")))

    def _agrees(self, capture: str, seal: SealFile) -> bool:
        """Return whether the file is the one that the sealer wrote. It may have been changed, or not be durable."""
        hash, size = hashlib.sha256(), 0
        try:
            with self.path(capture).open("rb") as file:
                while part := file.read(_PART_BYTES):
                    hash.update(part)
                    size += len(part)
        except FileNotFoundError:
            return False
        return (size, hash.hexdigest()) == (seal.bytes, seal.sha256)

    def _check(self, folder: str) -> None:
        try:
            is_this = folder in {"", self._read_id()}
        except OSError:
            is_this = False
        if not is_this:
            raise DiagnosisUnavailable

    def _read_id(self) -> str:
        """Return the id; empty if it is not made yet. Raise OSError also if the file holds something else."""
        try:
            text = (self._folder / _ID_FILE).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError:
            text = ""
        if not _ID.fullmatch(text):
            raise OSError("the file folder-id of the evidence folder does not hold an id")
        return text

    def _make_id(self) -> str:
        """Make the id. It is durable before it has its name; of two processes, the first one makes it."""
        id = os.urandom(16).hex()
        part = self._folder / f"{_ID_FILE}.{id}"
        try:
            with part.open("x", encoding="ascii") as file:
                file.write(f"{id}\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(part, self._folder / _ID_FILE)
            except FileExistsError:
                return self._read_id()
        finally:
            part.unlink(missing_ok=True)
        sync_folder(self._folder)
        return id


def _is_locked(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def evidence_of(path: Path, seal: SealFile) -> Evidence:
    """Return the description of a sealed file for the log."""
    manifest = seal.manifest
    return Evidence(
        file=path.name,
        plain_bytes=manifest.bytes,
        plain_sha256=manifest.sha256,
        chain=manifest.chain,
        sealed_bytes=seal.bytes,
        sealed_sha256=seal.sha256,
    )

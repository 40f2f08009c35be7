"""The folder where sealed evidence lies: which one it is, what is in it, and what was left there unwatched.

    folder-id              a random id, made once
    <capture>.pcapng.age   the evidence, sealed
    <capture>.seal         what the sealer says of it, written once the evidence is durable

Several servers with one database may each have a folder of their own, or share one. A folder is known by its id, not
by its path: what lies in another one is neither read here nor called deleted. The id is read each time, for a disk that
is not mounted leaves an empty folder behind.
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
    """One folder. Its methods wait for the disk."""

    def __init__(self, path: Path) -> None:
        self._folder = path

    def path(self, capture: str) -> Path:
        """Return where the evidence of a capture lies, if this is its folder."""
        return self._folder / f"{capture}.pcapng.age"

    def seal_path(self, capture: str) -> Path:
        """Return where the sealer leaves what it says of it."""
        return self._folder / f"{capture}.seal"

    def make(self) -> Path:
        """Return the folder, made if need be.

        Raises:
            OSError: it cannot be.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder

    def id(self) -> str:
        """Return the id of the folder, made if need be.

        Raises:
            DiagnosisUnavailable: it cannot be read or made.
        """
        try:
            self.make()
            return self._read_id() or self._make_id()
        except OSError:
            raise DiagnosisUnavailable from None

    def find(self, capture: str, folder: str) -> Path:
        """Return where the evidence of a capture is that was put into a folder; the empty id is that of any.

        Raises:
            DiagnosisUnavailable: this is another one.
        """
        self._check(folder)
        return self.path(capture)

    def delete(self, capture: str, folder: str) -> None:
        """Delete what there is of a capture, for good.

        Raises:
            DiagnosisUnavailable: this is another folder, or it cannot be deleted.
        """
        self._check(folder)
        try:
            self.clear(capture)
        except OSError:
            raise DiagnosisUnavailable from None

    def clear(self, capture: str) -> None:
        """Delete what there is of a capture, and of what never became whole, for good.

        Raises:
            OSError: it cannot be deleted.
        """
        gone = False
        for path in (self.path(capture), self.seal_path(capture)):
            for file in (path, path.with_name(f"{path.name}.part")):
                gone |= file.exists()
                file.unlink(missing_ok=True)
        if gone:
            # What a power cut brought back would be evidence that no record knows of.
            sync_folder(self._folder)

    def recover(self, capture: str, folder: str) -> Evidence | None:
        """Return what a worker left that nobody watched: evidence that agrees with its seal, or nothing, and it is
        deleted.

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
        """Return whether the file is what the sealer wrote; it may have been changed since, or never became durable."""
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
            here = folder in {"", self._read_id()}
        except OSError:
            here = False
        if not here:
            raise DiagnosisUnavailable

    def _read_id(self) -> str:
        """Return the id; empty if there is none. Raises OSError, too, when the file holds something else."""
        try:
            text = (self._folder / _ID_FILE).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError:
            text = ""
        if not _ID.fullmatch(text):
            raise OSError("the folder's id is none")
        return text

    def _make_id(self) -> str:
        """Whole and durable before it has its name; of two processes that make one, the first has made it."""
        made = os.urandom(16).hex()
        part = self._folder / f"{_ID_FILE}.{made}"
        try:
            with part.open("x", encoding="ascii") as file:
                file.write(f"{made}\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(part, self._folder / _ID_FILE)
            except FileExistsError:
                return self._read_id()
        finally:
            part.unlink(missing_ok=True)
        sync_folder(self._folder)
        return made


def _is_locked(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def evidence_of(path: Path, seal: SealFile) -> Evidence:
    """Return what the log says of a sealed file."""
    manifest = seal.manifest
    return Evidence(
        file=path.name,
        plain_bytes=manifest.bytes,
        plain_sha256=manifest.sha256,
        chain=manifest.chain,
        sealed_bytes=seal.bytes,
        sealed_sha256=seal.sha256,
    )

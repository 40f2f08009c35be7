"""Anchors: the last signed checkpoint of each log, in a folder outside the database.

An anchor is the checkpoint itself, in a file named after the origin of its log. After a recovery the log has a new
origin. The anchor of the former origin is retired, so that a database from before the recovery is detected.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from linewarden.audit.errors import LogUnavailable, RolledBack, VerificationFailed
from linewarden.audit.note import Checkpoint, Signer, open_checkpoint

#: How long to wait while another process signs for the same log, seconds.
LOCK_TIMEOUT_S = 5.0

_ANCHOR, _RETIRED = ".checkpoint", ".retired"


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint with its signed note."""

    checkpoint: Checkpoint
    note: str


class Anchors:
    """The anchors of all logs of one database. Several processes may share the folder: a file lock orders them.

    `service` is the first part of every origin; `seed` are the 32 bytes of the Ed25519 key.
    """

    def __init__(self, folder: Path, service: str, seed: bytes) -> None:
        self._folder = folder
        self._service = service
        self._seed = seed

    def signer(self, origin_id: str) -> Signer:
        """Return the key that signs for a log: one private key for all, under the name of the log's origin."""
        return Signer(f"{self._service}/{origin_id}", self._seed)

    def last(self, origin_id: str) -> Signed | None:
        """Return the anchor of a log; None if there is no such file.

        Raises:
            RolledBack: it is not a checkpoint of this service's key.
            LogUnavailable: the file cannot be read.
        """
        try:
            note = self._path(origin_id).read_text(encoding="utf-8")
            return Signed(open_checkpoint(note, self.signer(origin_id).verifier), note)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise LogUnavailable("the last checkpoint of the log in anchor_dir cannot be read") from error
        except VerificationFailed as error:
            raise RolledBack("has a last checkpoint that is not of this service's key") from error

    def is_retired(self, origin_id: str) -> bool:
        """Return whether the log was recovered to another origin."""
        return self._path(origin_id, _RETIRED).exists()

    def retire(self, origin_id: str) -> None:
        """Retire the anchor of a former origin. Does nothing if it is retired already.

        Raises:
            LogUnavailable: the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not self._path(origin_id).exists():
                self._path(origin_id, _RETIRED).touch()
            else:
                self._path(origin_id).replace(self._path(origin_id, _RETIRED))
            sync_folder(self._folder)
        except OSError as error:
            raise LogUnavailable("anchor_dir cannot be written: check its permissions and disk") from error

    @contextmanager
    def locked(self, origin_id: str) -> Iterator[tuple[Signed | None, Callable[[str], None]]]:
        """Provide the anchor of a log and the way to replace it, under a lock between processes.

        Raises:
            LogUnavailable: the folder cannot be used, or another process holds the lock for LOCK_TIMEOUT_S.
        """
        path = self._path(origin_id)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LogUnavailable("anchor_dir cannot be used: check its permissions and disk") from error
        try:
            _lock(lock)
            yield self.last(origin_id), lambda note: _replace(path, note)
        except OSError as error:
            raise LogUnavailable("the last checkpoint of the log in anchor_dir cannot be read or written") from error
        finally:
            os.close(lock)

    def _path(self, origin_id: str, ending: str = _ANCHOR) -> Path:
        return self._folder / f"{origin_id}{ending}"


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(file: int) -> None:
    """Lock a file.

    Raises:
        OSError: another process held the lock for LOCK_TIMEOUT_S.
    """
    until = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _replace(path: Path, text: str) -> None:
    # A crash leaves either the old checkpoint or the new one, and always a whole one.
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    sync_folder(path.parent)

"""Anchors: the last signed checkpoint of each log, in a folder outside the database.

An anchor is the checkpoint itself, in a file named after the origin of its log. After a recovery the log has a new
origin. The anchor of the former origin is retired, so that a database from before the recovery is detected.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from linewarden.audit.errors import LogUnavailable, RolledBack, VerificationFailed
from linewarden.audit.note import Checkpoint, Signer, open_checkpoint

#: How long to wait while another process signs for the same log, seconds.
LOCK_TIMEOUT_S = 5.0

#: Anchors that are written at once. Each write waits for the disk, which finishes several waits together.
WRITES = 16

#: Logs whose key is kept, because it takes 0.1 ms to make.
KEYS = 8_192

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
        self._signer = lru_cache(KEYS)(lambda origin_id: Signer(f"{service}/{origin_id}", seed))
        self._known: dict[str, Signed] = {}

    def signer(self, origin_id: str) -> Signer:
        """Return the key that signs for a log: one private key for all, under the name of the log's origin."""
        return self._signer(origin_id)

    def last(self, origin_id: str) -> Signed | None:
        """Return the anchor of a log; None if there is no such file.

        Raises:
            RolledBack: it is not a checkpoint of this service's key.
            LogUnavailable: the file cannot be read.
        """
        try:
            return self._opened(origin_id, self._path(origin_id).read_text(encoding="utf-8"))
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
    def locked(self, origin_id: str) -> Iterator[tuple[Signed | None, Callable[[Signed], None]]]:
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
            yield self.last(origin_id), lambda signed: self._replace(origin_id, signed)
        except OSError as error:
            raise LogUnavailable("the last checkpoint of the log in anchor_dir cannot be read or written") from error
        finally:
            os.close(lock)

    @contextmanager
    def locked_together(
        self, origin_ids: Iterable[str]
    ) -> Iterator[tuple[set[str], Callable[[Mapping[str, Signed]], dict[str, OSError]]]]:
        """Lock the anchors of several logs, without those that another process has locked.

        Provide the origins of the locked logs, and the way to replace their anchors. When that returns, the anchors are
        on the disk, without those whose errors it returns.

        Raises:
            LogUnavailable: the folder cannot be used.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with ExitStack() as locks:
                yield {one for one in origin_ids if self._try_lock(one, locks)}, self._replace_together
        except OSError as error:
            raise LogUnavailable("anchor_dir cannot be used: check its permissions and disk") from error

    def _try_lock(self, origin_id: str, locks: ExitStack) -> bool:
        lock = os.open(f"{self._path(origin_id)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        locks.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _opened(self, origin_id: str, note: str) -> Signed:
        known = self._known.get(origin_id)
        if known is None or known.note != note:
            known = self._known[origin_id] = Signed(open_checkpoint(note, self.signer(origin_id).verifier), note)
        return known

    def _replace(self, origin_id: str, fresh: Signed) -> None:
        for error in self._replace_together({origin_id: fresh}).values():
            raise error

    def _replace_together(self, fresh: Mapping[str, Signed]) -> dict[str, OSError]:
        with ThreadPoolExecutor(WRITES, "linewarden-anchor") as pool:
            written = list(pool.map(self._write, fresh, fresh.values()))
        sync_folder(self._folder)
        return {origin_id: error for origin_id, error in zip(fresh, written, strict=True) if error is not None}

    def _write(self, origin_id: str, fresh: Signed) -> OSError | None:
        try:
            _replace(self._path(origin_id), fresh.note)
        except OSError as error:
            return error
        self._known[origin_id] = fresh
        return None

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

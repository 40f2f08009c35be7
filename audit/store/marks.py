"""High-water marks: the newest state seen of each log, so that an older state is detected.

A seal proves that the service wrote a head. It does not prove that the head is the newest one: a database that was
restored, or whose rows were set back, has heads with valid seals. So every process remembers the newest head that it
has seen, and compares each head that it reads with it. The marks are also written to a file beside the anchors after
each commit, so that they survive a process and are shared by the processes of a host.

The file is not synced. After a power failure it may be older than the database, which does no harm, and it is never
newer. The slot of a log has 128 bytes at log * 128. A slot with a wrong digest counts as empty.
"""

import os
import struct
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from linewarden.audit.errors import LogUnavailable, RolledBack
from linewarden.audit.model import Head

#: Bytes of a slot.
SLOT = 128

_FIELDS = struct.Struct(">4Q32s32s")
_DIGEST_BYTES = 16


class Mark(NamedTuple):
    """A mark as the file stores it. Origin and frontier are digests."""

    log: int
    generation: int
    size: int
    revision: int
    origin: bytes
    frontier: bytes

    @classmethod
    def of(cls, head: Head) -> "Mark":
        """Return the mark of a head."""
        origin = origin_digest(head.origin_id)
        return cls(head.log, head.generation, head.size, head.revision, origin, digest(head.frontier))


class Marks:
    """The newest head seen of each log. Thread-safe.

    `on_recovered` is called with the number of a log that an operator recovered since this process last read it. It
    must drop all cached data of that log before it returns.
    """

    def __init__(self, path: Path | None = None, on_recovered: Callable[[int], None] = lambda _log: None) -> None:
        self._path = path
        self._file: int | None = None
        self._opening = threading.Lock()
        self._changing = threading.Lock()
        self._seen: dict[int, Head] = {}
        self._read = b""
        self._noted: set[int] = set()
        self.on_recovered = on_recovered
        #: The error of the last write of a mark; None if it succeeded.
        self.fault: OSError | None = None
        #: The latest time of any head, microseconds.
        self.latest_us = 0

    def seen(self, log_id: int) -> Head | None:
        """Return the newest head of a log that this process has seen; None if it has seen none."""
        return self._seen.get(log_id)

    def check(self, head: Head, seen: Head | None) -> None:
        """Compare a head with the newest head that was seen before it was read. Growth is not verified here.

        Raises:
            RolledBack: the head is older, or has another history.
        """
        self.latest_us = max(self.latest_us, head.time_us)
        if seen is None or seen is head:
            return None
        if head.generation != seen.generation:
            return self._check_generation(seen, head)
        if head.size == seen.size:
            same = head.frontier == seen.frontier and head.revision == seen.revision
        else:
            same = head.size > seen.size and head.revision >= seen.revision
        if not same or head.origin_id != seen.origin_id:
            raise RolledBack("is not as it was seen before", head.log, expected=seen.size, found=head.size)
        return None

    def note(self, head: Head, *, new: bool = False) -> None:
        """Remember a committed or verified head. `new` is for the first mark of a log, which is synced.

        A later mark that cannot be written stays in memory and sets `fault`, because a full disk of the anchors must
        not stop the service.

        Raises:
            LogUnavailable: the first mark of a log cannot be written.
        """
        with self._changing:
            seen = self._seen.get(head.log)
            if seen is not None and (head.generation, head.size) < (seen.generation, seen.size):
                return  # another thread has seen a newer head since
            self._seen[head.log] = head
            self._noted.add(head.log)
            self.latest_us = max(self.latest_us, head.time_us)
            if self._path is not None:
                self._write(head, new=new)

    def _write(self, head: Head, *, new: bool) -> None:
        mark = Mark.of(head)
        body = _FIELDS.pack(*mark)
        slot = body + blake2b(body, digest_size=_DIGEST_BYTES).digest()
        try:
            file = self._opened()
            os.pwrite(file, slot.ljust(SLOT, b"\0"), head.log * SLOT)
            if new:
                os.fsync(file)
            self.fault = None
        except OSError as error:
            self.fault = error
            if new:
                raise LogUnavailable("the file of marks in anchor_dir cannot be written: check its disk") from error

    def stored(self, log_id: int) -> Mark | None:
        """Return the mark in the file, which another process may have written.

        Raises:
            LogUnavailable: the file cannot be read.
        """
        if self._path is None:
            return None
        try:
            return _read(os.pread(self._opened(), SLOT, log_id * SLOT))
        except OSError as error:
            raise LogUnavailable("the file of marks in anchor_dir cannot be read") from error

    def highest(self) -> int:
        """Return the highest number of a log with a mark in the file; -1 if there is none."""
        return max((mark.log for mark in self._all()), default=-1)

    def changed(self) -> set[int]:
        """Return the logs of which this process noted a head, or the file got a mark, since the last call.

        Raises:
            LogUnavailable: the file cannot be read.
        """
        data = b"" if self._path is None else self._content()
        before, self._read = self._read, data
        with self._changing:
            noted, self._noted = self._noted, set()
        if data == before:
            return noted
        slots = range(0, max(len(data), len(before)), SLOT)
        return noted | {at // SLOT for at in slots if data[at : at + SLOT] != before[at : at + SLOT]}

    def _content(self) -> bytes:
        try:
            file = self._opened()
            return os.pread(file, os.fstat(file).st_size, 0)
        except OSError as error:
            raise LogUnavailable("the file of marks in anchor_dir cannot be read") from error

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _check_generation(self, seen: Head, head: Head) -> None:
        if head.generation < seen.generation:
            raise RolledBack("is as before its recovery", head.log, expected=seen.size, found=head.size)
        self.on_recovered(head.log)
        self.note(head)

    def _all(self) -> Iterator[Mark]:
        if self._path is None:
            return
        try:
            file = self._opened()
            slots = os.fstat(file).st_size // SLOT + 1
            for log_id in range(slots):
                mark = _read(os.pread(file, SLOT, log_id * SLOT))
                if mark is not None:
                    yield mark
        except OSError as error:
            raise LogUnavailable("the file of marks in anchor_dir cannot be read") from error

    def _opened(self) -> int:
        with self._opening:
            if self._file is None:
                assert self._path is not None
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            return self._file


@lru_cache(4096)
def origin_digest(origin_id: str) -> bytes:
    """Return the digest of an origin for a mark."""
    return digest(origin_id.encode())


def digest(data: bytes) -> bytes:
    """Return the digest of a frontier for a mark."""
    return blake2b(data, digest_size=32).digest()


def _read(slot: bytes) -> Mark | None:
    body, check = slot[: _FIELDS.size], slot[_FIELDS.size : _FIELDS.size + _DIGEST_BYTES]
    if len(body) < _FIELDS.size or blake2b(body, digest_size=_DIGEST_BYTES).digest() != check:
        return None
    return Mark(*_FIELDS.unpack(body))

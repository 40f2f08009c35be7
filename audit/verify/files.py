"""Reading an untrusted directory: no links, no devices, and no file above its size limit."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from linewarden.audit.errors import VerificationFailed

# `tile/<level>/` and a number of at most seven groups of digits, the last of them with `.p/<width>`.
_DEEPEST = 12

# Opening must not wait for a pipe or follow a link. A system without these flags has no such files.
_OPEN_FLAGS: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class ExportFiles:
    """The files under a directory, by paths relative to it with `/` between the parts.

    The path of the directory may have links, but nothing below it may be a link. Only `paths` checks directories below
    it, so `paths` must be exhausted before a file is read.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def paths(self) -> Iterator[str]:
        """Yield the paths of all files, in no particular order.

        Raises:
            VerificationFailed: a path is neither a file nor a directory, or cannot be read.
        """
        return self._below("", 0)

    def read(self, path: str, limit: int) -> bytes:
        """Read a file.

        Raises:
            VerificationFailed: the file is missing, not a plain file, larger than `limit` bytes, or cannot be read.
        """
        try:
            with open(self._directory.joinpath(*path.split("/")), "rb", opener=_open) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise VerificationFailed(f"{path} is not a plain file")
                if status.st_size > limit:
                    raise VerificationFailed(f"{path} has {status.st_size} bytes where at most {limit} belong")
                return file.read(status.st_size)
        except (FileNotFoundError, NotADirectoryError):
            raise VerificationFailed(f"{path} is missing") from None
        except OSError as error:
            raise VerificationFailed(f"{path} cannot be read: {error.strerror}") from None

    def _below(self, folder: str, depth: int) -> Iterator[str]:
        if depth > _DEEPEST:
            raise VerificationFailed(f"{folder!r} lies deeper than any file of a log")
        try:
            with os.scandir(self._directory / folder) as found:
                for one in found:
                    path = f"{folder}/{one.name}" if folder else one.name
                    if one.is_dir(follow_symlinks=False):
                        yield from self._below(path, depth + 1)
                    elif one.is_file(follow_symlinks=False):
                        yield path
                    else:
                        raise VerificationFailed(f"{path!r} is neither a file nor a directory")
        except OSError as error:
            raise VerificationFailed(f"{folder or 'the directory'!r} cannot be read: {error.strerror}") from None


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _OPEN_FLAGS)

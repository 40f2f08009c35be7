"""Reading of untrusted trees: no link is followed below the top, and every read has a bound.

Many programs write into a recording folder. A link may point at /etc/shadow, a name may be a pipe that blocks on
opening, and a file may have no end. Each refused file is reported as a problem.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from spool_item import Problem, plain, text_of

_DEPTH = 8
_SOURCE_BYTES = 1024


def first_inside(root: Path, *candidates: str) -> Path | None:
    """Return the first candidate that exists and, with links resolved, lies in the tree; None if all fail."""
    real = root.resolve()
    paths = (root / candidate for candidate in candidates)
    return next((path for path in paths if _exists(path) and path.resolve().is_relative_to(real)), None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def shown(path: Path, root: Path) -> str:
    """Return the path relative to the root, fit to print."""
    try:
        path = path.relative_to(root)
    except ValueError:
        path = Path(path.name)
    return plain(text_of(os.fsencode(path.as_posix())), _SOURCE_BYTES)


def walk(root: Path, top: Path, depth: int = _DEPTH) -> Iterator[Path | Problem]:
    """Yield every regular file below `top` in a fixed order, and a problem for each skipped entry."""
    try:
        entries = sorted(os.scandir(top), key=lambda entry: os.fsencode(entry.name))
    except OSError:
        yield Problem(shown(top, root), "folder cannot be read")
        return
    for entry in entries:
        path, kind = top / entry.name, _kind(entry)
        if kind == "folder" and depth:
            yield from walk(root, path, depth - 1)
        elif kind == "file":
            yield path
        else:
            yield Problem(shown(path, root), "folders too deep" if kind == "folder" else kind)


def _kind(entry: os.DirEntry[str]) -> str:
    """Return `folder`, `file`, or the reason for skipping the entry."""
    try:
        if entry.is_symlink():
            return "link not followed"
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        return "file" if entry.is_file(follow_symlinks=False) else "not a regular file"
    except OSError:
        return "cannot be read"


def open_regular(path: Path, *, follow: bool = False) -> int:
    """Return a descriptor for reading a regular file.

    Raises:
        OSError: it cannot be opened, is a link (unless `follow`), or is no regular file.
    """
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError("not a regular file")


def read_head(path: Path, limit: int, *, follow: bool = False) -> bytes:
    """Return the first `limit` bytes of a regular file.

    Raises:
        OSError: as `open_regular`, or reading failed.
    """
    with os.fdopen(open_regular(path, follow=follow), "rb") as file:
        return file.read(limit)

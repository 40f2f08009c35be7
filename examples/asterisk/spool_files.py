"""Reading files of a tree one does not trust: no link is followed below the top, nothing is read without a bound.

A recording folder is written by many hands: a link may point at /etc/shadow, a name may be a pipe on which opening
waits for ever, a file may have no end. What is refused is reported, so that nothing disappears in silence.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from spool_item import Problem, plain, text_of

_DEPTH = 8
_SOURCE_BYTES = 1024


def first_inside(root: Path, *candidates: str) -> Path | None:
    """The first candidate that exists and lies in the tree even when links are resolved; None if there is none."""
    real = root.resolve()
    paths = (root / candidate for candidate in candidates)
    return next((path for path in paths if _exists(path) and path.resolve().is_relative_to(real)), None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def shown(path: Path, root: Path) -> str:
    """The path relative to the root, fit to print."""
    try:
        path = path.relative_to(root)
    except ValueError:
        path = Path(path.name)
    return plain(text_of(os.fsencode(path.as_posix())), _SOURCE_BYTES)


def walk(root: Path, top: Path, depth: int = _DEPTH) -> Iterator[Path | Problem]:
    """Every regular file below `top` in a fixed order, and a problem for each entry that is passed over."""
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
    """`folder`, `file`, or why it is passed over."""
    try:
        if entry.is_symlink():
            return "link not followed"
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        return "file" if entry.is_file(follow_symlinks=False) else "not a regular file"
    except OSError:
        return "cannot be read"


def open_regular(path: Path, *, follow: bool = False) -> int:
    """A descriptor for reading a regular file.

    Raises:
        OSError: it cannot be opened, is a link (unless `follow`), or is no regular file.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError("not a regular file")


def read_head(path: Path, limit: int, *, follow: bool = False) -> bytes:
    """The first `limit` bytes of a regular file.

    Raises:
        OSError: as `open_regular`, or reading failed.
    """
    with os.fdopen(open_regular(path, follow=follow), "rb") as file:
        return file.read(limit)

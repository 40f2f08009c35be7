"""What a sealer says of the file it seal: told to whoever started it, and left beside the file.

Standard library only. The file of a seal is no proof of anything: whoever may write to the folder may write a seal too.
It tells whole evidence from what a crash left.
"""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from linewarden.diagnostics.packets.evidence import Manifest

_HASH = re.compile(r"[0-9a-f]{64}")
_LONGEST = 4_096


@dataclass(frozen=True, slots=True)
class SealFile:
    """A sealed file: its size in bytes and SHA-256 in hex, and what is in it."""

    bytes: int
    sha256: str
    manifest: Manifest


def line_of(seal: SealFile) -> bytes:
    """Return the seal in a line."""
    return json.dumps(asdict(seal)).encode() + b"\n"


def keep_seal(seal: SealFile, path: Path) -> None:
    """Leave the seal in a file: whole and durable, or not at all. The file it speaks of must be durable before.

    Raises OSError.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(line_of(seal))
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read_seal(path: Path) -> SealFile | None:
    """Return the seal that was left in a file; None if there is none. Raises OSError when it cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return parse_seal(file.read(_LONGEST))
    except FileNotFoundError:
        return None


def parse_seal(line: bytes) -> SealFile | None:
    """Return the seal in a line; None if it is none."""
    try:
        fields = json.loads(line)
        seal = SealFile(**fields | {"manifest": Manifest(**fields["manifest"])})
    except (ValueError, TypeError, KeyError):
        return None
    hashes: list[Any] = [seal.sha256, seal.manifest.sha256, seal.manifest.chain]
    numbers: list[Any] = [seal.bytes, seal.manifest.bytes, seal.manifest.chunks, seal.manifest.chunk_bytes]
    hashed = all(isinstance(one, str) and _HASH.fullmatch(one) for one in hashes)
    return seal if hashed and all(type(one) is int and one >= 0 for one in numbers) else None


def sync_folder(folder: Path) -> None:
    """Make names durable: a new file survives a crash, and a deleted one stays deleted, only with its folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

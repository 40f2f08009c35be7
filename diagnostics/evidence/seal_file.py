"""The seal file: the sealer's description of the file that it sealed.

Standard library only. The sealer writes it to its standard output and leaves it beside the sealed file. It proves
nothing, because a process that may write to the folder may write a seal file too. It tells complete evidence from the
remains of a crash.
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
    """The description of a sealed file: its size in bytes, its SHA-256 in hex, and the manifest of its content."""

    bytes: int
    sha256: str
    manifest: Manifest


def line_of(seal: SealFile) -> bytes:
    """Return the seal as a line of JSON."""
    return json.dumps(asdict(seal)).encode() + b"\n"


def keep_seal(seal: SealFile, path: Path) -> None:
    """Write the seal to a file, completely and durably or not at all. The sealed file must be durable before.

    Raises:
        OSError: the file cannot be written.
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
    """Return the seal in a file; None if the file does not exist. Raise OSError if it cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return parse_seal(file.read(_LONGEST))
    except FileNotFoundError:
        return None


def parse_seal(line: bytes) -> SealFile | None:
    """Return the seal in a line; None if the line does not parse."""
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
    """Make the names in a folder durable, so that a crash neither loses a new file nor restores a deleted one."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

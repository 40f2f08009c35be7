"""A small disk for tests that may mount one, and a search of files."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """Mount a disk of 1 MiB, or of the given size, at a folder; skip the test where this is not possible."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root and the right to mount a small disk (CAP_SYS_ADMIN)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def holding(folder: Path, secret: bytes) -> list[str]:
    """Return the files below a folder that hold a secret."""
    found = []
    for file in folder.rglob("*"):
        try:
            held = file.is_file() and secret in file.read_bytes()
        except FileNotFoundError:  # it was deleted meanwhile
            continue
        found += [str(file)] if held else []
    return found

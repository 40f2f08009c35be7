"""A disk that keeps only synced data, and whose syncs fail on demand: a library loaded into a process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deadlines import HANG_S
from tests.integration.conftest import DATA


class HonestDisk:
    """Two folders: the files as processes see them, and as a power cut would leave them."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            pytest.skip("install a C compiler, on Linux, to test with a disk that fails")
        self.files, self.left, self.switch = folder / "files", folder / "left", folder / "fails"
        self.files.mkdir(parents=True)
        self.left.mkdir()
        library = folder / "honest_disk.so"
        call = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(DATA / "honest_disk.c"), "-ldl"]
        subprocess.run(call, check=True, capture_output=True)
        self.environment = {
            "LD_PRELOAD": str(library),
            "DISK_FILES": str(self.files),
            "DISK_SHADOW": str(self.left),
            "DISK_FAILS": str(self.switch),
        }

    def run(self, *call: str) -> str:
        """Run a program on this disk to its end; return its output."""
        done = subprocess.run(
            [sys.executable, *call],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | self.environment,
            timeout=HANG_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

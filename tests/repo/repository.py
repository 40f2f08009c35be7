"""The root of the repository, its files, and its pyproject.toml."""

import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from tests.deadlines import HANG_S

ROOT = Path(__file__).resolve().parents[2]

#: Folders of generated files.
_MADE = frozenset({".git", ".venv", ".links", ".demo", "site", "var", "build", "dist", "htmlcov", "__pycache__"})


@cache
def files() -> tuple[Path, ...]:
    """Return all files of the project: those that git tracks or would track; without git, those in no build folder."""
    call = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(call, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        found = (ROOT / name for name in listed.split("\0") if name)
    except (OSError, subprocess.CalledProcessError):
        found = (path for path in ROOT.rglob("*") if _MADE.isdisjoint(path.relative_to(ROOT).parts))
    return tuple(sorted(path for path in found if path.is_file()))


@cache
def project() -> dict[str, Any]:
    """Return the content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def run_tool(name: str, *arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run a program of this environment for at most a minute; output and errors come together."""
    call = [str(Path(sys.executable).parent / name), *arguments]
    return subprocess.run(
        call, cwd=cwd, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=HANG_S
    )

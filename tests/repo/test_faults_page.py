"""The page of faults and the tests of faults name each other."""

import ast
import re
from pathlib import Path

from repository import ROOT

_PAGE = ROOT / "docs/faults.md"

#: Files all of whose tests are faults; a test of another file may stand in the table as well.
_FILES = ("tests/integration/test_faults*.py", "tests/integration/test_kill.py", "tests/soak/test_*.py")

_COLUMNS = 6


def _rows(heading: str) -> list[list[str]]:
    """Return the rows of the first table after a heading."""
    text = _PAGE.read_text(encoding="utf-8").partition(f"{heading}\n")[2]
    table = re.search(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n)+)", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def _tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{path.relative_to(ROOT)}::{one.name}" for one in functions if one.name.startswith("test_")}


def _named(rows: list[list[str]]) -> list[str]:
    """Return the tests in the last column; one row may name several."""
    return [name for row in rows for name in re.findall(r"`(tests/[^`]+)`", row[-1])]


def test_each_fault_has_a_test_and_each_test_a_fault() -> None:
    """Every row is whole and names tests that exist; every test of a file of faults stands in the table, once."""
    rows = _rows("# Faults")
    assert all(len(row) == _COLUMNS and all(row) for row in rows)
    assert all(_named([row]) for row in rows)
    named = _named(rows)
    assert len(named) == len(set(named))
    assert [name for name in named if name not in _tests(ROOT / name.partition("::")[0])] == []
    files = {path for pattern in _FILES for path in ROOT.glob(pattern)}
    assert {name for path in files for name in _tests(path)} - set(named) == set()


def test_each_invariant_names_the_bug_it_was_seen_to_fail_with() -> None:
    """Every row of the second table has an invariant, a bug, and tests that exist."""
    rows = _rows("## Which seeded bug each invariant was seen to fail with")
    assert all(len(row) == 3 and all(row) and _named([row]) for row in rows)
    assert [name for name in _named(rows) if name not in _tests(ROOT / name.partition("::")[0])] == []

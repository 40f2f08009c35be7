"""Lines of Master.csv: right ones become items, wrong ones problems, and neither spoils its neighbours."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import company
import pytest
import spool_reader
from asterisk_config import Directory, read_directory
from spool_item import Item, Problem

_ROOT = Path(__file__).parents[3]
_CASES = tomllib.loads((_ROOT / "tests/testdata/asterisk/cdr_lines.toml").read_text())["case"]
_SHARED = _ROOT.parent / "shared" / "data" / "cdr"
_GOOD = next(case["line"] for case in _CASES if case["name"].startswith("17 columns with the unique"))


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """Return the company's people."""
    for name, text in company.configuration().items():
        (tmp_path / name).write_text(text)
    return read_directory(tmp_path)[0]


def _read(folder: Path, data: bytes, directory: Directory | None = None) -> list[Item | Problem]:
    path = folder / "Master.csv"
    path.write_bytes(data)
    return list(spool_reader.read_cdr_file(path, directory=directory))


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["name"])
def test_line(case: dict[str, Any], tmp_path: Path, directory: Directory) -> None:
    """The reader gives the result of the case for each line, and reads the good line after it."""
    found, after = _read(tmp_path, f"{case['line']}\n{_GOOD}x\n{_GOOD}\n".encode(), directory)[::2]
    assert isinstance(after, Item)
    if "item" not in case:
        assert found == Problem("Master.csv:1", "not a call record of 16 to 21 columns")
        return
    assert isinstance(found, Item)
    expected = case["item"]
    assert found.id.startswith(expected["id"])
    assert (found.owner, found.queue) == (expected["owner"], expected.get("queue", ""))
    assert list(found.parties) == expected["parties"]
    assert found.labels == {"disposition": expected["disposition"]}
    assert found.created_us == int(datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp()) * 1_000_000


def test_same_call_several_lines(tmp_path: Path) -> None:
    """Lines of one call without a sequence have different ids, which do not depend on where in the file they stand."""
    other = _GOOD.replace('"ANSWERED"', '"BUSY"')
    both = {found.id for found in _read(tmp_path, f"{_GOOD}\n{other}\n".encode()) if isinstance(found, Item)}
    turned = {found.id for found in _read(tmp_path, f"{other}\n{_GOOD}\n".encode()) if isinstance(found, Item)}
    assert len(both) == 2
    assert both == turned


def test_equal_lines(tmp_path: Path) -> None:
    """A line that occurs three times makes three items."""
    found = _read(tmp_path, f"{_GOOD}\n".encode() * 3)
    assert len({item.id for item in found if isinstance(item, Item)}) == 3


def test_latin_1_survives(tmp_path: Path) -> None:
    """The reader accepts a caller's name in Latin-1."""
    line = _GOOD.replace('"c",""', '"c","""J\xf6rg"" <4989555013>"').encode("latin-1")
    (found,) = _read(tmp_path, line + b"\n")
    assert isinstance(found, Item)
    assert "4989555013" in found.parties


def test_line_without_end(tmp_path: Path) -> None:
    """A line of ten megabytes is one problem, and the reader reads the next line."""
    found = _read(tmp_path, b'"' + b"x" * 10_000_000 + b"\n" + _GOOD.encode() + b"\n")
    assert [type(one) for one in found] == [Problem, Item]
    assert found[1] == _read(tmp_path, b"\n" + _GOOD.encode())[0]


def test_binary_file(tmp_path: Path) -> None:
    """A file of arbitrary bytes gives problems only."""
    found = _read(tmp_path, bytes(range(256)) * 2000)
    assert found
    assert all(isinstance(one, Problem) for one in found)


def test_missing_file(tmp_path: Path) -> None:
    """A missing file is one problem."""
    found = list(spool_reader.read_cdr_file(tmp_path / "Master.csv"))
    assert found == [Problem("Master.csv", "file cannot be read")]


@pytest.mark.skipif(not _SHARED.is_dir(), reason="lay the sample files in ../shared/data/cdr")
@pytest.mark.parametrize(("name", "count"), [("asterisk-Master.csv", 2), ("asterisk-good.csv", 5)])
def test_shared_samples(name: str, count: int) -> None:
    """The reader reads real files of 18 columns without a problem, and gives lines of one call different ids."""
    items, problems = spool_reader.split(spool_reader.read_cdr_file(_SHARED / name))
    assert (len({item.id for item in items}), problems) == (count, [])
    # The unique id of a call begins with the second it started in, so it checks the date beside it.
    assert all(item.created_us == int(item.id.split(".")[0]) * 1_000_000 for item in items)

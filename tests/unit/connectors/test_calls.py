"""The cases of tests/testdata/calls: rows of a PBX, and the participants that they make."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from linewarden.connectors.asterisk.tree import read
from linewarden.connectors.model import Item, Problem

_FILE = Path(__file__).resolve().parents[2] / "testdata" / "calls" / "asterisk.toml"
_CASES = tomllib.loads(_FILE.read_text(encoding="utf-8"))["case"]
_START = 1_782_900_000  # 2026-07-01 10:00:00 UTC
_NAMES = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata",
    "start", "answer", "end", "duration", "billsec", "disposition", "amaflags",
    "uniqueid", "userfield", "peeraccount", "linkedid", "sequence",
)  # fmt: skip


def line_of(row: dict[str, Any], number: int) -> str:
    """Return the line of a row; `at` and `talk` are the start after 10:00:00 and the talk, both in seconds."""
    at, talk = row.get("at", 0), row.get("talk", 60)
    times = [f"{datetime.fromtimestamp(_START + at + s, UTC):%Y-%m-%d %H:%M:%S}" for s in (0, 0, talk)]
    fields = {
        "dcontext": "from-internal", "lastapp": "Dial", "disposition": "ANSWERED", "amaflags": "DOCUMENTATION",
        "start": times[0], "answer": times[1], "end": times[2], "duration": str(talk), "billsec": str(talk),
        "uniqueid": f"{_START}.1", "linkedid": f"{_START}.1", "sequence": str(number),
    }  # fmt: skip
    fields |= {name: str(value) for name, value in row.items() if name in _NAMES}
    return ",".join('"' + fields.get(name, "").replace('"', '""') + '"' for name in _NAMES)


def items_of(case: dict[str, Any], folder: Path) -> tuple[list[Item], list[Problem]]:
    """Return items and problems of a case."""
    monitor = folder / "monitor"
    monitor.mkdir()
    for name in case.get("files", []):
        (monitor / name).touch()
    cdr = folder / "Master.csv"
    lines = case.get("lines") or [line_of(row, number) for number, row in enumerate(case.get("rows", []), 1)]
    cdr.write_text("\n".join(lines), encoding="utf-8")
    found = list(read(cdr, monitor, ZoneInfo(case["zone"]) if "zone" in case else None))
    return [one for one in found if isinstance(one, Item)], [one for one in found if isinstance(one, Problem)]


@pytest.mark.parametrize("case", _CASES, ids=[case["name"] for case in _CASES])
def test_the_rows_of_a_call_state_its_participants(case: dict[str, Any], tmp_path: Path) -> None:
    """Each case of the data has the participants that it states for its last item, and no other ones."""
    items, problems = items_of(case, tmp_path)
    last = items[-1]
    assert [f"{one.role} {one.address}" for one in last.participants] == case["participants"], case["why"]
    if "queue" in case:
        assert last.queue == case["queue"]
    if "times" in case:
        told = [[one.start and one.start - _START, one.end and one.end - _START] for one in last.participants]
        assert told == case["times"], case["why"]
    if "created_at" in case:
        assert [json.loads(one.line()).get("created_at", "") for one in items] == case["created_at"], case["why"]
    assert len(problems) == case.get("problems", 0)


def test_ids_are_unique_and_do_not_depend_on_order(tmp_path: Path) -> None:
    """With the sequence 0 in every row, rows in another order have the same ids."""
    rows = [{"dst": "1001", "sequence": 0}, {"dst": "1002", "sequence": 0}]
    ids = []
    for number, order in enumerate((rows, rows[::-1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        ids.append({one.id for one in items_of({"rows": order}, folder)[0]})
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2

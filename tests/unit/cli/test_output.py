"""Output of rows for people and programs."""

import csv
import io
import json
from typing import Any

import pytest

from linewarden.cli.output import write_block, write_rows

ROWS: list[dict[str, Any]] = [
    {"id": "1", "state": "armed"},
    {"id": "2", "ended": "now", "counters": {"written": 5}},
    {"state": "new"},
]


def test_rows_of_a_csv_need_not_have_the_same_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """The header of a CSV has the fields of all rows, the named ones first, so that no value is lost."""
    write_rows(ROWS, ("state",), "csv")
    header, *lines = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ["state", "id", "ended", "counters"]
    assert lines == [["armed", "1", "", ""], ["", "2", "now", '{"written":5}'], ["new", "", "", ""]]


def test_a_cell_of_a_csv_is_text_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A nested value in a CSV is JSON, and a list of words is a list of words."""
    write_rows([{"readers": [{"name": "ines"}], "names": ["a", "b"], "ports": [[1, 2]]}], (), "csv")
    _header, (readers, names, ports) = csv.reader(io.StringIO(capsys.readouterr().out))
    assert (json.loads(readers), names, json.loads(ports)) == ([{"name": "ines"}], "a, b", [[1, 2]])


def test_a_csv_without_rows_has_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    """A CSV without rows has its header, so that a program can parse it."""
    write_rows([], ("id", "state"), "csv")
    assert capsys.readouterr().out == "id,state\r\n"


def test_rows_of_a_table_need_not_have_the_same_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """A table shows the named fields that some row has, or all fields if none are named."""
    write_rows(ROWS, ("id", "ended", "worker"), "table")
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["id", "ended"], ["1"], ["2", "now"], []]
    write_rows(ROWS, (), "table")
    assert capsys.readouterr().out.split("\n")[0].split() == ["id", "state", "ended", "counters"]


def test_a_table_is_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """A table shows yes, no and times to the second, and leaves other text and other forms whole."""
    time = "2026-11-26T17:07:50.906871Z"
    row = {"enabled": False, "changed_at": time, "name": time}
    write_rows([row], (), "table")
    assert capsys.readouterr().out.splitlines()[1].split() == ["no", "2026-11-26", "17:07:50", time]
    write_rows([row], (), "json")
    assert json.loads(capsys.readouterr().out) == [row]


def test_json_holds_rows_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """The output adds no field to a row that has fewer than others."""
    write_rows(ROWS, ("id",), "json")
    assert json.loads(capsys.readouterr().out) == ROWS


def test_an_id_is_never_cut_and_nothing_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal the id stays in one piece, and other cells are folded."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "50")
    write_rows([{"id": "f" * 32, "state": "pending_attestation"}], ("id", "state"), "table")
    shown = capsys.readouterr().out
    assert "f" * 32 in shown
    assert "…" not in shown
    assert "".join(line.split()[-1] for line in shown.splitlines()[1:]) == "pending_attestation"


def test_a_block_is_text_even_if_it_resembles_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Markup and control characters in foreign text have no effect on the terminal, and begin no new line."""
    write_block([("case", ["[bold]T\x1b[2J\nstate armed"]), ("readers", ["ines", "otto"])])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["case     [bold]T\ufffd[2J\ufffdstate armed", "readers  ines", "         otto"]


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("name", ["\x9b2J", "\u202ealice", "\u200b", "\x7f", "\U000e0001", "\ufeff", 'é "\\" \n\t 😀'])
def test_json_shows_a_terminal_nothing_that_it_obeys(capsys: pytest.CaptureFixture[str], form: str, name: str) -> None:
    """JSON escapes controls, direction marks and invisible characters, with the same meaning to a program."""
    write_rows([{"id": name}], ("id",), form)
    shown = capsys.readouterr().out
    assert all(one == "\n" or one.isprintable() for one in shown)
    read = json.loads(shown)
    assert (read[0] if form == "json" else read) == {"id": name}


@pytest.mark.parametrize(
    "name",
    ["=1+1", " =1+1", "\t=1", "\N{FULLWIDTH EQUALS SIGN}1", "\u3000\N{FULLWIDTH PLUS SIGN}1", "-1", "@a", "\xa0+1"],
)
def test_a_csv_holds_no_formula(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A CSV marks a possible formula as text, also behind blanks or wide signs."""
    write_rows([{"id": name}], ("id",), "csv")
    _, (cell,) = csv.reader(io.StringIO(capsys.readouterr().out))
    assert cell.startswith("'")


def test_the_header_of_a_csv_is_that_of_all_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that states its fields has the same header for any rows."""
    for rows in ([], [{"id": "1"}], [{"id": "1", "note": "x", "state": "new"}]):
        write_rows(rows, ("id",), "csv", fields=("id", "state", "note"))
        assert capsys.readouterr().out.splitlines()[0] == "id,state,note"

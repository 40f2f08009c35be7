"""Promises of `linewarden items`."""

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from linewarden.cli import main

_LINE = (
    '"","1001","1002","c","","PJSIP/1001-0000001a","PJSIP/1002-0000001b","Dial","PJSIP/1002","2026-07-01 10:00:00",'
    '"2026-07-01 10:00:05","2026-07-01 10:01:00",60,55,"ANSWERED","DOCUMENTATION","1782900000.1","","",'
    '"1782900000.1",3\n'
)


def test_an_item_is_a_line_of_json_with_its_participants(tmp_path: Path) -> None:
    """A readable file ends with 0, and each record is one JSON object."""
    cdr = tmp_path / "Master.csv"
    cdr.write_text(_LINE)
    done = CliRunner().invoke(main, ["items", "asterisk", "--cdr", str(cdr)])
    assert done.exit_code == 0, done.output
    (item,) = map(json.loads, done.stdout.splitlines())
    assert item["call_id"] == "1782900000.1"
    assert item["participants"][0] == {
        "address": "ext:1001", "role": "caller", "from": "2026-07-01T10:00:00Z", "until": "2026-07-01T10:01:00Z",
    }  # fmt: skip


def test_a_file_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    """A file without a call record ends with 2, and says which line is wrong."""
    cdr = tmp_path / "Master.csv"
    cdr.write_text("no call record\n")
    done = CliRunner().invoke(main, ["items", "asterisk", "--cdr", str(cdr)])
    assert done.exit_code == 2
    assert "Master.csv:1" in done.stderr
    assert "no readable item" in done.stderr


def test_a_torn_line_is_reported_and_the_others_are_printed(tmp_path: Path) -> None:
    """A file with a line that does not parse ends with 5."""
    cdr = tmp_path / "Master.csv"
    cdr.write_text(f"torn\n{_LINE}")
    done = CliRunner().invoke(main, ["items", "asterisk", "--cdr", str(cdr)])
    assert done.exit_code == 5
    assert len(done.stdout.splitlines()) == 1


def test_an_unknown_zone_is_refused(tmp_path: Path) -> None:
    """A zone that does not exist ends with 2 and a hint."""
    cdr = tmp_path / "Master.csv"
    cdr.write_text(_LINE)
    done = CliRunner().invoke(main, ["items", "asterisk", "--cdr", str(cdr), "--tz", "Mars/Base"])
    assert done.exit_code == 2
    assert "Europe/Berlin" in done.stderr


def test_a_reader_that_went_away_ends_the_command_quietly(tmp_path: Path) -> None:
    """A closed pipe ends the command with 141 and without a traceback."""
    cdr = tmp_path / "Master.csv"
    cdr.write_text(_LINE * 5_000)
    call = [sys.executable, "-m", "linewarden.cli", "items", "asterisk", "--cdr", str(cdr)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141

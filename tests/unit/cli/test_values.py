"""Option values: times and kinds of entries."""

import re
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from linewarden.cli.values import INSTANT, KIND, KINDS
from linewarden.server.kinds import KINDS as RECORDED

_LOG_FORMAT = Path(__file__).parents[3] / "docs" / "log-format.md"


@pytest.mark.parametrize(("text", "expected"), [
    ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
    ("2026-01-31T08:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
    ("2026-01-31 08:00:01", datetime(2026, 1, 31, 8, 0, 1, tzinfo=UTC)),
    ("2026-01-31T08:00:01Z", datetime(2026, 1, 31, 8, 0, 1, tzinfo=UTC)),
    ("2026-01-31T08:00:01.123456789Z", datetime(2026, 1, 31, 8, 0, 1, 123456, tzinfo=UTC)),
    ("2026-01-31T08:00:01+01:00", datetime(2026, 1, 31, 7, 0, 1, tzinfo=UTC)),
])  # fmt: skip
def test_times_are_iso_8601(text: str, expected: datetime) -> None:
    """A time is in UTC, unless it states an offset."""
    assert INSTANT.convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "31.01.2026", "2026-13-01", "0001-01-01T00:00:00+01:00", "12:00"])
def test_other_times_are_refused(text: str) -> None:
    """The parser refuses an invalid time and shows a valid one."""
    with pytest.raises(click.BadParameter, match="a time is written as"):
        INSTANT.convert(text, None, None)


def test_kinds_are_those_of_the_log_format() -> None:
    """The kinds of the option are those that the log format documents and that the service records."""
    headings = re.findall("^### .*$", _LOG_FORMAT.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(KINDS) == {kind for heading in headings for kind in re.findall(r"`([a-z._]+)`", heading)}
    assert set(KINDS) == RECORDED
    for kind in KINDS:
        assert KIND.convert(kind, None, None) == kind


def test_an_unknown_kind_is_refused_with_those_that_resemble_it() -> None:
    """The option refuses a mistyped kind and names similar ones."""
    with pytest.raises(click.BadParameter, match=r"did you mean policy\.changed"):
        KIND.convert("policy.change", None, None)


def test_a_kind_that_resembles_no_other_is_left_to_the_server() -> None:
    """The option passes other words on, because the server lists its kinds, and may have kinds of a later version."""
    assert KIND.convert("billing", None, None) == "billing"

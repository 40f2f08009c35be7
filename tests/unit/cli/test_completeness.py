"""Promises of the report on what an answer lacks."""

import pytest

from linewarden.cli.audit.completeness import Completeness
from linewarden.v1 import audit_pb2 as pb


def test_a_count_that_was_not_checked_says_so_and_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """A count taken from the index is a result, with a remark on what it rests on."""
    completeness = Completeness({})
    completeness.note(pb.Completeness(unchecked_items=2_000))
    assert completeness.report() == 0
    assert "counted as indexed" in capsys.readouterr().err


def test_a_count_that_was_checked_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A complete answer has nothing on stderr."""
    completeness = Completeness({})
    completeness.note(pb.Completeness())
    assert completeness.report() == 0
    assert capsys.readouterr().err == ""

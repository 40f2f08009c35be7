"""Rows of the log as an auditor reads them."""

import csv
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import grpc
import pytest
from click.testing import CliRunner

from linewarden.server.cli import main
from linewarden.server.names import EFFECT_NUMBERS, TYPE_NUMBERS, VERB_NUMBERS
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1.audit_pb2_grpc import AuditServiceServicer, add_AuditServiceServicer_to_server

SESSION = "3f2a" * 8


class _Log(AuditServiceServicer):
    """A log with a decision and a capture."""

    def QueryEntries(self, request: pb.QueryEntriesRequest, context: Any) -> pb.QueryEntriesResponse:  # noqa: N802, ARG002
        """Both rows."""
        decision = pb.EntryRow(
            index=7, kind="decision", caller="desk", subject="//partner/ines", verb=VERB_NUMBERS["play"],
            resource_type=TYPE_NUMBERS["voicemail"], resource_id="vm/1", owner="alice",
            effect=EFFECT_NUMBERS["deny"], reason="no_matching_rule",
        )  # fmt: skip
        told = f"session={SESSION} state=sealed stop_reason=time lossy=no"
        rows = [decision, pb.EntryRow(index=8, kind="capture.sealed", details=told)]
        for row in rows:
            row.time.FromJsonString("2026-11-26T15:48:49.123456Z")
        return pb.QueryEntriesResponse(rows=rows, log_size=9)


@pytest.fixture
def address() -> Iterator[str]:
    """Where that log is read."""
    running = grpc.server(ThreadPoolExecutor(1))
    add_AuditServiceServicer_to_server(_Log(), running)  # type: ignore[abstract]  # it answers what is asked here
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    yield f"127.0.0.1:{port}"
    running.stop(None).wait()


def _query(address: str, form: str, **environment: str) -> str:
    options = ["--server", address, "--plaintext", "--tenant", "acme", "--as", "erik", "-o", form]
    done = CliRunner().invoke(main, ["audit", "query", *options], env={"LINEWARDEN_KEY": "lw_1_1", **environment})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_row_fits_a_terminal(address: str) -> None:
    """In 80 columns what happened is read in one piece: no word and no id is cut in two."""
    shown = click.unstyle(_query(address, "table", FORCE_COLOR="1", COLUMNS="80"))
    assert max(map(len, shown.splitlines())) <= 80
    words = ["decision", "play", "voicemail", "vm/1", "alice", "deny", "no_matching_rule", "desk", "//partner/ines"]
    assert {*words, "capture.sealed", SESSION, "sealed", "time", "2026-11-26", "15:48:49"} <= set(shown.split())


def test_programs_get_each_field(address: str) -> None:
    """The other forms have a column for every field, the details as the server made them."""
    decision, capture = csv.DictReader(io.StringIO(_query(address, "csv")))
    told = [decision[name] for name in ("verb", "owner", "caller", "details")]
    assert told == ["play", "alice", "desk", ""]
    assert capture["details"] == f"session={SESSION} state=sealed stop_reason=time lossy=no"
    assert capture["time"] == "2026-11-26T15:48:49.123456Z"
    assert "what" not in capture

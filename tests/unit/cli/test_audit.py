"""Output of rows of the log to an auditor."""

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
from click.testing import CliRunner, Result

from linewarden.audit.entryproof import EntryProof
from linewarden.audit.merkle import Frontier, leaf_hash
from linewarden.audit.note import Checkpoint, Signer, sign_checkpoint
from linewarden.audit.tiles import tree_files
from linewarden.cli import main
from linewarden.v1 import access_pb2, core_pb2
from linewarden.v1 import audit_pb2 as pb
from linewarden.v1.audit_pb2_grpc import AuditServiceServicer, add_AuditServiceServicer_to_server

_SIGNER = Signer("linewarden.example/3f1c", bytes(range(32)))
CAPTURE = "3f2a" * 8
ATTESTATION = "a77e" * 8
OTHER = "0e0e" * 8
WHEN = "2026-11-26T15:48:49.123456Z"


def _rows() -> list[pb.EntryRow]:
    """Return two captures with the entries before them, and a decision about a voicemail."""
    decision = pb.EntryRow(
        index=7, kind="decision", caller="desk", subject="//partner/ines", verb=core_pb2.VERB_PLAY,
        resource_type=core_pb2.RESOURCE_TYPE_VOICEMAIL, resource_id="vm/1", owner="alice",
        effect=access_pb2.EFFECT_DENY, reason="no_matching_rule",
    )  # fmt: skip
    start = pb.EntryRow(
        index=6, kind="decision", subject="//partner/ines", verb=core_pb2.VERB_CAPTURE_START,
        resource_type=core_pb2.RESOURCE_TYPE_CAPTURE, resource_id=CAPTURE, effect=access_pb2.EFFECT_ALLOW,
    )  # fmt: skip
    told = {
        1: ("notice.published", "notice=n version=1"),
        2: ("notice.published", "notice=n version=2"),
        3: ("attestation.made", f"attestation={OTHER} notice=n notice_version=1"),
        4: ("attestation.made", f"attestation={ATTESTATION} notice=n notice_version=2"),
        5: ("capture.requested", f"session={CAPTURE} state=armed attestation={ATTESTATION}"),
        8: ("capture.sealed", f"session={CAPTURE} state=sealed stop_reason=time lossy=no"),
        9: ("capture.requested", f"session={OTHER} attestation={OTHER}"),
        10: ("diagnostics.refused", f"detail=sealed actions=capture_stop session={CAPTURE}"),
        11: ("diagnostics.refused", f"detail=seconds actions=capture_request session={OTHER}"),
        12: ("attestation.withdrawn", f"attestation={ATTESTATION}"),
    }
    rows = [decision, start, *(pb.EntryRow(index=n, kind=kind, details=text) for n, (kind, text) in told.items())]
    for row in rows:
        row.time.FromJsonString(WHEN)
    return sorted(rows, key=lambda row: row.index)


class _Log(AuditServiceServicer):
    """A log of these rows, in pages of at most three."""

    def __init__(self) -> None:
        self.reads = 0
        self.address = ""
        self.lacks: list[pb.Completeness] = []
        self.counted: list[pb.CountEntriesRequest] = []

    def QueryEntries(self, request: pb.QueryEntriesRequest, context: Any) -> pb.QueryEntriesResponse:  # noqa: N802, ARG002
        """Return the rows that fit the filter."""
        self.reads += 1
        wanted = request.filter
        rows = [
            row
            for row in _rows()
            if (not wanted.kinds or row.kind in wanted.kinds)
            and (not wanted.resource_id or row.resource_id == wanted.resource_id)
        ]
        start, size = int(request.page_token or 0), min(3, request.page_size)
        more = str(start + size) if start + size < len(rows) else ""
        return pb.QueryEntriesResponse(
            rows=rows[start : start + size], next_page_token=more, log_size=13, completeness=self._next_lacks()
        )

    def CountEntries(self, request: pb.CountEntriesRequest, context: Any) -> pb.CountEntriesResponse:  # noqa: N802, ARG002
        """Return counts of three hours, or the total alone."""
        self.counted.append(request)
        answer = pb.CountEntriesResponse(total=1_081, log_size=13, completeness=self._next_lacks())
        for hour, count in (("08", 1_080), ("09", 0), ("10", 1)) if request.interval else ():
            answer.buckets.add(count=count).start.FromJsonString(f"2026-11-26T{hour}:00:00Z")
        return answer

    def _next_lacks(self) -> pb.Completeness | None:
        return self.lacks.pop(0) if self.lacks else None

    def GetEntry(self, request: pb.GetEntryRequest, context: Any) -> pb.GetEntryResponse:  # noqa: N802, ARG002
        """Return an entry of a log with nothing else, with more than ten items."""
        entry = {"v": 1, "kind": "decision", "time": 1_795_711_612_696_777, "caller": "desk", "request_id": "",
                 "items": [{"action": "play"}], "enc": [{"ct": "x" * 90}], "actor": {"sid": "p1"}}  # fmt: skip
        data = json.dumps(entry).encode()
        alone = Checkpoint(_SIGNER.verifier.name, 1, leaf_hash(data))
        proof = str(EntryProof(0, (), sign_checkpoint(alone, _SIGNER)))
        disclosed = {"name.p1": "alice", **{f"items.{n}.id": f"vm/{n}" for n in range(12)}}
        return pb.GetEntryResponse(entry=data, proof=proof, verifier_key=str(_SIGNER.verifier), disclosed=disclosed)


@pytest.fixture
def log() -> Iterator[_Log]:
    """Serve that log on loopback."""
    made = _Log()  # type: ignore[abstract]  # it answers what is asked here
    running = grpc.server(ThreadPoolExecutor(1))
    add_AuditServiceServicer_to_server(made, running)
    made.address = f"127.0.0.1:{running.add_insecure_port('127.0.0.1:0')}"
    running.start()
    yield made
    running.stop(None).wait()


def _run(log: _Log, command: str, *arguments: str, **environment: str) -> Result:
    options = ["--server", log.address, "--plaintext", "--tenant", "acme", "--as", "erik"]
    return CliRunner().invoke(
        main, ["audit", command, *options, *arguments], env={"LINEWARDEN_KEY": "lw_1_1", **environment}
    )


def _query(log: _Log, form: str, *arguments: str, **environment: str) -> str:
    done = _run(log, "query", "-o", form, *arguments, **environment)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_row_fits_a_terminal(log: _Log) -> None:
    """A table of 80 columns cuts no word and no id in two."""
    shown = click.unstyle(_query(log, "table", FORCE_COLOR="1", COLUMNS="80"))
    assert max(map(len, shown.splitlines())) <= 80
    words = ["decision", "play", "voicemail", "vm/1", "alice", "deny", "no_matching_rule", "desk", "//partner/ines"]
    assert {*words, "capture.sealed", CAPTURE, "sealed", "time", "2026-11-26", "15:48:49"} <= set(shown.split())


def test_programs_get_each_field(log: _Log) -> None:
    """The other forms have a column for every field, with the details as the server made them."""
    rows = {int(row["index"]): row for row in csv.DictReader(io.StringIO(_query(log, "csv")))}
    told = [rows[7][name] for name in ("verb", "owner", "caller", "details")]
    assert told == ["play", "alice", "desk", ""]
    assert rows[8]["details"] == f"session={CAPTURE} state=sealed stop_reason=time lossy=no"
    assert rows[8]["time"] == WHEN
    assert "what" not in rows[8]


@pytest.mark.parametrize(("limit", "reads", "more"), [(2, 1, True), (4, 2, True), (12, 4, False), (100, 4, False)])
def test_no_page_is_read_that_is_not_shown(log: _Log, limit: int, reads: int, more: bool) -> None:
    """The command reads no page that it does not show, because every read makes an entry."""
    done = _run(log, "query", "--limit", str(limit), "-o", "jsonl")
    assert len(done.stdout.splitlines()) == min(limit, 12)
    assert ("more than" in done.stderr) is more
    assert log.reads == reads


def test_the_history_of_a_capture_is_all_that_is_about_it(log: _Log) -> None:
    """The history of a capture has its entries, refusals, decisions, attestation and notice in order, and no others."""
    rows = json.loads(_query(log, "json", "--capture", CAPTURE))
    assert [row["index"] for row in rows] == [2, 4, 5, 6, 8, 10, 12]


def test_a_history_does_not_repeat_its_capture(log: _Log) -> None:
    """A table of a history leaves out the id of the capture, which the command already has."""
    shown = click.unstyle(_query(log, "table", "--capture", CAPTURE, FORCE_COLOR="1", COLUMNS="80"))
    assert CAPTURE not in shown
    assert ATTESTATION in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_history_takes_no_other_filter(log: _Log) -> None:
    """`audit query --capture` refuses filters that leave entries out, and says when there are more than the limit."""
    assert _run(log, "query", "--capture", CAPTURE, "--kind", "decision").exit_code == 2
    assert log.reads == 0
    done = _run(log, "query", "--capture", CAPTURE, "--limit", "2", "-o", "jsonl")
    assert (len(done.stdout.splitlines()), "more than 2" in done.stderr) == (2, True)


def test_an_incomplete_answer_is_shown_and_said_to_be_incomplete(log: _Log) -> None:
    """Rows of an incomplete answer are printed alone; stderr says what all pages lack and what to do; the code is 5."""
    log.lacks = [
        pb.Completeness(damaged_entries=[40, 7]),
        pb.Completeness(damaged_entries=[7], missing_persons=["5e7f" * 4], unsearched_entries=2_000),
    ]
    done = _run(log, "query", "-o", "jsonl")
    assert done.exit_code == 5
    assert [json.loads(line)["index"] for line in done.stdout.splitlines()] == [row.index for row in _rows()]
    for text in (
        "damaged entries of the log are left out: 7, 40",
        "linewarden audit entry",
        "linewarden audit verify",
        f"persons are missing from the database, and were not erased: {'5e7f' * 4}",
        "newest entries not searched yet: 2000",
    ):
        assert text in done.stderr
    assert done.stderr.count("linewarden: incomplete: ") == 3
    assert _run(log, "query").exit_code == 0


@pytest.mark.parametrize("form", [(), ("--count",), ("--histogram", "day")])
def test_a_hundred_damaged_entries_may_be_more(log: _Log, form: tuple[str, ...]) -> None:
    """An answer that names as many damaged entries as it can says that there may be more, and lists a few."""
    log.lacks = [pb.Completeness(damaged_entries=range(100))]
    done = _run(log, "query", *form)
    assert done.exit_code == 5
    assert "left out: 0, 1, 2, 3, 4, 5, 6, 7, …; 100 or more in all" in done.stderr
    assert done.stdout


@pytest.mark.parametrize("form", [(), ("--count",), ("--histogram", "day")])
@pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv"])
def test_an_unknown_person_is_no_empty_answer(log: _Log, form: tuple[str, ...], output: str) -> None:
    """A person whom the log does not know is named on stderr with the option; stdout stays empty, and the code is 2."""
    log.lacks = [pb.Completeness(unknown_persons=["data_subject"])]
    done = _run(log, "query", "--subject", "bob", "--data-subject", "alcie", "-o", output, *form)
    assert (done.exit_code, done.stdout) == (2, "")
    told = "linewarden: the log does not know this person: alcie (--data-subject); check the spelling\n"
    assert done.stderr == told


def test_a_count_is_a_number(log: _Log) -> None:
    """`audit query --count` prints a number for people, and a field for programs, for any filter."""
    assert (
        _query(log, "table", "--count", "--verb", "play", "--from", "2026-11-26", "--data-subject", "bob") == "1081\n"
    )
    (asked,) = log.counted
    assert (asked.filter.verb, asked.filter.data_subject, asked.interval) == (core_pb2.VERB_PLAY, "bob", 0)
    assert asked.filter.HasField("from")
    assert json.loads(_query(log, "json", "--count")) == [{"count": 1_081}]
    assert _query(log, "csv", "--count").splitlines() == ["count", "1081"]
    assert log.reads == 0


def test_a_histogram_has_a_bar_for_each_interval(log: _Log) -> None:
    """`audit query --histogram` shows bars to people, none shorter than a character, and fields to programs."""
    rows = [line.split() for line in _query(log, "table", "--histogram", "hour").splitlines()]
    assert rows == [
        ["start", "count", "bar"],
        ["2026-11-26", "08:00", "1080", "#" * 40],
        ["2026-11-26", "09:00", "0"],
        ["2026-11-26", "10:00", "1", "#"],
    ]
    assert log.counted[-1].interval == pb.INTERVAL_HOUR
    assert json.loads(_query(log, "json", "--histogram", "month"))[0] == {
        "start": "2026-11-26T08:00:00Z",
        "count": 1_080,
    }
    assert _query(log, "csv", "--histogram", "week").splitlines()[:2] == ["start,count", "2026-11-26T08:00:00Z,1080"]
    assert [line.split()[0] for line in _query(log, "table", "--histogram", "month").splitlines()][1:] == [
        "2026-11"
    ] * 3


@pytest.mark.parametrize(
    "forms",
    [
        ("--count", "--histogram", "day"),
        ("--count", "--capture", CAPTURE),
        ("--histogram", "day", "--capture", CAPTURE),
    ],
)
def test_forms_of_an_answer_exclude_each_other(log: _Log, forms: tuple[str, ...]) -> None:
    """Two forms of an answer at once are wrong usage, and nothing is read."""
    done = _run(log, "query", *forms)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "exclude each other" in done.stderr
    assert (log.reads, log.counted) == (0, [])


def test_an_entry_is_read_as_a_block(log: _Log) -> None:
    """The block of an entry shows persons and items by number, then a line for each field, and sealed ones last."""
    done = _run(log, "entry", "0", FORCE_COLOR="1", COLUMNS="80")
    assert (done.exit_code, "the proof holds" in done.stderr) == (0, True), done.output
    lines = click.unstyle(done.stdout).splitlines()
    assert max(map(len, lines)) <= 80
    labels = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    fields = ["index", "kind", "time", "actor", "caller", "items", "v", "enc"]
    assert labels == [*(f"items.{n}.id" for n in range(12)), "name.p1", *fields]
    assert [" ".join(line.split()) for line in lines if line.startswith(("kind", "items  "))] == [
        "kind decision", 'items {"action": "play"}',
    ]  # fmt: skip


def test_a_verified_log_is_told_of_as_a_block(tmp_path: Path) -> None:
    """The block of a verified log says that it holds, with its size, its root, and its entries by kind."""
    entries = [
        json.dumps({"kind": kind, "time": 1, "v": 1}).encode() for kind in ("decision", "audit.read", "decision")
    ]
    frontier = Frontier()
    for entry in entries:
        frontier.append(leaf_hash(entry))
    for path, data in tree_files(entries, frontier.size, frontier.root()):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    stated = Checkpoint(_SIGNER.verifier.name, frontier.size, frontier.root())
    (tmp_path / "checkpoint").write_text(sign_checkpoint(stated, _SIGNER))
    done = CliRunner().invoke(main, ["audit", "verify", str(tmp_path), "--verifier-key", str(_SIGNER.verifier)])
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "verified yes", "origin linewarden.example/3f1c", "entries 3", f"root {frontier.root().hex()}",
        "kinds 1 audit.read", "2 decision",
    ]  # fmt: skip

"""Notices on the command line: reports of invalid files, and safe output of foreign texts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
from click.testing import CliRunner, Result

from linewarden.cli import main
from linewarden.v1 import capture_pb2, notice_pb2
from linewarden.v1.notice_pb2_grpc import NoticeServiceServicer, add_NoticeServiceServicer_to_server

TEXT = "Calls are captured.\n\x1b[2Jnot cleared\u202e"
AT = "2026-01-02T03:04:05Z"


@dataclass
class Server(NoticeServiceServicer):
    """A server that has one notice, and the requests that it received."""

    asked: list[Any] = field(default_factory=list)
    address: str = ""
    running: tuple[str, ...] = ("5e" * 16, "6f" * 16)

    def GetNotice(self, request: Any, context: Any) -> notice_pb2.GetNoticeResponse:  # noqa: N802, ARG002
        """Return the notice in its second version of three."""
        self.asked.append(request)
        texts = [
            notice_pb2.NoticeText(language="en", text=TEXT),
            notice_pb2.NoticeText(language="de", text="Es wird aufgezeichnet."),
        ]
        return notice_pb2.GetNoticeResponse(
            notice=notice_pb2.Notice(id="n", version=2, texts=texts, hash=b"\1"), current_version=3
        )

    def ListActiveNotices(self, request: Any, context: Any) -> notice_pb2.ListActiveNoticesResponse:  # noqa: N802, ARG002
        """Return two captures with one notice."""
        self.asked.append(request)
        texts = [notice_pb2.NoticeText(language="en", text=TEXT)]
        about: dict[str, Any] = {"notice_id": "n", "notice_version": 2, "texts": texts}
        running = notice_pb2.ActiveNotice(
            coverage=notice_pb2.COVERAGE_POSSIBLE, profile=capture_pb2.CAPTURE_PROFILE_SIGNALLING, **about
        )
        running.started_at.FromJsonString("2026-01-02T03:04:05.678901Z")
        running.ends_before.FromJsonString("2026-01-02T03:14:05.678901Z")
        notices = [notice_pb2.ActiveNotice(capture_id=id) for id in self.running]
        for one in notices:
            one.MergeFrom(running)
        return notice_pb2.ListActiveNoticesResponse(notices=notices)

    def RecordReceipts(self, request: Any, context: Any) -> notice_pb2.RecordReceiptsResponse:  # noqa: N802, ARG002
        """Accept all receipts."""
        self.asked.append(request)
        return notice_pb2.RecordReceiptsResponse(notice=notice_pb2.Notice(id="n", version=2, reported=1))

    def SendNotice(self, request: Any, context: Any) -> notice_pb2.SendNoticeResponse:  # noqa: N802, ARG002
        """Accept all mails."""
        self.asked.append(request)
        taken = notice_pb2.DELIVERY_OUTCOME_TAKEN
        return notice_pb2.SendNoticeResponse(
            results=[notice_pb2.Delivery(person=one.person, outcome=taken) for one in request.recipients]
        )

    def run(self, *arguments: str) -> Result:
        """Run a command."""
        options = ["--server", self.address, "--plaintext", "--tenant", "acme", "--as", "ines"]
        return CliRunner().invoke(
            main, ["diagnostics", arguments[0], *options, *arguments[1:]], env={"LINEWARDEN_KEY": "lw_1_1"}
        )


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve on loopback."""
    made = Server()  # type: ignore[abstract]  # it answers what is asked here
    running = grpc.server(ThreadPoolExecutor(2))
    add_NoticeServiceServicer_to_server(made, running)
    made.address = f"127.0.0.1:{running.add_insecure_port('127.0.0.1:0')}"
    running.start()
    yield made
    running.stop(None)


def test_a_notice_is_shown_as_text(server: Server) -> None:
    """A notice is on stdout without terminal controls, and its version is on stderr."""
    done = server.run("notice", "n", "--version", "2")
    assert done.exit_code == 0
    assert done.stdout == ("[en]\nCalls are captured.\n\ufffd[2Jnot cleared\ufffd\n[de]\nEs wird aufgezeichnet.\n")
    assert done.stderr == "linewarden: version 2 of 3, SHA-256 01\n"
    assert server.asked[0].notice_version == 2


def test_running_captures_can_be_read_and_confirmed(server: Server) -> None:
    """The list of running captures shows id and version to confirm, the time range, and the text of that version."""
    done = server.run("active")
    shown = " ".join(done.stdout.split())
    words = "2026-01-02 03:04:05 may cover you, signalling, until 2026-01-02 03:14:05, notice n, version 2"
    assert f"{'5e' * 16} {words} {'6f' * 16} {words}" in shown
    assert done.stdout.count("Calls are captured.") == 1
    assert "\nn, version 2:\n" in done.stdout


def test_what_runs_fits_a_terminal(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of 80 columns cuts no id or time in two, and shows no names of the contract."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    lines = click.unstyle(server.run("active").stdout).splitlines()
    assert max(map(len, lines)) <= 80
    assert [*lines[1].split()][:3] == ["5e" * 16, "2026-01-02", "03:04:05"]
    assert "COVERAGE" not in "".join(lines)


def test_that_nothing_runs_is_said(server: Server) -> None:
    """The command says that nothing runs in words on stderr, and prints no rows for programs."""
    server.running = ()
    done = server.run("active")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "linewarden: no capture runs\n")
    assert server.run("active", "-o", "json").stdout == "[]\n"


def test_lists_are_brought_with_their_times(server: Server, tmp_path: Path) -> None:
    """Times in a list keep their offset or are UTC, and a byte order mark is no part of a column."""
    file = tmp_path / "x.csv"
    file.write_text(f"\ufeffperson,fact,at\nbob,informed,{AT}\neve,reported,2026-01-02T04:04:05+01:00\n"
                    "zoe,failed,2026-01-02T03:04:05\n", encoding="utf-8")  # fmt: skip
    assert server.run("receipts", "n", "2", str(file), "--channel", "paper").exit_code == 0
    (request,) = server.asked
    assert {one.at.ToJsonString() for one in request.receipts} == {AT}
    assert [notice_pb2.ReceiptFact.Name(one.fact)[13:] for one in request.receipts] == [
        "INFORMED",
        "REPORTED",
        "FAILED",
    ]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("person,fact\nbob,informed\n", "the column at is missing"),
        ("fact,at\ninformed," + AT, "the column person is missing"),
        ("", "the column person is missing"),
        (f"person,fact,at\nbob,informed,{AT}\n,informed,{AT}\n", "line 3: person is empty"),
        ("person,fact,at\nbob,informed\n", "line 2: at is empty"),
        (f"person,fact,at\nbob,knew,{AT}\n", "line 2: fact is unknown; write one of informed, failed, reported"),
        (f"person,fact,at\nbob,confirmed,{AT}\n", "line 2: fact is unknown; write one of informed, failed, reported"),
        ("person,fact,at\nbob,informed,yesterday\n", "line 2: at is not a time; write it as 2026-01-02T03:04:05+01:00"),
        ('person,fact,at\n"bob"x,informed,\n', "after line 1: "),
        ("person,fact,at\n", "the file has no rows"),
        (b"person,fact,at\n\xff,informed,x\n", "the file is not UTF-8"),
    ],
)
def test_a_wrong_list_is_said_to_be_so(server: Server, tmp_path: Path, content: str | bytes, wrong: str) -> None:
    """The command names the wrong column or line of a list, and sends nothing of it."""
    file = tmp_path / "x.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = server.run("receipts", "n", "2", str(file), "--channel", "paper")
    assert done.exit_code == 2
    assert wrong in done.stderr
    assert server.asked == []


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("name,address\nbob,b@x.example\n", "the column person is missing"),
        ("person,address\nbob,\n", "line 2: address is empty"),
    ],
)
def test_a_wrong_list_is_not_sent(server: Server, tmp_path: Path, content: str, wrong: str) -> None:
    """The command checks every line for a person and an address before the first mail leaves."""
    file = tmp_path / "x.csv"
    file.write_text(content)
    done = server.run("send", "n", "2", str(file))
    assert (done.exit_code, wrong in done.stderr, server.asked) == (2, True, [])


def test_a_sending_has_a_name_to_repeat_it_by(server: Server, tmp_path: Path) -> None:
    """Each part of a long list is a separate request, with the same id when the command is repeated by that name."""
    file = tmp_path / "x.csv"
    file.write_text("person,address\n" + "".join(f"p{n},p{n}@x.example\n" for n in range(60)))
    first = server.run("send", "n", "2", str(file))
    name = first.stderr.split()[-1]
    assert server.run("send", "n", "2", str(file), "--request-id", name).exit_code == 0
    ids = [one.header.request_id for one in server.asked]
    assert ids == [f"{name}.0", f"{name}.50"] * 2
    assert first.stdout.count("DELIVERY_OUTCOME_TAKEN") == 60


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"{\n nonsense", "line 2 is not JSON"),
        (b"", "line 1 is not JSON"),
        (b"[]", "the file is not a JSON object"),
        (b"\xff", "the file is not UTF-8"),
        (b'{"audienz": "all"}', "audienz"),
        (b'{"informed_count": "many"}', "informed_count"),
    ],
)
def test_an_invalid_statement_is_reported(server: Server, tmp_path: Path, content: bytes, wrong: str) -> None:
    """The command names line or field of an invalid JSON statement, and attests nothing."""
    file = tmp_path / "x.json"
    file.write_bytes(content)
    done = server.run("attest", str(file))
    assert (done.exit_code, wrong in done.stderr, server.asked) == (2, True, [])

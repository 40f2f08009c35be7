"""The steps of a capture on the command line: the required statements of each, and lists of several pages."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result

from linewarden.cli import main
from linewarden.v1 import capture_pb2 as pb
from linewarden.v1 import core_pb2
from linewarden.v1.capture_pb2_grpc import CaptureServiceServicer, add_CaptureServiceServicer_to_server

METHODS = {
    "approve": "ApproveCapture", "reject": "RejectCapture", "start": "StartCapture", "pause": "PauseCapture",
    "resume": "ResumeCapture", "stop": "StopCapture", "delete": "DeleteCapture",
}  # fmt: skip
NEED_A_CASE = {"start", "resume"}


@dataclass
class Server(CaptureServiceServicer):
    """A server that grants every request, and the requests that it received."""

    asked: list[tuple[str, Any]] = field(default_factory=list)
    address: str = ""

    def ListCaptures(self, request: pb.ListCapturesRequest, context: Any) -> pb.ListCapturesResponse:  # noqa: N802, ARG002
        """Return three pages with a capture each."""
        self.asked.append(("ListCaptures", request))
        page = int(request.page_token or 0)
        following = str(page + 1) if page < 2 else ""
        return pb.ListCapturesResponse(captures=[pb.Capture(id=f"s{page}")], next_page_token=following)

    def run(self, command: str, *arguments: str) -> Result:
        """Run a command."""
        options = ["--server", self.address, "--plaintext", "--tenant", "acme", "--as", "admin"]
        return CliRunner().invoke(main, ["capture", command, *options, *arguments], env={"LINEWARDEN_KEY": "lw_1_1"})


def _answering(server: Server, method: str) -> Any:
    def answer(request: Any, context: Any) -> Any:  # noqa: ARG001
        server.asked.append((method, request))
        return getattr(pb, f"{method}Response")(capture=pb.Capture(id="s1", state=pb.CAPTURE_STATE_ARMED))

    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve on loopback."""
    made = Server()  # type: ignore[abstract]  # it answers what is asked here
    for method in METHODS.values():
        setattr(made, method, _answering(made, method))
    running = grpc.server(ThreadPoolExecutor(2))
    add_CaptureServiceServicer_to_server(made, running)
    made.address = f"127.0.0.1:{running.add_insecure_port('127.0.0.1:0')}"
    running.start()
    yield made
    running.stop(None).wait()


@pytest.mark.parametrize("command", METHODS)
def test_each_step_is_a_command(server: Server, command: str) -> None:
    """Each command sends its statements to the method of the same name, and shows the resulting capture."""
    done = server.run(command, "s1", "--case", "T-1", "--purpose", "legal", "-o", "json")
    assert (done.exit_code, json.loads(done.stdout)[0]["state"]) == (0, "armed"), done.output
    ((method, request),) = server.asked
    stated = (request.capture_id, request.header.context.case_reference, request.header.context.purpose)
    assert (method, *stated) == (METHODS[command], "s1", "T-1", core_pb2.PURPOSE_LEGAL)


@pytest.mark.parametrize("command", METHODS)
def test_what_ends_a_capture_needs_no_case(server: Server, command: str) -> None:
    """An administrator stops, rejects and deletes with the id alone, and a step that begins a capture needs a case."""
    done = server.run(command, "s1")
    assert done.exit_code == (2 if command in NEED_A_CASE else 0)
    assert len(server.asked) == (0 if command in NEED_A_CASE else 1)
    if server.asked:
        assert server.asked[0][1].header.context == core_pb2.Context()


def test_a_list_has_all_pages(server: Server) -> None:
    """The command asks for one page after the other, each with the same statements."""
    done = server.run("list", "--case", "T-1", "-o", "jsonl")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["s0", "s1", "s2"]
    assert [request.page_token for _method, request in server.asked] == ["", "1", "2"]
    assert {request.header.context.case_reference for _method, request in server.asked} == {"T-1"}

"""Messages of the command line after a refused call."""

from typing import Any

import click
import grpc
import pytest
from click.testing import CliRunner
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from linewarden.cli.exit_codes import USAGE, ReportingGroup


@grpc.Call.register
class _Refused(grpc.RpcError):
    """A call that ended with a rich status."""

    def __init__(self, *details: Any) -> None:
        status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="a limit passes its maximum")
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        self._status = rpc_status.to_status(status)

    def code(self) -> Any:
        return self._status.code

    def details(self) -> Any:
        return self._status.details

    def trailing_metadata(self) -> Any:
        return self._status.trailing_metadata


def _told(*details: Any) -> str:
    @click.group(cls=ReportingGroup)
    def main() -> None:
        """Run the command."""

    @main.command()
    def ask() -> None:
        raise _Refused(*details)

    done = CliRunner().invoke(main, ["ask"])
    assert (done.exit_code, done.stdout) == (USAGE, "")
    return done.stderr


def test_an_error_says_what_it_is_about() -> None:
    """The limit, field or state that the server names is behind the message, and wrong fields are below it."""
    info = error_details_pb2.ErrorInfo(reason="LIMIT_TOO_HIGH", metadata={"limit": "seconds", "errors": "2"})
    assert _told(info) == "linewarden: a limit passes its maximum (errors: 2, limit: seconds)\n"
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="limits.seconds", description="must be positive")
    assert _told(bad, info).splitlines()[1:] == ["  limits.seconds: must be positive"]
    assert _told() == "linewarden: a limit passes its maximum\n"


@pytest.mark.parametrize("value", ["", "\x1b[2J", "a word and more", "x" * 65])
def test_only_words_are_told(value: str) -> None:
    """Text that is not from the contract does not reach the terminal, because it does not come from Linewarden."""
    info = error_details_pb2.ErrorInfo(metadata={"limit": value, "field": "hosts"})
    assert _told(info) == "linewarden: a limit passes its maximum (field: hosts)\n"

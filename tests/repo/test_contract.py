"""The contract as specification: it reads as prose, and the generated code is that of the protos."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from contract import PROTOS, elements
from repository import run_tool

from linewarden.authz.model import Verb
from linewarden.server.errors import TABLE
from linewarden.v1.error_reason_pb2 import ErrorReason
from tests.deadlines import HANG_S

_REASONS = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118 - no dict
_WORD = re.compile(r"\b[A-Z]{2,}(?:_[A-Z]+)*\b")


def test_every_element_has_a_comment_that_begins_with_its_name() -> None:
    """A reader of the protos finds a comment that begins with the name of each element."""
    assert len(elements()) > 200
    wrong = [one for one in elements() if not re.match(rf"{re.escape(one.name)}\b", one.comment)]
    assert wrong == []


def test_every_comment_is_a_sentence() -> None:
    """Each comment is a sentence that says more than the name."""
    wrong = [one for one in elements() if len(one.comment.split()) < 2 or one.comment[-1] not in ".}"]
    assert wrong == []


def test_every_rpc_lists_its_error_reasons() -> None:
    """Each rpc lists the error reasons that its caller may get, by names that exist."""
    for rpc in (one for one in elements() if one.kind == "rpc"):
        _text, found, listed = rpc.comment.partition("Error reasons: ")
        assert found, rpc.name
        unknown = set(_WORD.findall(listed)) - _REASONS
        assert unknown == set(), rpc.name
        assert _WORD.search(listed) or "those of " in listed, rpc.name


def test_rights_that_an_rpc_needs_are_verbs() -> None:
    """`Needs X.` names a verb of the policy."""
    needed = {word for one in elements() if one.kind == "rpc" for word in re.findall(r"Needs ([A-Z_]+)", one.comment)}
    assert needed
    assert needed <= {verb.name for verb in Verb}


def test_every_error_reason_shows_the_error_info_it_comes_in() -> None:
    """The worked example of each reason names that reason and the domain."""
    for one in elements():
        name = one.name.removeprefix("ERROR_REASON_")
        if name in _REASONS and one.name != name:
            assert f'{{ "reason": "{name}", "domain": "linewarden", "metadata": {{' in one.comment, name


def test_the_contract_names_the_status_that_the_server_sends() -> None:
    """error_reason.proto and the server's table of errors state the same status for each reason."""
    sent = {told.reason: told.code for told in TABLE.values()}
    for one in elements():
        name = one.name.removeprefix("ERROR_REASON_")
        if name in _REASONS and one.name != name:
            assert one.comment.startswith(f"{one.name} is {sent[name]}: ")


def test_the_generated_code_is_fresh(tmp_path: Path) -> None:
    """protos/gen is what the protos generate, file by file."""
    environment = os.environ | {"PYTHON": sys.executable}
    subprocess.run(["sh", str(PROTOS / "generate.sh"), str(tmp_path)], env=environment, check=True, timeout=HANG_S)
    assert _contents(PROTOS / "gen") == _contents(tmp_path)


@pytest.mark.parametrize("call", [("lint",), ("format", "--diff", "--exit-code")], ids=["lint", "format"])
def test_buf_finds_nothing(call: tuple[str, ...]) -> None:
    """The contract keeps to buf's rules and layout."""
    done = run_tool("buf", *call, cwd=PROTOS)
    assert (done.returncode, done.stdout) == (0, "")


def _contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}

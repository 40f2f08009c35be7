"""The documents say what is true of the code, and what they tell the reader to type works."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from buf.validate import validate_pb2
from capturing import may_capture
from documents import COMMANDS, README, commands, commands_page, reasons, with_made_parts
from repository import ROOT, files, project, run_tool
from running import Service, attending, serving

from linewarden.audit.model import MAX_ENTRY_BYTES
from linewarden.authz.words import MAX_LINE_BYTES
from linewarden.server.workers.certificates import make_authority
from linewarden.v1 import access_pb2, audit_pb2, core_pb2, policy_pb2
from linewarden.v1.error_reason_pb2 import ErrorReason

_DOCUMENTS = [path for path in files() if path.suffix == ".md"]
_TARGETS = re.compile(r"^([a-z][a-z-]*):.*## ", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?://)([^)#]+)")


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _typed() -> Iterator[list[str]]:
    """Every command line that the documents tell the reader to type."""
    for path in _DOCUMENTS:
        for block in _blocks(path, "sh"):
            for line in block.splitlines():
                yield shlex.split(line.split(" > ")[0], comments=True)
        for code in re.findall(r"`((?:make|linewarden) [^`]+)`", path.read_text(encoding="utf-8")):
            yield shlex.split(code)


def test_the_readme_is_that_of_the_code() -> None:
    """Settings, commands and error reasons stand in the README as the code has them: `make docs` writes them."""
    assert README.read_text(encoding="utf-8") == with_made_parts(README.read_text(encoding="utf-8"))


def test_the_page_of_commands_is_that_of_the_code() -> None:
    """docs/commands.md is what `--help` says of every command: `make docs` writes it."""
    assert COMMANDS.read_text(encoding="utf-8") == commands_page()


def test_every_command_and_option_has_help() -> None:
    """`--help` leaves nothing unexplained."""
    for context, command in commands():
        assert command.help, context.command_path
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{context.command_path} {option.name}"


def test_every_error_reason_is_documented() -> None:
    """Each reason that can be sent stands with status and meaning in the table that the README is made from."""
    names = [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()]  # noqa: SIM118 - no dict
    assert list(reasons()) == [name for name in names if name != "UNSPECIFIED"]


def test_every_make_target_named_is_there() -> None:
    """What the documents tell the reader to make can be made, and `make help` lists every target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(_TARGETS.findall(makefile))
    assert {"demo", "test", "run", "help", "check", "lint", "type", "protos", "docs", "bench", "clean"} <= targets
    assert set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)) == targets
    named = {words[1] for words in _typed() if words[:1] == ["make"]}
    assert named
    assert named <= targets


def test_every_command_named_is_there() -> None:
    """Each `linewarden …` in a document is a command, with options that it has."""
    known = {context.command_path: command for context, command in commands()}
    for words in _typed():
        if words[:1] != ["linewarden"]:
            continue
        path = [word for word in words if re.fullmatch(r"[a-z]+", word)]
        depth = 3 if isinstance(known.get(" ".join(path[:2])), click.Group) and len(path) > 2 else 2
        name = " ".join(path[:depth])
        assert name in known, words
        options = {option for parameter in known[name].params for option in parameter.opts} | {"--help", "--version"}
        assert {word for word in words if word.startswith("--")} <= options, words


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    """Links between documents and files are not broken."""
    links = _LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_map_of_the_readme_is_that_of_the_folders() -> None:
    """Every folder of the map is there, and no folder is missing on it."""
    block = next(block for block in _blocks(README, "text") if block.startswith("protos/"))
    folders = {path.relative_to(ROOT).parts[0] for path in files() if len(path.relative_to(ROOT).parts) > 1}
    assert set(re.findall(r"\b([a-z]+)/  ", block)) == {name for name in folders if not name.startswith(".")}


def test_the_changelog_speaks_of_this_version() -> None:
    """The version that is installed has its part in CHANGELOG.md."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{project()['project']['version']}]" in text
    assert "\n## [Unreleased]" in text


def test_the_limits_of_the_readme_are_those_of_the_contract() -> None:
    """The numbers in the table of limits are those that requests are checked with."""
    subject, resource = core_pb2.Subject.DESCRIPTOR, core_pb2.Resource.DESCRIPTOR
    check, batch = access_pb2.CheckRequest.DESCRIPTOR, access_pb2.CheckBatchRequest.DESCRIPTOR
    query, page = audit_pb2.QueryEntriesRequest.DESCRIPTOR, policy_pb2.GetPolicyRequest.DESCRIPTOR
    names = (_rules(check, "tenant"), _rules(subject, "id"), _rules(resource, "id"))
    parties, labels = _rules(resource, "parties").repeated.max_items, _rules(resource, "labels").map.max_pairs
    change = _rules(policy_pb2.ChangePolicyRequest.DESCRIPTOR, "add").repeated.max_items
    rows = {
        "tenant, subject id, resource id": ", ".join(str(one.string.max_bytes) for one in names) + " bytes",
        "parties and labels of an item": f"{parties} and {labels}",
        "items of a batch": str(_rules(batch, "items").repeated.max_items),
        "rows of a query's page": f"{_rules(query, 'page_size').uint32.lte:,}",
        "statements of a policy's page, of one change": f"{_rules(page, 'page_size').uint32.lte:,}, {change:,}",
        "a line of a policy file": f"{MAX_LINE_BYTES:,} bytes",
        "an entry": f"{MAX_ENTRY_BYTES // 1024} KiB; a larger batch becomes several entries",
    }
    text = README.read_text(encoding="utf-8")
    assert [row for row in (f"| {what} | {most} |" for what, most in rows.items()) if row not in text] == []


def test_the_policy_in_the_readme_is_a_policy(tmp_path: Path) -> None:
    """The example of the README passes the lint without a warning."""
    block = next(block for block in _blocks(README, "text") if block.startswith("bind"))
    (tmp_path / "readme.policy").write_text(block)
    done = run_tool("linewarden", "policy", "lint", str(tmp_path / "readme.policy"))
    assert (done.returncode, done.stdout) == (0, "")


def test_the_first_calls_work_as_written(service: Service) -> None:
    """Who types what the README says sees what it says."""
    done = service.run("bash", "-c", _first_calls())
    assert done.returncode == 0, done.stderr
    assert "allowed_by_rule" in done.stdout
    assert "no_matching_rule" in done.stdout
    assert done.stdout.count("default/101/msg1") >= 3
    assert "the proof holds" in done.stderr
    (code,) = _blocks(README, "python")
    asked = service.run("python", "-c", code.replace("localhost:8443", service.address))
    assert asked.stdout.startswith("EFFECT_ALLOW as decision "), asked.stderr


def test_the_log_is_verified_as_written(service: Service) -> None:
    """The commands of the README export and verify a real log, and each of them succeeds."""
    variables = "\n".join(line for line in _first_calls().splitlines() if line.startswith("export "))
    verifying = next(block for block in _blocks(README, "sh") if "audit verify" in block)
    done = service.run("bash", "-ec", f"{variables}\n{verifying}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("True") == 2


@pytest.mark.skipif(not may_capture(), reason="a live capture needs root or CAP_NET_RAW, on Linux")
def test_the_first_capture_works_as_written(tmp_path: Path) -> None:
    """Who types what the README says has a capture, opened and analysed, and all of it in the log."""
    operator, customer, capture = _capture_blocks()
    places, setting = operator.splitlines()
    (tmp_path / "var/linewarden").mkdir(parents=True)
    subprocess.run(["sh", "-ec", places], cwd=tmp_path, check=True)
    stated = tomllib.loads(setting.split("'")[1])
    variables = "\n".join(line for line in _first_calls().splitlines() if line.startswith("export "))
    with serving(tmp_path, LINEWARDEN_PLACES_FILE=stated["places_file"]) as service:
        told = service.run("bash", "-ec", f"{variables}\n{customer}")
        assert told.returncode == 0, told.stderr
        done = service.run("bash", "-c", f"{variables}\n{capture}")
    assert "COVERAGE_POSSIBLE" in done.stdout, done.stderr
    assert "fault.pcapng is the evidence that was recorded" in done.stderr
    assert "OPTIONS" in done.stdout
    assert {"capture.sealed", "capture.opened"} <= set(done.stdout.split())


def test_a_worker_at_another_host_works_as_written(tmp_path: Path) -> None:
    """Who types what the README says has a worker that attends, and can ask from its host."""
    operator, customer, _capture = _capture_blocks()
    (enrolling,) = (block for block in _blocks(README, "sh") if "worker enrol" in block)
    (tmp_path / "var/linewarden").mkdir(parents=True)
    subprocess.run(["sh", "-ec", operator.splitlines()[0]], cwd=tmp_path, check=True)
    written = tmp_path / "var/linewarden/linewarden.toml"
    written.write_text("")
    places, enrol = re.findall(r"^(printf .*|linewarden worker enrol .*)$", enrolling, re.MULTILINE)
    subprocess.run(["sh", "-ec", enrolling.partition("printf")[0] + places], cwd=tmp_path, check=True)
    stated = tomllib.loads(written.read_text())
    written.unlink()
    variables = "\n".join(line for line in _first_calls().splitlines() if line.startswith("export "))
    stated_host, _, stated_port = stated["capture_listen"].partition(":")
    # Any free port stands in for the one of the README, which somebody may be using.
    settings = {"LINEWARDEN_PLACES_FILE": "places.toml", "LINEWARDEN_CAPTURE_LISTEN": f"{stated_host}:0"}
    authority = tmp_path / "var/linewarden/tls/capture-workers.crt"
    make_authority(authority, tmp_path / "var/linewarden/secrets/capture-workers.key", datetime.now(UTC))
    with serving(tmp_path, **settings) as service:
        port = service.said.rpartition(":")[2]
        for block in (enrol.replace(f":{stated_port}", f":{port}"), f"{variables}\n{customer}"):
            told = service.run("bash", "-ec", block)
            assert told.returncode == 0, told.stderr
        with attending(tmp_path / "branch"):
            probe = "linewarden diagnostics probe reachability 127.0.0.1 --as admin --case T-1 --worker branch --port"
            asked = service.run("bash", "-c", f"{variables}\n{probe} {port}")
    assert asked.returncode == 0, asked.stderr
    assert "connect_ms" in asked.stdout


def _capture_blocks() -> list[str]:
    """What the README tells operator, customer and partner to type for a first capture."""
    blocks = (block for block in _blocks(README, "sh") if "worker enrol" not in block)
    return [block for block in blocks if re.search("places|notice|reader", block)]


def _first_calls() -> str:
    """The first calls without the activation of an environment: the one of the tests is active."""
    calls = next(block for block in _blocks(README, "sh") if "linewarden check" in block)
    assert calls.startswith(". .venv/bin/activate\n")
    return calls.removeprefix(". .venv/bin/activate\n")


def _rules(message: object, field: str) -> validate_pb2.FieldRules:
    options = message.fields_by_name[field].GetOptions()  # type: ignore[attr-defined]
    return options.Extensions[validate_pb2.field]  # type: ignore[no-any-return]

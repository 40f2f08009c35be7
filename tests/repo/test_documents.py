"""The documents say what is true of the code, and what they tell the reader to type works."""

import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from buf.validate import validate_pb2
from documents import COMMANDS, README, REFERENCE, commands, commands_page, reasons, with_made_parts
from repository import ROOT, files, project, run_tool
from running import Service, serving

from linewarden.audit.model import MAX_ENTRY_BYTES
from linewarden.audit.shares import ALL_BYTES, TENANT_BYTES
from linewarden.authz import limits
from linewarden.authz.lexer import MAX_LINE_BYTES
from linewarden.server import connections, keyless
from linewarden.server.settings import Settings
from linewarden.v1 import access_pb2, audit_pb2, core_pb2, policy_pb2
from linewarden.v1.error_reason_pb2 import ErrorReason
from tests.rights import live, may_capture

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


def test_the_reference_is_that_of_the_code() -> None:
    """Settings, commands and error reasons stand in docs/reference.md as the code has them: `make docs` writes them."""
    assert REFERENCE.read_text(encoding="utf-8") == with_made_parts(REFERENCE.read_text(encoding="utf-8"))


def test_the_settings_that_the_readme_names_are_settings() -> None:
    """What the README tells the operator to decide on first can be decided on."""
    (named,) = re.findall(r"Those to\ndecide on first:\n\n(.*?)\n\n", README.read_text(encoding="utf-8"), re.DOTALL)
    names = [name for line in re.findall(r"^- (.*?):", named, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)]
    assert len(names) > 5
    assert set(names) <= set(Settings.model_fields)


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
    """Each reason that can be sent stands with status and meaning in the table that the reference is made from."""
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


def test_the_limits_of_the_reference_are_those_of_the_contract() -> None:
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
        "rules of one person, with all its roles, that can concern one item": f"{limits.MAX_CANDIDATES:,}",
        "roles of one person or role, directly and in all": f"{limits.MAX_ROLES}, {limits.MAX_ROLES_IN_ALL}",
        "texts of policies in work, of one tenant and in all": f"{TENANT_BYTES >> 20} MiB, {ALL_BYTES >> 20} MiB",
        "an entry": f"{MAX_ENTRY_BYTES // 1024} KiB; a larger batch becomes several entries",
        "calls of a connection at a time": f"{connections.CALLS_OF_A_CONNECTION}; gRPC clients keep further ones back",
        "streams without a key (health, reflection) of a connection, of an address, in all": (
            f"{keyless.OF_CONNECTION}, {keyless.OF_ADDRESS}, {keyless.OF_ALL:,}"
        ),
        "seconds until a connection speaks HTTP/2": f"{connections.HANDSHAKE_S}",
    }
    text = REFERENCE.read_text(encoding="utf-8")
    assert [row for row in (f"| {what} | {most} |" for what, most in rows.items()) if row not in text] == []


def test_the_policy_in_the_readme_is_a_policy(tmp_path: Path) -> None:
    """The example of the README passes the lint without a warning."""
    block = next(block for block in _blocks(README, "text") if block.startswith("bind"))
    (tmp_path / "readme.policy").write_text(block)
    done = run_tool("linewarden", "policy", "lint", str(tmp_path / "readme.policy"))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_log_is_verified_as_written(service: Service) -> None:
    """The commands of the README export and verify a real log, and each of them succeeds."""
    verifying = next(block for block in _blocks(README, "sh") if "audit verify" in block)
    done = service.run("bash", "-ec", f"{_variables()}\n{verifying}")
    assert done.returncode == 0, done.stderr
    assert len(re.findall("^verified +yes *$", done.stdout, re.MULTILINE)) == 2


@live
@pytest.mark.slow
def test_the_first_capture_works_as_written(tmp_path: Path) -> None:
    """Who types what the README says has a capture opened, analysed and verified, and all of it in the log."""
    operator, customer, capture, auditor = _capture_blocks()
    _operate(tmp_path, operator)
    with serving(tmp_path) as service:
        told = service.run("bash", "-ec", f"{_variables()}\n{customer}")
        assert told.returncode == 0, told.stderr
        done = service.run("bash", "-c", f"{_variables()}\n{capture}\n{auditor}")
    assert "may cover you" in done.stdout, done.stderr
    assert "var/fault.pcapng is the evidence that was recorded" in done.stderr
    assert "the sealed file was compared, not its inside" in done.stderr
    assert "OPTIONS" in done.stdout
    assert {"notice.published", "capture.sealed", "capture.opened"} <= set(done.stdout.split())
    assert {path.name for path in tmp_path.iterdir()} == {"var"}


@pytest.mark.slow
def test_a_worker_at_another_host_works_as_written(tmp_path: Path) -> None:
    """Who pastes what the README says has a worker that attends, asks from its host, and captures there."""
    operator, customer, capture, _auditor = _capture_blocks()
    enrolling, working = (block for block in _blocks(README, "sh") if re.search("linewarden worker", block))
    with socket.socket() as free:  # stands in for the port of the README, which somebody may be using
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    _operate(tmp_path, operator, enrolling.replace("localhost:8444", f"localhost:{port}"))
    if not may_capture():  # what does not need the right is executed all the same
        asking, _capturing = working.split("session=", maxsplit=1)
        working = f'{asking}kill "$worker"\n'
    with serving(tmp_path) as service:
        key = next(line for line in capture.splitlines() if line.startswith("ssh-keygen"))
        told = service.run("bash", "-ec", f"{_variables()}\n{customer}\n{key}")
        assert told.returncode == 0, told.stderr
        reach = working.replace("--port 8443", f"--port {service.address.rpartition(':')[2]}")
        asked = service.run("bash", "-c", f"{_variables()}\n{reach}")
    assert "connect_ms" in asked.stdout, asked.stderr
    if may_capture():
        assert "var/branch.pcapng is the evidence that was recorded" in asked.stderr
        assert "OPTIONS" in asked.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"var"}


def _operate(home: Path, *blocks: str) -> None:
    """Make a service, and do to it what the README tells the operator to."""
    service = Service(home, "")
    made = service.run("linewarden", "init", "var/linewarden")
    assert made.returncode == 0, made.stderr
    for block in blocks:
        done = service.run("bash", "-ec", block)
        assert done.returncode == 0, done.stderr


def _capture_blocks() -> list[str]:
    """What the README tells operator, customer, partner and auditor to type for a first capture."""
    blocks = (block for block in _blocks(README, "sh") if "linewarden worker" not in block)
    return [block for block in blocks if re.search("places|notice|reader|capture verify", block)]


def _variables() -> str:
    """What the first calls set, for those that follow."""
    return "\n".join(line for line in _first_calls().splitlines() if line.startswith("export "))


def _first_calls() -> str:
    """The first calls without the activation of an environment: the one of the tests is active."""
    calls = next(block for block in _blocks(README, "sh") if "linewarden check" in block)
    assert calls.startswith(". .venv/bin/activate\n")
    return calls.removeprefix(". .venv/bin/activate\n")


def _rules(message: object, field: str) -> validate_pb2.FieldRules:
    options = message.fields_by_name[field].GetOptions()  # type: ignore[attr-defined]
    return options.Extensions[validate_pb2.field]  # type: ignore[no-any-return]

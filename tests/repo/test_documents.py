"""The documents say what is true of the code, and what they tell the reader to type works."""

import ast
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from importlib.resources import files as files_of
from itertools import groupby
from pathlib import Path

import acme
import click
import pytest
from blocks import PAGES, blocks, shown
from buf.validate import validate_pb2
from documents import COMMANDS, REFERENCE, commands, commands_page, reasons, with_made_parts
from repository import ROOT, files, project

from linewarden.audit.index.answers import MOST_DAMAGED, MOST_MISSING
from linewarden.audit.model import MAX_ENTRY_BYTES
from linewarden.audit.shares import ALL_BYTES, TENANT_BYTES
from linewarden.authz import limits
from linewarden.authz.conditions import KINDS
from linewarden.authz.lexer import MAX_LINE_BYTES
from linewarden.authz.model import Obligation
from linewarden.authz.statements import parse_document
from linewarden.diagnostics.packets.model import Profile
from linewarden.diagnostics.probes.model import ProbeKind
from linewarden.server import connections, keyless_streams
from linewarden.server.access import MOST_PERSONS
from linewarden.server.intervals import MOST_BUCKETS
from linewarden.server.settings import Settings
from linewarden.v1 import access_pb2, audit_pb2, core_pb2, policy_pb2
from linewarden.v1.error_reason_pb2 import ErrorReason

_DOCUMENTS = [path for path in files() if path.suffix == ".md"]
_TARGETS = re.compile(r"^([a-z][a-z-]*):.*## ", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)")
_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
#: Who has which role, also where the line is a comment.
_BINDING = re.compile(r"^(?:# )?bind\s+([\w/]+)\s+(role:\w+)", re.MULTILINE)
_PUNCTUATION = frozenset("();<>|&")
#: A name in backticks that is the path of a file or folder of the project.
_PATH = re.compile(
    r"`((?:cli|server|authz|audit|diagnostics|protos|examples|benchmarks|tests|docs)/[\w./-]*)(?:::\w+)?`"
)


def _typed() -> Iterator[list[str]]:
    """Every command that the documents tell the reader to type, word by word."""
    for path in _DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        typed = [block for language, block in _FENCED.findall(text) if language == "sh"]
        for line in "\n".join(typed).replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            for ends, words in groupby(lexer, _PUNCTUATION.issuperset):
                if not ends:
                    yield list(words)
        for code in re.findall(r"`((?:make|linewarden) [^`]+)`", text):
            yield shlex.split(code)


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_reference_is_that_of_the_code() -> None:
    """Settings, commands and error reasons stand in docs/reference.md as the code has them: `make docs` writes them."""
    assert REFERENCE.read_text(encoding="utf-8") == with_made_parts(REFERENCE.read_text(encoding="utf-8"))


def test_the_settings_to_decide_first_are_settings() -> None:
    """The operating guide tells the operator to decide only what can be set."""
    text = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    (named,) = re.findall(r"<!-- decide first -->\n(.*?)<!-- /decide first -->", text, re.DOTALL)
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
    assert {"demo", "test", "run", "help", "check", "lint", "type", "protos", "docs", "site", "bench"} <= targets
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
    """Links between documents and files name what exists, down to the heading."""
    broken = []
    for name, anchor in _LINK.findall(document.read_text(encoding="utf-8")):
        target = document.parent / name if name else document
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(f"{name}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_named_is_there(page: Path) -> None:
    """A file or folder of the project that a page names in backticks exists."""
    named = _PATH.findall(page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_named_is_there(page: Path) -> None:
    """A test that a page names as `tests/FILE.py::NAME` is in that file."""
    named = re.findall(r"`(tests/[\w/.-]+)::(\w+)`", page.read_text(encoding="utf-8"))
    assert [name for file, name in named if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")] == []


def test_every_block_that_can_be_copied_is_run_or_says_why_not() -> None:
    """Each block of shell or Python has a name that a test runs it by, or the reason why no test can."""
    unmarked = [f"{one.page}: {one.text}" for one in blocks() if one.language in {"sh", "python"} and not one.mark]
    assert unmarked == []
    names = [one.note for one in blocks() if one.mark == "run"]
    assert sorted(names) == sorted(set(names))
    assert set(names) == set(_run_names())


def _run_names() -> Iterator[str]:
    """The names that tests take blocks by: the texts given to `shown`."""
    for path in (ROOT / "tests/repo").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "shown":
                yield from (str(one.value) for one in node.args if isinstance(one, ast.Constant))


def test_the_guides_quote_the_scene_of_the_demonstration() -> None:
    """The policy, the notice and the attestation that the guides show are those that demonstration and tests use."""
    quoted, whole = (parse_document(text) for text in (shown("policy.example"), acme.POLICY.read_text()))
    assert quoted
    assert {one.text for one in quoted} <= {one.text for one in whole}
    block = shown("captures.customer")
    assert f"echo '{acme.NOTICE_TEXT}' >" in block
    assert f"publish {acme.NOTICE} " in block
    assert f"--audience '{acme.AUDIENCE}'" in block
    (statement,) = re.findall(r"<<END\n(.*?)END\n", block, re.DOTALL)
    fields = acme.statement_fields()
    made = {name for name, value in fields.items() if "$(" in str(json.loads(statement)[name])}
    assert made == {"channels", "notified_from", "notified_until", "valid_until"}
    assert {name: fields[name] for name in fields.keys() - made} == {
        name: value for name, value in json.loads(statement).items() if name not in made
    }


def test_a_person_has_one_role_in_every_example() -> None:
    """A person of the template, also of a line to be uncommented, has the same role in the company's policy."""
    template = files_of("linewarden.authz").joinpath("templates/pbx.policy").read_text(encoding="utf-8")
    roles = [dict(_BINDING.findall(text)) for text in (template, acme.POLICY.read_text(encoding="utf-8"))]
    shared = roles[0].keys() & roles[1].keys()
    assert {"bob", "alice", "admin", "//partner/ines"} <= shared
    assert [name for name in sorted(shared) if roles[0][name] != roles[1][name]] == []


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("policy.md", KINDS),
        ("policy.md", Obligation),
        ("captures.md", Profile),
        ("captures.md", ProbeKind),
    ],
    ids=["conditions", "obligations", "profiles", "probes"],
)
def test_a_guide_names_every_one(page: str, names: Iterable[str]) -> None:
    """The guides list every condition, obligation, profile and kind of probe."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert [str(name) for name in names if f"`{name}" not in text] == []


def test_the_events_of_the_operating_guide_are_written() -> None:
    """The text log can hold each event that operators are told to watch for."""
    text = (ROOT / "docs/operating.md").read_text(encoding="utf-8").partition("| event | means | do |\n")[2]
    code = "".join(path.read_text(encoding="utf-8") for path in files() if path.suffix == ".py")
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|(.*?)\|", text.partition("\n\n")[0], re.MULTILINE)))
    assert len(named) > 5
    assert [name for name in named if not re.search(rf"['\"]{name}['\"]", code)] == []


def test_the_maps_are_those_of_the_folders() -> None:
    """README has every folder, the guide for developers has every room of diagnostics, and they have no other."""
    folders = [path.relative_to(ROOT).parts[:-1] for path in files()]
    assert _mapped("README.md", "protos/") == {one[0] for one in folders if one and not one[0].startswith(".")}
    rooms = {one[1] for one in folders if one[:1] == ("diagnostics",) and len(one) > 1}
    assert _mapped("docs/extending.md", "agent/") == rooms


def _mapped(page: str, start: str) -> set[str]:
    """The folders in the map of a page."""
    text = next(one.text for one in blocks() if one.page == page and one.text.startswith(start))
    names: list[str] = re.findall(r"^([a-z]+)/  ", text, re.MULTILINE)
    assert len(set(names)) == len(names)
    return set(names)


def test_the_changelog_speaks_of_this_version() -> None:
    """The version that is installed has its part in CHANGELOG.md."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{project()['project']['version']}]" in text
    assert "\n## [Unreleased]" in text


def test_the_limits_of_the_reference_are_those_of_the_contract() -> None:
    """The numbers in the table of limits are those that requests are checked with."""
    subject, resource = core_pb2.Subject.DESCRIPTOR, core_pb2.Resource.DESCRIPTOR
    batch = access_pb2.CheckBatchRequest.DESCRIPTOR
    query, page = audit_pb2.QueryEntriesRequest.DESCRIPTOR, policy_pb2.GetPolicyRequest.DESCRIPTOR
    names = (_rules(core_pb2.RequestHeader.DESCRIPTOR, "tenant"), _rules(subject, "id"), _rules(resource, "id"))
    parties, labels = _rules(resource, "parties").repeated.max_items, _rules(resource, "labels").map.max_pairs
    participants = _rules(resource, "participants").repeated.max_items
    change = _rules(policy_pb2.ChangePolicyRequest.DESCRIPTOR, "add").repeated.max_items
    rows = {
        "tenant, subject id, resource id": ", ".join(str(one.string.max_bytes) for one in names) + " bytes",
        "parties, participants and labels of an item": f"{parties}, {participants} and {labels}",
        "items of a batch, their parties and participants together": (
            f"{_rules(batch, 'items').repeated.max_items}, {MOST_PERSONS:,}"
        ),
        "rows of a query's page": f"{_rules(query, 'page_size').uint32.lte:,}",
        "buckets of a count": f"{MOST_BUCKETS:,}",
        "damaged entries, missing persons that an answer of the log names": f"{MOST_DAMAGED}, {MOST_MISSING}",
        "statements of a policy's page, of one change": f"{_rules(page, 'page_size').uint32.lte:,}, {change:,}",
        "a line of a policy file": f"{MAX_LINE_BYTES:,} bytes",
        "rules of one person, with all its roles, that can concern one item": f"{limits.MAX_CANDIDATES:,}",
        "roles of one person or role, directly and in all": f"{limits.MAX_ROLES}, {limits.MAX_ROLES_IN_ALL}",
        "texts of policies in work, of one tenant and in all": f"{TENANT_BYTES >> 20} MiB, {ALL_BYTES >> 20} MiB",
        "an entry": f"{MAX_ENTRY_BYTES // 1024} KiB; a larger batch becomes several entries",
        "calls of a connection at a time": f"{connections.CALLS_OF_A_CONNECTION}; gRPC clients keep further ones back",
        "streams without a key (health, reflection) of a connection, of an address, in all": (
            f"{keyless_streams.OF_CONNECTION}, {keyless_streams.OF_ADDRESS}, {keyless_streams.OF_ALL:,}"
        ),
        "seconds until a connection speaks HTTP/2": f"{connections.HANDSHAKE_S}",
    }
    text = REFERENCE.read_text(encoding="utf-8")
    assert [row for row in (f"| {what} | {most} |" for what, most in rows.items()) if row not in text] == []


def _rules(message: object, field: str) -> validate_pb2.FieldRules:
    options = message.fields_by_name[field].GetOptions()  # type: ignore[attr-defined]
    return options.Extensions[validate_pb2.field]  # type: ignore[no-any-return]

"""Import budgets: each command runs in a fresh interpreter, and the test compares the imported modules."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from linewarden.audit.merkle import Frontier, leaf_hash
from linewarden.audit.note import Checkpoint, Signer, sign_checkpoint
from linewarden.audit.tiles import tree_files
from linewarden.cli import main
from linewarden.cli.exit_codes import REPORTS
from linewarden.cli.lazy_group import CommandEntry, Entry
from linewarden.cli.tree import COMMANDS
from linewarden.diagnostics.analysis.apart import INTERPRETER, PACKAGE, START

#: Runs commands one after the other, then prints the modules that were imported.
_REPORT = """
import json, sys
from linewarden.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit:
        pass
print("\\n" + json.dumps(sorted(sys.modules)))
"""
#: Port 1 of loopback refuses connections.
_ENVIRONMENT = {
    "LINEWARDEN_SERVER": "127.0.0.1:1", "LINEWARDEN_CLIENT_PLAINTEXT": "1", "LINEWARDEN_KEY": "lw_1_1",
    "LINEWARDEN_TENANT": "acme", "LINEWARDEN_SUBJECT": "erik", "GRPC_VERBOSITY": "NONE",
}  # fmt: skip

_DATABASE = {"sqlalchemy", "alembic", "pysqlite3", "psycopg", "mako"}
_SERVER = {*_DATABASE, "casbin", "simpleeval", "pydantic", "pydantic_settings", "pydantic_core", "scapy"}
_NETWORK = {"grpc", "google", "buf"}
#: Libraries that only a server, a terminal or evidence needs.
_HEAVY = {*_SERVER, "structlog", "orjson", "rich", "pygments"}


@dataclass(frozen=True, eq=False)
class Budget:
    """The libraries that a command may not import, and the packages and modules of ours that it may."""

    forbidden: set[str]
    ours: set[str]


HELP = Budget({*_HEAVY, *_NETWORK, "cryptography", "pyrage"}, {"cli"})
CLIENT = Budget({*_HEAVY, "cryptography", "pyrage"}, {"cli", "client", "v1", "audit.errors", "audit.secret_files"})
PROOF = Budget({*_HEAVY, "pyrage"}, {"cli", "client", "v1", "audit"})
EVIDENCE = Budget(_HEAVY, {"cli", "client", "v1", "audit.errors", "audit.secret_files", "diagnostics"})
POLICY = Budget({*_HEAVY, "pyrage"}, {"cli", "client", "v1", "audit", "authz"})
VERIFIER = Budget({*_HEAVY, *_NETWORK, "pyrage"}, {"cli", "audit"})
#: The analysis itself runs in a child process.
ANALYSIS = Budget(
    {*_HEAVY, *_NETWORK, "cryptography", "pyrage"},
    {"cli", "diagnostics.analysis.apart", "diagnostics.analysis.outcome"},
)
ITEMS = Budget({*_HEAVY, *_NETWORK, "cryptography", "pyrage"}, {"cli", "connectors"})
LINT = Budget({*_HEAVY, *_NETWORK, "cryptography", "pyrage"}, {"cli", "audit", "authz"})
WORKER = Budget(_SERVER, {"cli", "v1", "audit", "diagnostics", "server.log", "server.log_stream"})
#: The operator's commands open the database themselves.
OPERATOR = Budget({"scapy"}, {"cli", "v1", "audit", "authz", "diagnostics", "server"})

FILE, FOLDER = "there.txt", "there"
#: The budget of each command, with the fewest words that bring it to its first call.
BUDGETS: dict[str, tuple[Budget, str]] = {
    "assignments load": (POLICY, "some.assignments --region DE"),
    "assignments show": (CLIENT, ""),
    "audit checkpoint": (CLIENT, ""),
    "audit entry": (PROOF, "1"),
    "audit export": (CLIENT, "new"),
    "audit query": (CLIENT, ""),
    "audit verify": (VERIFIER, f"{FOLDER} --verifier-key x"),
    "capture analyse": (ANALYSIS, FILE),
    "capture approve": (CLIENT, "c1"),
    "capture delete": (CLIENT, "c1"),
    "capture fetch": (EVIDENCE, "c1 new --purpose support --case T-1"),
    "capture import": (CLIENT, f"c1 {FILE} --case T-1"),
    "capture list": (CLIENT, ""),
    "capture open": (EVIDENCE, f"c1 new --purpose support --case T-1 --identity {FILE}"),
    "capture pause": (CLIENT, "c1"),
    "capture reject": (CLIENT, "c1"),
    "capture request": (CLIENT, "--case T-1 --reader ines=age1x"),
    "capture resume": (CLIENT, "c1 --case T-1"),
    "capture show": (CLIENT, "c1"),
    "capture start": (CLIENT, "c1 --case T-1"),
    "capture stop": (CLIENT, "c1"),
    "capture verify": (EVIDENCE, f"c1 {FILE}"),
    "capture watch": (CLIENT, "c1"),
    "check": (CLIENT, "play voicemail 1"),
    "diagnostics active": (CLIENT, ""),
    "diagnostics attest": (CLIENT, "statement.json"),
    "diagnostics attestations": (CLIENT, ""),
    "diagnostics confirm": (CLIENT, "n 1"),
    "diagnostics disable": (CLIENT, ""),
    "diagnostics enable": (CLIENT, ""),
    "diagnostics notice": (CLIENT, "n"),
    "diagnostics notices": (CLIENT, ""),
    "diagnostics probe": (CLIENT, "reachability host --case T-1"),
    "diagnostics publish": (CLIENT, f"n en={FILE} --audience staff --channel email"),
    "diagnostics receipts": (CLIENT, "n 1 receipts.csv --channel paper"),
    "diagnostics send": (CLIENT, "n 1 people.csv"),
    "diagnostics status": (CLIENT, ""),
    "diagnostics withdraw": (CLIENT, "a1"),
    "housekeep": (OPERATOR, ""),
    "init": (OPERATOR, ""),
    "items asterisk": (ITEMS, f"--cdr {FILE}"),
    "key create": (OPERATOR, ""),
    "key list": (OPERATOR, ""),
    "key revoke": (OPERATOR, ""),
    "policy lint": (LINT, "some.policy"),
    "policy load": (POLICY, "some.policy"),
    "policy show": (CLIENT, ""),
    "recover": (OPERATOR, ""),
    "serve": (OPERATOR, ""),
    "tenant create": (OPERATOR, ""),
    "tenant list": (OPERATOR, ""),
    "tenant policy": (OPERATOR, ""),
    "usage share": (CLIENT, "on"),
    "usage show": (CLIENT, ""),
    "worker enrol": (OPERATOR, ""),
    "worker run": (WORKER, FOLDER),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files that arguments name."""
    made = tmp_path_factory.mktemp("imports")
    (made / FOLDER).mkdir()
    (made / FILE).write_text("\n")
    (made / FILE).chmod(0o600)
    (made / "some.policy").write_text("bind admin role:admin\nallow role:admin change_policy policy any\n")
    (made / "some.assignments").write_text("assign tel:030123456 admin\n")
    (made / "statement.json").write_text("{}")
    (made / "receipts.csv").write_text("person,fact,at\nbob,informed,2026-01-02\n")
    (made / "people.csv").write_text("person,address\nbob,bob@example.org\n")
    return made


def imported(folder: Path, *commands: list[str]) -> tuple[set[str], str, str]:
    """Run commands in one fresh interpreter; return the modules that it imported, its stdout and its stderr."""
    call = [sys.executable, "-c", _REPORT, json.dumps(commands)]
    done = subprocess.run(call, cwd=folder, env=_ENVIRONMENT, capture_output=True, text=True, timeout=600, check=True)
    *out, modules = done.stdout.splitlines()
    assert "Traceback" not in done.stderr
    return set(json.loads(modules)), "\n".join(out), done.stderr


def over(modules: set[str], budget: Budget) -> set[str]:
    """Return the modules that a budget does not permit. A package that holds a permitted module is permitted."""
    ours = {name.removeprefix("linewarden.") for name in modules if name.startswith("linewarden.")}
    packages = {name.rsplit(".", n)[0] for name in budget.ours for n in range(1, name.count(".") + 1)}
    wrong = {one for one in ours if one not in packages and not _within(one, budget.ours)}
    return wrong | {name.partition(".")[0] for name in modules} & budget.forbidden


def _within(name: str, permitted: set[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in permitted)


def commands() -> dict[str, tuple[CommandEntry, click.Command]]:
    """Return all commands of the tree that are no groups, with their entries in the table."""
    found: dict[str, tuple[CommandEntry, click.Command]] = {}

    def walk(group: click.Command, entries: dict[str, Entry], words: str) -> None:
        assert isinstance(group, click.Group)
        for name, entry in entries.items():
            command = group.commands[name]
            if isinstance(entry, CommandEntry):
                found[f"{words}{name}"] = (entry, command)
            else:
                walk(command, dict(entry.entries), f"{words}{name} ")

    walk(main, COMMANDS, "")
    return found


def _client_modules() -> list[str]:
    """Return the modules with a command that is not the operator's."""
    named = {entry.module: BUDGETS.get(words, (CLIENT, ""))[0] for words, (entry, _) in commands().items()}
    return sorted(module for module, budget in named.items() if budget is not OPERATOR)


def test_every_command_has_a_budget() -> None:
    """Each command of the tree states its permitted imports."""
    assert set(BUDGETS) == set(commands())


def test_the_table_says_of_each_command_what_it_says_itself() -> None:
    """Each entry of the table leads to a command of that name, help text and visibility."""
    for words, (entry, command) in commands().items():
        stated = (words.split()[-1], entry.help, entry.hidden)
        assert stated == (command.name, command.get_short_help_str(1_000), command.hidden), words


@pytest.mark.parametrize(
    "words", ["--version", "--help", "audit --help", "capture --help", "diagnostics --help", "items --help",
              "key --help", "policy --help", "tenant --help", "usage --help", "worker --help", "no-such-command"],
)  # fmt: skip
def test_help_imports_no_command(folder: Path, words: str) -> None:
    """Version, help of groups and unknown words need the table alone, and import no command."""
    modules, _, _ = imported(folder, words.split())
    assert over(modules, HELP) == set()


@pytest.mark.parametrize("module", _client_modules())
def test_a_module_imports_what_its_commands_need(folder: Path, module: str) -> None:
    """Each command of a module stays within the same budget up to its first call, and to the report of an error."""
    words = [words for words, (entry, _) in commands().items() if entry.module == module]
    (budget,) = {BUDGETS[one][0] for one in words}
    modules, _, said = imported(folder, *([*one.split(), *BUDGETS[one][1].split()] for one in words))
    if "v1" in budget.ours and budget is not WORKER:
        assert said.count("does not listen") == len(words), said
    assert over(modules, budget) == set()


def test_the_process_of_an_analysis_imports_the_standard_library_and_its_own_package() -> None:
    """The process that reads a hostile capture loads no installed library, and nothing that starts a process."""
    report = "import json\nprint(json.dumps([*sys.modules]))\n"
    start = START.replace("sys.exit(main())", report)
    done = subprocess.run([*INTERPRETER, start, PACKAGE], capture_output=True, text=True, timeout=600, check=True)
    modules = set(json.loads(done.stdout)) - {"__main__"}
    assert over(modules, Budget({"subprocess", "tempfile"}, {"diagnostics.analysis", "diagnostics.packets"})) == set()
    assert {name.partition(".")[0] for name in modules} <= {*sys.stdlib_module_names, "linewarden"}


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_verified_log_is_reported_without_another_library(tmp_path: Path, form: str) -> None:
    """`audit verify` stays within its budget to its end, in each form of its output."""
    signer = Signer("linewarden.example/3f1c", bytes(range(32)))
    entries = [b'{"kind":"decision","time":1,"v":1}']
    frontier = Frontier()
    frontier.append(leaf_hash(entries[0]))
    for path, data in tree_files(entries, frontier.size, frontier.root()):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    checkpoint = sign_checkpoint(Checkpoint(signer.verifier.name, frontier.size, frontier.root()), signer)
    (tmp_path / "checkpoint").write_text(checkpoint)
    modules, out, _ = imported(tmp_path, ["audit", "verify", ".", "--verifier-key", str(signer.verifier), "-o", form])
    assert "linewarden.example/3f1c" in out
    assert over(modules, VERIFIER) == set()


def test_every_reported_class_exists() -> None:
    """The names of exceptions in the table of reports lead to classes, so that a rename is followed there."""
    for name in REPORTS:
        module, _, kind = name.rpartition(".")
        assert issubclass(getattr(__import__(module, fromlist=[kind]), kind), BaseException), name

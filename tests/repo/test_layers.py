"""The permitted imports between packages."""

import re

import pytest
from repository import ROOT, files, project, run_tool

_CONTRACTS = [one["id"] for one in project()["tool"]["importlinter"]["contracts"]]
_FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}


def test_imports_point_one_way() -> None:
    """Every contract about layers and libraries in pyproject.toml holds."""
    done = run_tool("lint-imports", "--no-cache", "--no-logo")
    assert done.returncode == 0, done.stdout
    assert f"Contracts: {len(_CONTRACTS)} kept, 0 broken." in done.stdout


#: Imports that a contract forbids: its id, the file, and the line to add to that file.
_FORBIDDEN_IMPORTS = [
    ("layers", "audit/model.py", "import linewarden.authz.model"),
    ("layers", "authz/model.py", "import linewarden.diagnostics"),
    ("layers", "server/tenants.py", "import linewarden.cli"),
    ("layers", "client/model.py", "import linewarden.server.errors"),
    ("client", "client/model.py", "import linewarden.audit.model"),
    ("client", "client/retry.py", "import sqlalchemy"),
    ("connectors", "connectors/model.py", "import linewarden.audit.model"),
    ("connectors", "connectors/asterisk/tree.py", "import sqlalchemy"),
    ("rooms", "diagnostics/packets/mask.py", "import linewarden.diagnostics.errors"),
    ("rooms", "diagnostics/analysis/engine.py", "import linewarden.diagnostics.captures.runs"),
    ("rooms", "diagnostics/probes/service.py", "import linewarden.diagnostics.captures.ports"),
    ("rooms", "diagnostics/captures/runs.py", "import linewarden.diagnostics.evidence.folder"),
    ("rooms", "diagnostics/consent/terms.py", "import linewarden.diagnostics.agent.orders"),
    ("doors", "audit/model.py", "import grpc"),
    ("doors", "diagnostics/captures/runs.py", "import grpc"),
    ("doors", "authz/model.py", "from google.protobuf import message"),
    ("protocol-free", "server/admission.py", "import grpc"),
    ("protocol-free", "server/fair_queue.py", "from linewarden.server import names"),
    ("protocol-free", "server/diagnostics/mail_jobs.py", "from google.protobuf import message"),
    ("index", "audit/index/format.py", "import linewarden.audit.index.reader"),
    ("casbin", "authz/snapshot.py", "import casbin"),
    ("stores", "audit/writer.py", "import sqlalchemy"),
    ("scapy", "diagnostics/analysis/engine.py", "def late():\n    import scapy.all"),
    ("worker", "diagnostics/packets/mask.py", "import linewarden.audit.note"),
    ("verifier", "audit/verify/proof.py", "import linewarden.audit.writer"),
]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the findings of each contract, by its id, in a copy of the code that has all forbidden imports."""
    folder = tmp_path_factory.mktemp("layers")
    (folder / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for path in files():
        if path.suffix == ".py":
            name = path.relative_to(ROOT)
            inner = name.parts[2:] if name.parts[:2] == ("protos", "gen") else ("linewarden", *name.parts)
            if inner[0] == "linewarden":
                copy = folder.joinpath(*inner)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    for _contract, module, wrong in _FORBIDDEN_IMPORTS:
        with (folder / "linewarden" / module).open("a", encoding="utf-8") as file:
            file.write(f"\n{wrong}\n")
    done = run_tool("lint-imports", "--no-cache", "--no-logo", cwd=folder)
    assert done.returncode == 1, done.stdout
    said = " ".join(done.stdout.partition("Broken contracts")[2].split())
    titles = {one["id"]: f"{one['name']} ---" for one in project()["tool"]["importlinter"]["contracts"]}
    starts = {id: said.index(title) for id, title in titles.items() if title in said}
    ends = [*sorted(starts.values()), len(said)]
    return {id: said[start : ends[ends.index(start) + 1]] for id, start in starts.items()}


@pytest.mark.parametrize(("contract", "module", "wrong"), _FORBIDDEN_IMPORTS)
def test_a_forbidden_import_is_found(contract: str, module: str, wrong: str, reported: dict[str, str]) -> None:
    """Each import contract breaks on an import that it forbids, also inside a function."""
    importing = f"linewarden.{module.removesuffix('.py').replace('/', '.')}"
    imported = ".".join(word for word in wrong.splitlines()[-1].split() if word not in {"from", "import"})
    reported_name = imported if imported.startswith("linewarden.") else imported.partition(".")[0]
    assert f" {importing} -> {reported_name} (l." in reported[contract]


def test_files_at_the_root_of_diagnostics_are_shared_by_its_packages() -> None:
    """A file at the root of diagnostics is used by two of its packages or more; others belong into their package."""
    root = ROOT / "diagnostics"
    users: dict[str, set[str]] = {path.stem: set() for path in root.glob("*.py") if path.stem != "__init__"}
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name, packages in users.items():
            if re.search(rf"linewarden\.diagnostics(\.{name}\b| import .*\b{name}\b)", text) and path.parent != root:
                packages.add(path.relative_to(root).parts[0])
    assert {name: packages for name, packages in users.items() if len(packages) < 2} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    """No module has an empty name such as utils, helpers or common."""
    named = {path.stem for path in files() if path.suffix == ".py"} | {path.parent.name for path in files()}
    assert named & _FORBIDDEN_NAMES == set()


def test_nothing_is_started_at_import() -> None:
    """Importing a module makes no engine, server, thread or logger, because the composition root makes them."""
    made = "create_engine|open_engine|Thread|getLogger|get_logger|server"
    makers = re.compile(rf"^(?:\w+ *(?::[^=]+)?= *)?(?:\w+\.)*({made})\(", re.MULTILINE)
    packages = ("audit", "authz", "client", "connectors", "diagnostics", "server")
    ours = [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in packages]
    assert [str(path) for path in ours if makers.search(path.read_text(encoding="utf-8"))] == []

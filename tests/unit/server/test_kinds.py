"""The kinds of entries that a filter may name are those that the code records."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from linewarden.audit import entry
from linewarden.diagnostics import kinds
from linewarden.server.errors import InvalidRequest
from linewarden.server.kinds import KINDS, check_kinds

_ROOT = Path(__file__).parents[3]
_GRAMMAR = re.compile(r"decision|[a-z]+\.[a-z_]+")
#: The functions that make entries, with the place of the kind among their arguments.
_MAKERS = {"encode": 0, "entry": 0, "_append": 1, "_record": 0}


def _constants(module: ModuleType) -> dict[str, str]:
    """Return the names and values of the constants of a module that have the form of a kind."""
    values = {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    return {name: value for name, value in values.items() if _GRAMMAR.fullmatch(value)}


_NAMED = _constants(entry) | _constants(kinds)


def _recorded() -> Iterator[tuple[str, ast.expr]]:
    """Yield the file and the expression of each kind that the code passes to a function that makes an entry."""
    for package in ("audit", "authz", "diagnostics", "server"):
        for path in (_ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield from ((str(path), found) for found in _kinds_in(node))


def _kinds_in(call: ast.Call) -> Iterator[ast.expr]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    place = _MAKERS.get(name)
    if place is not None and len(call.args) > place:
        yield call.args[place]
    if name in {"_replace", "AccessHeader"}:
        yield from (keyword.value for keyword in call.keywords if keyword.arg == "kind")


@pytest.mark.parametrize("module", [entry, kinds], ids=["audit", "diagnostics"])
def test_every_constant_of_a_kind_is_listed(module: ModuleType) -> None:
    """The list of kinds has every constant of its module that has the form of a kind."""
    assert set(_constants(module).values()) <= module.KINDS
    assert all(_GRAMMAR.fullmatch(kind) for kind in module.KINDS)


def test_no_code_records_a_kind_that_is_not_listed() -> None:
    """Code that makes an entry names its kind by a listed constant, never by a text of its own."""
    found = list(_recorded())
    named = 0
    for path, kind in found:
        if isinstance(kind, ast.Constant) and isinstance(kind.value, str) and _GRAMMAR.fullmatch(kind.value):
            assert kind.value in KINDS, path
        name = kind.attr if isinstance(kind, ast.Attribute) else getattr(kind, "id", "")
        if name.isupper():
            assert _NAMED.get(name) in KINDS, f"{path}: {name}"
            named += 1
    assert named > 20, "the functions that make entries have other names by now"


def test_an_unknown_kind_is_refused_with_the_list() -> None:
    """A filter with a kind that the service never records is refused, and the violation lists all kinds."""
    check_kinds(KINDS)
    check_kinds(())
    with pytest.raises(InvalidRequest) as refused:
        check_kinds(("decision", "decisions"))
    (violation,) = refused.value.violations
    assert violation.field == "filter.kinds"
    assert all(f" {kind}" in violation.message for kind in KINDS)
    assert "decisions" not in violation.message

"""The package map, the pinned dependencies and the licences."""

import importlib
import re
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from repository import ROOT, files, project

#: Folders at the top that become packages, with their import names.
_PACKAGES = project()["tool"]["setuptools"]["package-dir"]
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def test_the_package_map_names_every_folder_that_is_a_package() -> None:
    """A folder with an `__init__.py` is in the map, and everything in the map is such a folder."""
    assert set(project()["tool"]["setuptools"]["packages"]) == set(_packages())


def test_every_package_is_marked_as_typed() -> None:
    """Each package is marked as typed, so that type checkers of importing code see its types."""
    folders = [folder for name, folder in _PACKAGES.items() if name.startswith("linewarden.")]
    assert [folder for folder in folders if not (ROOT / folder / "py.typed").is_file()] == []


def test_every_package_is_imported_from_its_folder() -> None:
    """`linewarden.authz` is the folder `authz`, whichever other package is installed."""
    for name in project()["tool"]["setuptools"]["packages"]:
        if name != "linewarden.server.migrations.versions":
            found = importlib.import_module(name).__file__
            assert found is not None
            assert Path(found).resolve().is_relative_to(ROOT), name


def test_every_dependency_is_pinned() -> None:
    """constraints.txt pins each dependency of pyproject.toml, so that a later build equals that of today."""
    pinned = [line for line in _constraints() if "==" in line]
    assert len(pinned) == len(_constraints())
    asked = project()["project"]
    wanted = [*asked["dependencies"], *project()["build-system"]["requires"]]
    wanted += [one for extra in asked["optional-dependencies"].values() for one in extra]
    assert {_normal(one) for one in wanted} - {_normal(one) for one in pinned} == set()


def test_only_the_capture_extra_brings_the_gpl() -> None:
    """An installation without the extra `capture` holds no code under the GPL."""
    asked = project()["project"]
    assert [one for one in asked["dependencies"] if "scapy" in one] == []
    assert [name for name, extra in asked["optional-dependencies"].items() if "scapy" in str(extra)] == ["capture"]
    for requirement in asked["dependencies"]:
        stated = distribution(_normal(requirement)).metadata.json
        assert "GPL" not in f"{stated.get('license_expression')} {stated.get('license')}", requirement


def _packages() -> Iterator[str]:
    for name, folder in _PACKAGES.items():
        for path in files():
            if path.name == "__init__.py" and path.is_relative_to(ROOT / folder):
                inner = path.parent.relative_to(ROOT / folder).parts
                yield ".".join((name, *inner))


def _constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _normal(requirement: str) -> str:
    match = _NAME.match(requirement)
    assert match is not None, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()

"""The site is built from the same pages, and a reader's browser fetches nothing from another host."""

import re
from pathlib import Path

import pytest
from repository import ROOT, run_tool

pytestmark = pytest.mark.slow  # the fixture builds the site

#: References that a browser fetches when it shows a page or applies a style.
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]+src=["']?([^"' >]+)"""
    r"""|<link[^>]+rel=["']?(?:stylesheet|preload|preconnect|icon|shortcut icon)["']?[^>]+href=["']?([^"' >]+)"""
    r"""|@import\s+["']([^"']+)|url\(\s*["']?([^"')]+)"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site as `make site` builds it, which fails on broken links and pages outside the navigation."""
    folder = tmp_path_factory.mktemp("site")
    config = str(ROOT / "properdocs.yml")
    done = run_tool("properdocs", "build", "--strict", "--config-file", config, "--site-dir", str(folder))
    assert done.returncode == 0, done.stdout
    return folder


def test_every_page_is_in_the_site(site: Path) -> None:
    """Each page of docs/ has its page in the site."""
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages <= {path.stem for path in site.glob("*.html")}


def test_the_site_fetches_nothing_from_other_hosts(site: Path) -> None:
    """Scripts, styles, fonts and images come from the site itself, so that no other host learns who reads it."""
    found = []
    for path in site.rglob("*"):
        if path.suffix in {".html", ".css"}:
            fetched = ["".join(one) for one in _FETCHED.findall(path.read_text(encoding="utf-8"))]
            found += [f"{path.name}: {one}" for one in fetched if re.match(r"(?:https?:)?//", one)]
    assert found == []
    assert any(path.suffix == ".js" for path in site.rglob("*"))

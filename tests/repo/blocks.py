"""The code blocks that README and docs/ show, by the names that stand above them.

A comment above a block says how it is kept true: `<!-- run: NAME -->`, a test takes the block under that name and
executes it; `<!-- not run: REASON -->`, no test can. Blocks of output and of data need neither.
"""

import re
from functools import cache
from typing import NamedTuple

from repository import ROOT, files

#: The pages that a reader follows.
PAGES = [
    path for path in files() if path == ROOT / "README.md" or (path.parent == ROOT / "docs" and path.suffix == ".md")
]

_BLOCK = re.compile(r"(?:^<!-- (run|not run): ([^\n]+) -->\n\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A code block of a page. `mark` is `run`, `not run` or empty; `note` is its name, or the reason."""

    page: str
    mark: str
    note: str
    language: str
    text: str


@cache
def blocks() -> tuple[Block, ...]:
    """All code blocks of all pages."""
    return tuple(
        Block(str(page.relative_to(ROOT)), *(part or "" for part in found))
        for page in PAGES
        for found in _BLOCK.findall(page.read_text(encoding="utf-8"))
    )


def shown(name: str) -> str:
    """The block of that name, as a reader copies it."""
    (text,) = (block.text for block in blocks() if block.mark == "run" and block.note == name)
    return text

"""The results as one Markdown page, whose parts may be of different runs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rounds import figure
from section import Goal, Section

_HEAD = """\
# Benchmarks

Written by `make bench`. Each part states when and where it was measured; a later run may have measured some parts only.

**How to read it.** Compare ratios, not single figures. The sides of a comparison were measured in turn, round by round,
in one run on one machine; the figures are medians. Everything ran on loopback. A missed goal is marked as missed.
"""

_MEASURED = "Measured {when:%Y-%m-%d %H:%M} UTC, in {minutes:.1f} minutes, by `{command}`; {facts}."

#: Processor time that other work may take before a part warns of it.
_QUIET = 0.1

_WARNING = """\
**Do not quote these figures:** the machine was busy with other work. Before and after the measurements, {shares} of its
processors were in use.
"""

_PART = re.compile(r"<!-- part: (\w+) -->\n(.*?)<!-- /part -->\n", re.DOTALL)


def part(
    when: datetime,
    minutes: float,
    command: str,
    others: Sequence[float],
    facts: Mapping[str, str],
    section: Section,
) -> str:
    """Return one part of the page; `others` are processor shares of other work, `facts` are of machine and versions."""
    stated = ", ".join(f"{name} {value}" for name, value in facts.items())
    texts = [
        f"## {section.title}\n",
        _MEASURED.format(when=when, minutes=minutes, command=command, facts=stated) + "\n",
    ]
    if max(others) > _QUIET:
        texts.append(_WARNING.format(shares=", ".join(f"{share:.0%}" for share in others)))
    if section.goals:
        texts.append(_goals(section.goals))
    return "\n".join([*texts, table(section.rows), _list(section.notes)])


def page(parts: Mapping[str, str]) -> str:
    """Return the whole page, from the texts of its parts by name."""
    marked = (f"<!-- part: {name} -->\n{text}<!-- /part -->\n" for name, text in parts.items())
    return "\n".join([_HEAD, *marked])


def parts_of(text: str) -> dict[str, str]:
    """Return the texts of the parts of a page by name."""
    return {match[1]: match[2] for match in _PART.finditer(text)}


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first row is its head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _goals(goals: Sequence[Goal]) -> str:
    return table([["work", "goal", "measured", ""], *map(_row, goals)])


def _row(goal: Goal) -> list[str]:
    wanted = f"{'≤' if goal.at_most else '≥'} {figure(goal.wanted)} {goal.unit}"
    verdict = "met" if goal.met else f"**missed by {goal.missed_by:.0%}**"
    return [goal.work, wanted, f"{figure(goal.measured)} {goal.unit}", verdict]


def _list(notes: Sequence[str]) -> str:
    def lines() -> Iterator[str]:
        for note in notes:
            yield f"- {note}"

    return "\n".join(lines()) + "\n"

"""The results as one Markdown page."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rounds import figure
from section import Goal, Section

_HEAD = """\
# Benchmarks

Written by `make bench`; {when:%Y-%m-%d %H:%M} UTC, in {minutes:.1f} minutes. Command: `{command}`.

**How to read it.** Compare ratios, not single figures. The sides of a comparison were measured in turn, round by round,
in one run on one machine; the figures are medians. Everything ran on loopback. A missed goal is marked as missed.
"""

#: Processor time that other work may take before the page warns of it.
_QUIET = 0.1

_WARNING = """\
**Do not quote these figures:** the machine was busy with other work. Before, between and after the measurements,
{shares} of its processors were in use.
"""


def page(
    when: datetime,
    minutes: float,
    command: str,
    others: Sequence[float],
    facts: Mapping[str, Mapping[str, str]],
    sections: Sequence[Section],
) -> str:
    """Return the whole page; `others` are processor shares of other work, `facts` small tables by title."""
    parts = [_HEAD.format(when=when, minutes=minutes, command=command)]
    if max(others) > _QUIET:
        parts.append(_WARNING.format(shares=", ".join(f"{share:.0%}" for share in others)))
    parts += ["## Goals\n", _goals(sections)]
    for section in sections:
        parts += [f"## {section.title}\n", table(section.rows), _list(section.notes)]
    for title, pairs in facts.items():
        parts += [f"## {title}\n", table([["", ""], *([name, value] for name, value in pairs.items())])]
    return "\n".join(parts)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first row is its head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _goals(sections: Sequence[Section]) -> str:
    rows = [["work", "goal", "measured", ""]]
    rows += [_row(goal) for section in sections for goal in section.goals]
    return table(rows)


def _row(goal: Goal) -> list[str]:
    wanted = f"{'≤' if goal.at_most else '≥'} {figure(goal.wanted)} {goal.unit}"
    verdict = "met" if goal.met else f"**missed by {goal.missed_by:.0%}**"
    return [goal.work, wanted, f"{figure(goal.measured)} {goal.unit}", verdict]


def _list(notes: Sequence[str]) -> str:
    def lines() -> Iterator[str]:
        for note in notes:
            yield f"- {note}"

    return "\n".join(lines()) + "\n"

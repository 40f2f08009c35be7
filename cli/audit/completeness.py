"""What an answer lacks, for people: what is missing from the rows, and what to do about it."""

from collections.abc import Mapping
from typing import Any

import click

from linewarden.cli.exit_codes import FEW, INCOMPLETE, USAGE, Failure
from linewarden.v1 import audit_pb2 as pb

#: The entries, and the persons, that an answer names at most. If it names as many, there may be more.
_MOST = 100
#: The options that state a person, by field of the filter.
_PERSONS = {"subject": ("--subject", "actor"), "data_subject": ("--data-subject", "data_subject")}


class Completeness:
    """What all pages of an answer lack. `asked` are the options of the command."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._asked = asked
        self._unsearched = 0
        self._damaged: set[int] = set()
        self._persons: set[str] = set()
        self._unchecked = 0

    def note(self, page: pb.Completeness) -> None:
        """Note what a page lacks.

        Raises:
            Failure: the log does not know a person of the filter, so that the answer is empty for that reason.
        """
        if page.unknown_persons:
            persons = [f"{self._asked[_PERSONS[one][1]]} ({_PERSONS[one][0]})" for one in page.unknown_persons]
            raise Failure(USAGE, f"the log does not know this person: {' and '.join(persons)}; check the spelling")
        self._unsearched = max(self._unsearched, page.unsearched_entries)
        self._damaged.update(page.damaged_entries)
        self._persons.update(page.missing_persons)
        self._unchecked += page.unchecked_items

    def report(self) -> int:
        """Say on stderr what is missing, and return the exit code."""
        texts = []
        if self._damaged:
            texts.append(
                f"damaged entries of the log are left out: {_few(self._damaged)}\n"
                "  'linewarden audit entry N' says whether entry N can be proved; 'linewarden audit export' and\n"
                "  'linewarden audit verify' show the extent; restore the database from a backup"
            )
        if self._persons:
            texts.append(
                f"persons are missing from the database, and were not erased: {_few(self._persons)}\n"
                "  their names and the ids of their items are not shown; restore the database from a backup"
            )
        if self._unsearched:
            texts.append(f"newest entries not searched yet: {self._unsearched}\n  ask again when the index is filled")
        for text in texts:
            click.echo(f"linewarden: incomplete: {text}", err=True)
        if self._unchecked:
            click.echo(
                "linewarden: counted as indexed: entries that were damaged since are included, because more\n"
                "  than 1,000 are not read again; narrow the filter, list the rows, or verify an export",
                err=True,
            )
        return INCOMPLETE if texts else 0


def _few(things: set[Any]) -> str:
    shown = ", ".join(str(one) for one in sorted(things)[:FEW])
    more = f"; {_MOST} or more in all" if len(things) >= _MOST else ""
    return f"{shown}, …{more}" if len(things) > FEW else shown

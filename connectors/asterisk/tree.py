"""The items of a Master.csv and a monitor tree.

No link is followed below the tree, because many programs write into it. The rows are held in memory, because a
recording may belong to any of them.
"""

import os
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path

from linewarden.connectors.asterisk.calls import CallRow, call_row, items_of_call, numbered
from linewarden.connectors.asterisk.cdr_file import rows
from linewarden.connectors.asterisk.recordings import AUDIO, recording
from linewarden.connectors.asterisk.times import Clock
from linewarden.connectors.model import Item, Problem


def read(cdr: Path | None, monitor: Path | None, zone: tzinfo | None = None) -> Iterator[Item | Problem]:
    """Yield the call records, then the recordings, and a problem for each thing that could not be read.

    `zone` is the zone of the file's dates. Without it the unique ids tell the offset, or a record has no times.

    Raises:
        OSError: the file or the folder cannot be read.
    """
    items: list[Item] = []
    calls: dict[str, tuple[Item, ...]] = {}
    if cdr:
        found = _call_rows(cdr, Clock(zone))
        yield from (one for one in found if isinstance(one, Problem))
        for group in _grouped([one for one in found if isinstance(one, CallRow)]):
            made = items_of_call(group)
            items += made
            ids = {row.fields.get("uniqueid", "") for row in group} | {group[0].call_id}
            calls |= {id: tuple(made) for id in ids if id}
        yield from numbered(items)
    if monitor:
        yield from _recordings(monitor, calls)


def _call_rows(cdr: Path, clock: Clock) -> list[CallRow | Problem]:
    found: list[CallRow | Problem] = []
    for one in rows(cdr):
        if isinstance(one, Problem):
            found.append(one)
            continue
        source, fields = one
        row = call_row(fields, source, clock)
        found.append(row)
        if row.start is None:
            found.append(Problem(source, "time unknown: the date, the unique id and the stated zone do not tell it"))
    return found


def _grouped(found: list[CallRow]) -> list[list[CallRow]]:
    groups: dict[str, list[CallRow]] = {}
    for number, row in enumerate(found):
        groups.setdefault(row.call_id or f"row {number}", []).append(row)
    return list(groups.values())


def _recordings(monitor: Path, calls: dict[str, tuple[Item, ...]]) -> Iterator[Item | Problem]:
    for folder, folders, names in os.walk(monitor, onerror=_raise):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            inner = path.relative_to(monitor).as_posix()
            if path.suffix.lower() not in AUDIO:
                continue
            if path.is_symlink() or not path.is_file() or not inner.isprintable() or len(inner.encode()) > 496:
                yield Problem("".join(filter(str.isprintable, inner)), "no regular file, or its name is no id")
            else:
                yield recording(inner, inner, calls)


def _raise(error: OSError) -> None:
    raise error

"""Read an Asterisk tree: voicemail, recordings, faxes and call records as items to ask about.

    python examples/asterisk/spool_reader.py DIR [--cdr FILE] [--config DIR] [--tz Europe/Berlin] [--json]

DIR is a spool (`voicemail/`, `monitor/`, `fax/`), with `cdr-csv/Master.csv` and `etc/asterisk/` in it when they are
kept together, or the root of a machine or of its backup (`var/spool/asterisk`, `var/log/asterisk`, `etc/asterisk`).
What is missing is left out. Nothing is written, and nothing outside DIR is read unless named.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from asterisk_config import Directory, read_directory
from cdr_reader import CallRecord, read_cdr
from media_reader import Media, read_faxes, read_recordings, with_call
from spool_files import first_inside
from spool_item import Item, Problem
from voicemail_reader import read_voicemail

_SPOOL = "var/spool/asterisk"
_CDR = ("cdr-csv/Master.csv", "var/log/asterisk/cdr-csv/Master.csv")
_CONFIG = ("etc/asterisk", "etc")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_tree(
    root: Path, *, cdr: Path | None = None, config: Path | None = None, tz: tzinfo = UTC
) -> Iterator[Item | Problem]:
    """Yield all items of a tree, and a problem for each thing that could not be read; raise nothing.

    `cdr` and `config` name a file and a folder outside the tree. `tz` is the zone Asterisk wrote its dates in.
    Voicemail comes first, then call records, recordings and faxes, each in the order of paths and lines.
    """
    folder = config or first_inside(root, *_CONFIG)
    directory, problems = read_directory(folder, root=None if config else root) if folder else (Directory(), [])
    yield from problems
    if spool := first_inside(root, "voicemail", f"{_SPOOL}/voicemail"):
        yield from read_voicemail(root, spool, directory)
    media, problems = _media(root, directory, tz)
    yield from problems
    path = cdr or first_inside(root, *_CDR)
    yield from _joined(media, read_cdr(path, root=root, directory=directory, tz=tz) if path else iter(()))


def _media(root: Path, directory: Directory, tz: tzinfo) -> tuple[list[Media], list[Problem]]:
    found: list[Media | Problem] = []
    if folder := first_inside(root, "monitor", f"{_SPOOL}/monitor"):
        found += read_recordings(root, folder, directory, tz)
    if folder := first_inside(root, "fax", f"{_SPOOL}/fax"):
        found += read_faxes(root, folder)
    return [one for one in found if isinstance(one, Media)], [one for one in found if isinstance(one, Problem)]


def _joined(media: list[Media], records: Iterator[CallRecord | Problem]) -> Iterator[Item | Problem]:
    """Yield the call records in order, then the files, completed from the answered record of their call."""
    wanted = {one.uniqueid for one in media if one.uniqueid}
    calls: dict[str, Item] = {}
    for record in records:
        if isinstance(record, Problem):
            yield record
            continue
        yield record.item
        if record.answered and record.uniqueid in wanted:
            calls.setdefault(record.uniqueid, record.item)
    yield from (with_call(one, calls) for one in media)


def read_cdr_file(path: Path, *, directory: Directory | None = None, tz: tzinfo = UTC) -> Iterator[Item | Problem]:
    """Yield the call records of one file, and a problem for each line that does not parse."""
    for record in read_cdr(path, directory=directory, tz=tz):
        yield record if isinstance(record, Problem) else record.item


def split(found: Iterable[Item | Problem]) -> tuple[list[Item], list[Problem]]:
    """Return items and problems separately."""
    items: list[Item] = []
    problems: list[Problem] = []
    for one in found:
        if isinstance(one, Item):
            items.append(one)
        else:
            problems.append(one)
    return items, problems


def _rows(items: Iterable[Item]) -> Iterator[tuple[str, ...]]:
    yield "type", "created (UTC)", "owner", "queue", "parties", "id"
    for item in items:
        # Added to the epoch, because some platforms cannot convert years far away.
        moment = (
            "" if item.created_us is None else f"{_EPOCH + timedelta(microseconds=item.created_us):%Y-%m-%d %H:%M:%S}"
        )
        yield item.type.value, moment, item.owner, item.queue, " ".join(item.parties), item.id


def _print_table(items: list[Item]) -> None:
    rows = list(_rows(items))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise argparse.ArgumentTypeError("no such time zone") from None


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="List the items of an Asterisk tree.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a spool, or the root of a machine or its backup")
    parser.add_argument("--cdr", type=Path, metavar="FILE", help="a Master.csv outside DIR")
    parser.add_argument("--config", type=Path, metavar="DIR", help="a folder with voicemail.conf outside DIR")
    parser.add_argument("--tz", type=_zone, default=UTC, metavar="ZONE", help="zone of the dates, default UTC")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Print items to standard output and problems to standard error; return 0, or 2 when DIR is not a folder."""
    asked = _arguments().parse_args(arguments)
    if not asked.folder.is_dir():
        print("not a folder", file=sys.stderr)
        return 2
    items, problems = split(read_tree(asked.folder, cdr=asked.cdr, config=asked.config, tz=asked.tz))
    if asked.json:
        print(*(json.dumps(asdict(item), ensure_ascii=False) for item in items), sep="\n")
    else:
        _print_table(items)
    for problem in problems:
        print(f"{problem.source}: {problem.text}", file=sys.stderr)
    return 0


def _ending() -> int:
    """Return the exit code of the program; 141, as in a shell, if the reader of its output went away."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # otherwise Python reports the unwritten rest again
        return 141
    return code


if __name__ == "__main__":
    sys.exit(_ending())

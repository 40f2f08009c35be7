"""Call detail records as Asterisk's cdr_csv.c writes them into Master.csv: 16 to 21 columns, no header line.

The first 16 columns are always there. `loguniqueid` and `loguserfield` add one each, `newcdrcolumns` adds three, and an
installation that changed its settings has lines of several lengths in one file. With one extra column it may be either,
so its shape decides. Dates are local time unless `usegmtime` is set, hence the time zone argument.

Each line is read separately, because a line that a full disk cut must not spoil the lines after it.

The owner follows from the channels, not from the caller's number. A channel is an authenticated phone. A caller can
show any number, so a number makes no owner.
"""

import csv
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from asterisk_config import Directory, endpoint_of
from spool_files import open_regular, shown
from spool_item import (
    Item,
    ItemType,
    Problem,
    UniqueIds,
    microseconds,
    phone_numbers,
    stable_id,
    text_of,
)

_LINE_BYTES = 64 << 10
_BASE = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata",
    "start", "answer", "end", "duration", "billsec", "disposition", "amaflags",
)  # fmt: skip
_NEW = ("peeraccount", "linkedid", "sequence")
_UNIQUEID = re.compile(r"(?:\S+-)?\d{6,}\.\d+")
_NUMBER = re.compile(r"<([^<>]*)>\s*$")
_DISPOSITIONS = {"ANSWERED", "NO ANSWER", "BUSY", "FAILED", "CONGESTION"}
_VOICEMAIL_APPS = {"VoiceMail", "VoiceMailMain"}


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A line of the file: its item, and the facts that media files of the same call need."""

    item: Item
    uniqueid: str
    answered: bool


def read_cdr(
    path: Path, *, root: Path | None = None, directory: Directory | None = None, tz: tzinfo = UTC
) -> Iterator[CallRecord | Problem]:
    """Yield each line of a Master.csv, in its order. `tz` is the zone of the file's dates."""
    name = shown(path, root or path.parent)
    unique = UniqueIds()
    for number, line in _lines(path):
        fields = _fields(line) if line is not None else None
        if number == 0:
            yield Problem(name, "file cannot be read")
        elif fields is None or (start := _time(fields["start"], tz)) is None:
            yield Problem(f"{name}:{number}", "not a call record of 16 to 21 columns")
        else:
            yield _record(fields, start, f"{name}:{number}", directory or Directory(), unique)


def _lines(path: Path) -> Iterator[tuple[int, str | None]]:
    """Yield number and text of each line that is not blank; None for one too long, number 0 for no file."""
    try:
        with os.fdopen(open_regular(path, follow=True), "rb") as file:
            number = 0
            while line := file.readline(_LINE_BYTES):
                number += 1
                whole = line
                while len(line) == _LINE_BYTES and not line.endswith(b"\n"):
                    line = file.readline(_LINE_BYTES)
                if whole.strip():
                    yield number, text_of(whole) if len(whole) < _LINE_BYTES else None
    except OSError:
        yield 0, None


def _fields(line: str) -> Mapping[str, str] | None:
    try:
        values = next(csv.reader([line], strict=True))
    except (csv.Error, StopIteration):
        return None
    extra = _extra_columns(values)
    if extra is None:
        return None
    fields = dict(zip(_BASE + extra, values, strict=True))
    return fields if fields["duration"].isdigit() and fields["billsec"].isdigit() else None


def _extra_columns(values: list[str]) -> tuple[str, ...] | None:
    """Return the names of the columns after the sixteenth; None when there cannot be that many."""
    count = len(values) - len(_BASE)
    if not 0 <= count <= 5:
        return None
    new = _NEW if count >= 3 else ()
    either = ("uniqueid",) if count in {1, 4} and _UNIQUEID.fullmatch(values[16]) else ("userfield",)
    return {0: (), 1: either, 2: ("uniqueid", "userfield")}[count - len(new)] + new


def _record(fields: Mapping[str, str], start: int, source: str, directory: Directory, unique: UniqueIds) -> CallRecord:
    queue = fields["lastdata"].split(",")[0] if fields["lastapp"] == "Queue" else ""
    clid = _NUMBER.search(fields["clid"])
    disposition = fields["disposition"]
    item = Item(
        type=ItemType.CDR,
        id=unique.take(_id(fields))[0],
        owner=_owner(fields, directory),
        queue=directory.queue_of(queue) if queue else "",
        parties=phone_numbers(fields["src"], fields["dst"], clid[1] if clid else ""),
        created_us=start,
        labels={"disposition": disposition if disposition in _DISPOSITIONS else "other"},
        source=source,
    )
    return CallRecord(item, fields.get("uniqueid", ""), disposition == "ANSWERED")


def _id(fields: Mapping[str, str]) -> str:
    """Return the unique id with the sequence; without a sequence, with a digest of the line.

    A digest rather than a line number, because it survives the rotation of the file. Equal lines get a count.
    """
    uniqueid, sequence = fields.get("uniqueid", ""), fields.get("sequence", "")
    if uniqueid and sequence:
        return stable_id(f"{uniqueid}/{sequence}")
    digest = hashlib.sha256("\0".join(fields.values()).encode()).hexdigest()
    return stable_id(f"{uniqueid or 'row'}/{digest[:24]}")


def _owner(fields: Mapping[str, str], directory: Directory) -> str:
    for channel, number in ((fields["channel"], fields["src"]), (fields["dstchannel"], fields["dst"])):
        endpoint = endpoint_of(channel)
        if endpoint and (directory.knows(endpoint) or endpoint == number):
            return directory.owner_of_extension(endpoint)
    if fields["lastapp"] in _VOICEMAIL_APPS:
        number, _, context = fields["lastdata"].split(",")[0].partition("@")
        return directory.owner_of_mailbox(context or "default", number) if number else ""
    return directory.owner_of_extension(fields["dst"]) if directory.knows(fields["dst"]) else ""


def _time(text: str, tz: tzinfo) -> int | None:
    try:
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=tz)
        return microseconds(moment.timestamp())
    except (ValueError, OverflowError):
        return None

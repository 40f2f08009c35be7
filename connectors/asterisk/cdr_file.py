"""Rows of Master.csv as cdr_csv.c writes them: 16 to 21 columns, no header line.

The first 16 columns are always there. `loguniqueid` and `loguserfield` add one each, `newcdrcolumns` adds three. With
one extra column it may be either of two, so its shape decides. Each line is read separately, because a line that a
full disk cut must not spoil the lines after it.
"""

import csv
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from linewarden.connectors.model import Problem

_LINE_BYTES = 64 << 10
_BASE = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata",
    "start", "answer", "end", "duration", "billsec", "disposition", "amaflags",
)  # fmt: skip
_NEW = ("peeraccount", "linkedid", "sequence")
_UNIQUEID = re.compile(r"(?:\S+-)?\d{6,}\.\d+")
_SECONDS = re.compile(r"[0-9]{1,9}")
_ID = re.compile(r"[!-~]{1,128}")

Fields = Mapping[str, str]


def rows(path: Path) -> Iterator[tuple[str, Fields] | Problem]:
    """Yield source and fields of each line, and a problem for each line that does not parse.

    Raises:
        OSError: the file cannot be read, or is no regular file.
    """
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a regular file")
        number = 0
        while line := file.readline(_LINE_BYTES):
            number += 1
            rest = line
            while len(rest) == _LINE_BYTES and not rest.endswith(b"\n"):
                rest = file.readline(_LINE_BYTES)
            if line.strip():
                fields = parse(text_of(line)) if rest is line else None
                source = f"{path.name}:{number}"
                yield (source, fields) if fields else Problem(source, "not a call record of 16 to 21 columns")


def parse(line: str) -> Fields | None:
    """Return the columns of a line by their names; None where it is no call record."""
    try:
        values = next(csv.reader([line], strict=True))
    except (csv.Error, StopIteration):
        return None
    extra = _extra_columns(values)
    if extra is None:
        return None
    fields = dict(zip(_BASE + extra, values, strict=True))
    # The service refuses an id of another form.
    fields |= {name: "" for name in ("uniqueid", "linkedid") if not _ID.fullmatch(fields.get(name, ""))}
    return fields if all(_SECONDS.fullmatch(fields[name]) for name in ("duration", "billsec")) else None


def text_of(data: bytes) -> str:
    """Return the bytes as text: UTF-8, else Latin-1, which never fails."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _extra_columns(values: list[str]) -> tuple[str, ...] | None:
    count = len(values) - len(_BASE)
    if not 0 <= count <= 5:
        return None
    new = _NEW if count >= 3 else ()
    either = ("uniqueid",) if count in {1, 4} and _UNIQUEID.fullmatch(values[16]) else ("userfield",)
    return {0: (), 1: either, 2: ("uniqueid", "userfield")}[count - len(new)] + new

"""Lines of a Master.csv as cdr_csv.c prints them: text in quotes, numbers bare, an unset time left empty."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call as the billing sees it. Times are seconds since 1970 UTC; `answer` is None for a missed call."""

    start: int
    end: int
    answer: int | None = None
    src: str = ""
    dst: str = ""
    channel: str = ""
    clid: str = ""
    dstchannel: str = ""
    lastapp: str = "Dial"
    lastdata: str = ""
    context: str = "from-internal"
    disposition: str = "ANSWERED"
    uniqueid: str = ""
    userfield: str = ""
    linkedid: str = ""
    sequence: int = 0


def line(call: Call, *, uniqueid: bool = True, userfield: bool = True, new: bool = True) -> str:
    """Return the line of a call under the three settings of cdr.conf: 16 to 21 columns."""
    billed = call.end - call.answer if call.answer is not None else 0
    cells = [
        *map(_quoted, ("", call.src, call.dst, call.context, call.clid, call.channel, call.dstchannel)),
        *map(_quoted, (call.lastapp, call.lastdata)),
        *map(_date, (call.start, call.answer, call.end)),
        str(call.end - call.start),
        str(billed),
        *map(_quoted, (call.disposition, "DOCUMENTATION")),
    ]
    cells += [_quoted(call.uniqueid)] if uniqueid else []
    cells += [_quoted(call.userfield)] if userfield else []
    cells += [_quoted(""), _quoted(call.linkedid or call.uniqueid), str(call.sequence)] if new else []
    return ",".join(cells) + "\n"


def file(calls: Iterable[Call], eras: Iterable[tuple[bool, bool, bool]]) -> bytes:
    """Return a whole file: the first calls under each combination of settings in turn, all others with 21 columns."""
    rest = iter(calls)
    old = [line(call, uniqueid=u, userfield=f, new=n) for (u, f, n), call in zip(eras, rest, strict=False)]
    return "".join([*old, *map(line, rest)]).encode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _date(seconds: int | None) -> str:
    return "" if seconds is None else _quoted(f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}")

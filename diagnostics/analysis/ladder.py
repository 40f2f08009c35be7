"""A SIP ladder as text: columns and arrows where the terminal is wide enough, a list with letters where it is not."""

from collections.abc import Sequence

from linewarden.diagnostics.analysis.arrows import Arrow, Ladder
from linewarden.diagnostics.analysis.model import Endpoint
from linewarden.diagnostics.analysis.stream_report import StreamReport
from linewarden.diagnostics.analysis.text import clean, clip
from linewarden.diagnostics.analysis.trouble import Hint

_TIME_WIDTH = 11
_MAX_LABEL = 32

#: Between two columns closer than this, labels would be cut too short to tell messages apart.
_MIN_SPACING = 24
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def render_ladder(
    ladder: Ladder, streams: Sequence[StreamReport] = (), width: int = 80, findings: Sequence[Hint] = ()
) -> str:
    """The ladder in lines of at most `width` characters, at least 32; times in seconds after the first message.

    Below it stand the sessions that were described and the media that flowed.
    """
    width = max(32, width)
    columns = participants(ladder)
    spacing = _spacing(ladder, columns, width)
    head = [*(f"! {warning}" for warning in ladder.warnings), f"Call-ID {ladder.call_id}"]
    head += [f"* {hint.trouble}: {hint.text}" for hint in findings]
    body = _wide(ladder, columns, spacing) if spacing else _narrow(ladder, columns, width)
    below = [*_sessions(ladder, width), *_media(ladder, streams, width)]
    return "\n".join(line.rstrip() for line in [*(clip(line, width) for line in head), "", *body, *below]) + "\n"


def participants(ladder: Ladder) -> list[Endpoint]:
    """The addresses of a ladder in the order in which they appear."""
    return list(dict.fromkeys(end for arrow in ladder.arrows for end in (arrow.source, arrow.destination)))


def caption(arrow: Arrow) -> str:
    """The text on an arrow."""
    return arrow.label + (" (SDP)" if arrow.description else "") + (" (again)" if arrow.resent else "")


def _spacing(ladder: Ladder, columns: Sequence[Endpoint], width: int) -> int:
    """The distance of columns: as labels need it or as the width allows; 0 if the columns do not fit."""
    if not columns:
        return 16
    longest = max((min(len(caption(arrow)), _MAX_LABEL) + 6 for arrow in ladder.arrows), default=0)
    heads = max(len(str(column)) + 2 for column in columns)
    spacing = min(max(longest, heads, 16), (width - _TIME_WIDTH) // len(columns))
    return spacing if spacing >= max(heads, min(longest, _MIN_SPACING)) else 0


def _wide(ladder: Ladder, columns: Sequence[Endpoint], spacing: int) -> list[str]:
    places = {column: _TIME_WIDTH + spacing * at + spacing // 2 for at, column in enumerate(columns)}
    lines = [" " * _TIME_WIDTH + "".join(str(column).center(spacing) for column in columns)]
    for arrow in ladder.arrows:
        row = [" "] * (_TIME_WIDTH + spacing * len(columns))
        for place in places.values():
            row[place] = "|"
        row[: _TIME_WIDTH - 1] = _time(ladder, arrow).rjust(_TIME_WIDTH - 1)
        _draw(row, places[arrow.source], places[arrow.destination], arrow)
        lines.append("".join(row))
    return lines


def _draw(row: list[str], begin: int, end: int, arrow: Arrow) -> None:
    if begin == end:
        text = f"@ {clip(caption(arrow), _MAX_LABEL)}"[: len(row) - begin - 2]
        row[begin + 2 : begin + 2 + len(text)] = text
        return
    left, right = min(begin, end) + 1, max(begin, end)
    # Two cells for the blanks around the label, one for the line and one for its point.
    label = _label(arrow, min(_MAX_LABEL, right - left - 4))
    row[left:right] = f" {label} ".center(right - left, "-")
    row[right - 1 if end > begin else left] = ">" if end > begin else "<"


def _label(arrow: Arrow, room: int) -> str:
    """The caption, cut in the words of the message and not in what is added to them."""
    added = caption(arrow)[len(arrow.label) :]
    if len(added) > room // 2:
        return clip(caption(arrow), room)
    return clip(arrow.label, room - len(added)) + added


def _narrow(ladder: Ladder, columns: Sequence[Endpoint], width: int) -> list[str]:
    names = {column: _name(at) for at, column in enumerate(columns)}
    lines = [clip(f"{name} = {column}", width) for column, name in names.items()]
    lines.append("")
    for arrow in ladder.arrows:
        way = f"{names[arrow.source]} > {names[arrow.destination]}"
        lines.append(clip(f"{_time(ladder, arrow):>9} {way} {caption(arrow)}", width))
    return lines


def _name(at: int) -> str:
    return _LETTERS[at] if at < len(_LETTERS) else f"{_LETTERS[at % len(_LETTERS)]}{at // len(_LETTERS)}"


def _time(ladder: Ladder, arrow: Arrow) -> str:
    return _seconds(ladder, arrow.time_ns)


def _seconds(ladder: Ladder, time_ns: int) -> str:
    return f"{(time_ns - ladder.arrows[0].time_ns) / 1e9 if ladder.arrows else 0:.3f}"


def _sessions(ladder: Ladder, width: int) -> list[str]:
    lines: list[str] = []
    for arrow in ladder.arrows:
        if arrow.sessions and not arrow.resent:
            head = f"{_time(ladder, arrow):>9} {arrow.source} {arrow.label}"
            lines += _entry(head, [str(session) for session in arrow.sessions], width)
    return ["", "Sessions", *lines] if lines else []


def _media(ladder: Ladder, streams: Sequence[StreamReport], width: int) -> list[str]:
    lines: list[str] = []
    for stream in streams:
        head = f"{_seconds(ladder, stream.first_ns):>9} {stream.source} > {stream.destination}"
        lines += _entry(head, [describe(stream)], width)
    return ["", "Media", *lines] if lines else []


def _entry(head: str, details: Sequence[str], width: int) -> list[str]:
    """An entry in one line where it fits, else its details below it."""
    if len(details) == 1 and len(head) + 2 + len(details[0]) <= width:
        return [clip(f"{head}  {details[0]}", width)]
    return [clip(head, width), *(clip(f"{'':12}{detail}", width) for detail in details)]


def describe(stream: StreamReport) -> str:
    """A stream in one line: codec, packets, loss, jitter."""
    jitter = f", jitter {stream.jitter.mean_ms:.1f} ms" if stream.jitter else ""
    events = f", telephone-event, {stream.events} events" if stream.events else ""
    return clean(f"{stream.codec or '?'} {stream.packets} packets, {stream.lost_percent:.1f} % lost{jitter}{events}")

"""A SIP ladder as text: columns and arrows where the terminal is wide enough, a list with letters where it is not."""

from collections.abc import Sequence

from linewarden.diagnostics.analysis.model import Endpoint
from linewarden.diagnostics.analysis.report import Arrow, Ladder
from linewarden.diagnostics.analysis.stream import StreamReport
from linewarden.diagnostics.analysis.text import clean, clip

_TIME_WIDTH = 11
_MAX_LABEL = 32
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def render_ladder(ladder: Ladder, streams: Sequence[StreamReport] = (), width: int = 80) -> str:
    """The ladder in lines of at most `width` characters, at least 32; times in seconds after the first message."""
    width = max(32, width)
    columns = participants(ladder)
    spacing = _spacing(ladder, columns)
    head = [*(clip(f"! {warning}", width) for warning in ladder.warnings), clip(f"Call-ID {ladder.call_id}", width), ""]
    if _TIME_WIDTH + spacing * len(columns) <= width:
        body = _wide(ladder, columns, spacing)
    else:
        body = _narrow(ladder, columns, width)
    return "\n".join(line.rstrip() for line in [*head, *body, *_media(streams, width)]) + "\n"


def participants(ladder: Ladder) -> list[Endpoint]:
    """The addresses of a ladder in the order in which they appear."""
    return list(dict.fromkeys(end for arrow in ladder.arrows for end in (arrow.source, arrow.destination)))


def caption(arrow: Arrow) -> str:
    """What stands on an arrow."""
    return arrow.label + (" (SDP)" if arrow.description else "") + (" (again)" if arrow.resent else "")


def _spacing(ladder: Ladder, columns: Sequence[Endpoint]) -> int:
    longest = max((min(len(caption(arrow)), _MAX_LABEL) + 6 for arrow in ladder.arrows), default=0)
    return max(longest, *(len(str(column)) + 2 for column in columns), 16) if columns else 16


def _wide(ladder: Ladder, columns: Sequence[Endpoint], spacing: int) -> list[str]:
    places = {column: _TIME_WIDTH + spacing * at + spacing // 2 for at, column in enumerate(columns)}
    lines = [" " * _TIME_WIDTH + "".join(str(column).center(spacing) for column in columns)]
    for arrow in ladder.arrows:
        row = [" "] * (_TIME_WIDTH + spacing * len(columns))
        for place in places.values():
            row[place] = "|"
        row[: _TIME_WIDTH - 1] = _time(ladder, arrow).rjust(_TIME_WIDTH - 1)
        _draw(row, places[arrow.source], places[arrow.destination], clip(caption(arrow), _MAX_LABEL))
        lines.append("".join(row))
    return lines


def _draw(row: list[str], begin: int, end: int, label: str) -> None:
    if begin == end:
        text = f"@ {label}"[: len(row) - begin - 2]
        row[begin + 2 : begin + 2 + len(text)] = text
        return
    left, right = min(begin, end) + 1, max(begin, end)
    row[left:right] = f" {label} ".center(right - left, "-")
    row[right - 1 if end > begin else left] = ">" if end > begin else "<"


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
    return f"{(arrow.time_ns - ladder.arrows[0].time_ns) / 1e9:.3f}"


def _media(streams: Sequence[StreamReport], width: int) -> list[str]:
    if not streams:
        return []
    return ["", "Media", *(clip(f"{s.source} > {s.destination} {describe(s)}", width) for s in streams)]


def describe(stream: StreamReport) -> str:
    """A stream in one line: codec, packets, loss, jitter."""
    jitter = f", jitter {stream.jitter.mean_ms:.1f} ms" if stream.jitter else ""
    return clean(f"{stream.codec or '?'} {stream.packets} packets, {stream.lost_percent:.1f} % lost{jitter}")

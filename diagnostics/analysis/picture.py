"""A SIP ladder as SVG 1.1: participants are columns, messages arrows, media streams bars between their hosts.

Hints stand at the head. Below an arrow stands the media that its message describes. Where a stream's both ends are
on one host, its bar begins at that host and names the ports.

Written by hand and without scripts, styles or links from outside; every captured text is escaped.
"""

from collections.abc import Iterator, Sequence
from html import escape

from linewarden.diagnostics.analysis.arrows import Arrow, Ladder
from linewarden.diagnostics.analysis.ladder import caption, describe, participants
from linewarden.diagnostics.analysis.model import Endpoint
from linewarden.diagnostics.analysis.stream_report import StreamReport
from linewarden.diagnostics.analysis.text import clip
from linewarden.diagnostics.analysis.timeline_view import draw_timelines, timeline_width
from linewarden.diagnostics.analysis.trouble import Hint

_LEFT = 90
_TOP = 74
_LINE = 18
_ROW = 34
_COLUMN = 300
_LABEL = 40
_SMALL_LABEL = 48
_FREE_LABEL = 60
_HEAD = 6
_INK = "#1b1f24"
_FAINT = "#8c959f"
_REQUEST = "#0550ae"
_GOOD = "#116329"
_BAD = "#a40e26"
_MEDIA = "#6639ba"


_Row = Arrow | StreamReport


def draw_ladder(
    ladder: Ladder, streams: Sequence[StreamReport] = (), findings: Sequence[Hint] = (), *, timeline: bool = False
) -> str:
    """The ladder as an SVG document. Rows follow time and are evenly spaced; the seconds stand at the left.

    With `timeline`, loss, jitter and score of each stream over time stand below it.
    """
    heads, columns = _columns(ladder, streams)
    unordered: list[_Row] = [*ladder.arrows, *streams]
    rows = sorted(unordered, key=_begin)
    notes = [*ladder.warnings, *(f"{hint.trouble}: {hint.text}" for hint in findings)]
    top = _TOP + _LINE * len(notes)
    width, height = _LEFT + _COLUMN * max(2, len(heads)), top + _ROW * (len(rows) + 2)
    below, bottom = draw_timelines(streams if timeline else (), height)
    if below:
        width, height = max(width, timeline_width(streams)), bottom
    title = f"Call-ID {ladder.call_id}"
    frame = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} role="img" font-family="monospace" font-size="12">',
        f"<title>{_text(title, 200)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _write(8, 18, _text(title, width // 8)),
        *(_write(8, 18 + _LINE * at, _text(note, width // 8), colour=_BAD) for at, note in enumerate(notes, 1)),
        *_lifelines(heads, top, top + _ROW * (len(rows) + 2)),
        *_draw_rows(rows, columns, top),
        *below,
    ]
    return "\n".join([*parts, "</svg>", ""])


def _draw_rows(rows: Sequence[_Row], columns: dict[Endpoint, int], top: int) -> Iterator[str]:
    for at, row in enumerate(rows):
        y = top + _ROW * (at + 1)
        seconds = (_begin(row) - _begin(rows[0])) / 1e9
        yield _write(_LEFT - 14, y + 4, f"{seconds:.3f}", anchor="end", colour=_FAINT)
        yield _arrow(row, columns, y) if isinstance(row, Arrow) else _bar(row, columns, y)


def _begin(row: _Row) -> int:
    return row.time_ns if isinstance(row, Arrow) else row.first_ns


def _columns(ladder: Ladder, streams: Sequence[StreamReport]) -> tuple[dict[Endpoint, int], dict[Endpoint, int]]:
    """The middle of each column: of those with a head, and of all ends.

    A media address stands in the column of its host; hosts that only send or receive media have one of their own.
    """
    heads = {end: _middle(at) for at, end in enumerate(participants(ladder))}
    hosts = {end.address: x for end, x in reversed(heads.items())}
    columns = dict(heads)
    for end in (end for stream in streams for end in (stream.source, stream.destination)):
        if end.address not in hosts:
            heads[end] = hosts[end.address] = _middle(len(heads))
        columns.setdefault(end, hosts[end.address])
    return heads, columns


def _middle(at: int) -> int:
    return _LEFT + _COLUMN * at + _COLUMN // 2


def _lifelines(heads: dict[Endpoint, int], top: int, height: int) -> Iterator[str]:
    for end, x in heads.items():
        yield _write(x, top - 30, _text(end.address, _LABEL), anchor="middle")
        yield _write(x, top - 15, f"port {end.port}", anchor="middle")
        yield f'<line x1="{x}" y1="{top - 8}" x2="{x}" y2="{height - 8}" stroke="{_FAINT}"/>'


def _arrow(arrow: Arrow, columns: dict[Endpoint, int], y: int) -> str:
    begin, end = columns[arrow.source], columns[arrow.destination]
    colour, label = _colour(arrow), _text(caption(arrow), _LABEL)
    dash = ' stroke-dasharray="5 3"' if arrow.resent else ""
    if begin == end:
        loop = f'<path d="M{begin} {y - 5}h24v10h-18" fill="none" stroke="{colour}"{dash}/>'
        return loop + _write(begin + 30, y + 4, label, colour=colour) + _session(arrow, begin + 30, y, "start")
    middle, back = (begin + end) // 2, end - _HEAD if end > begin else end + _HEAD
    line = f'<line x1="{begin}" y1="{y}" x2="{back}" y2="{y}" stroke="{colour}"{dash}/>' + _point(end, y, back, colour)
    written = _write(middle, y - 5, label, anchor="middle", colour=colour)
    return line + written + _session(arrow, middle, y, "middle")


def _point(x: int, y: int, back: int, colour: str) -> str:
    return f'<polygon points="{x},{y} {back},{y - 4} {back},{y + 4}" fill="{colour}"/>'


def _session(arrow: Arrow, x: int, y: int, anchor: str) -> str:
    if not arrow.sessions or arrow.resent:
        return ""
    whole = "; ".join(str(session) for session in arrow.sessions)
    shown = _text(whole, _SMALL_LABEL)
    return (
        f'<text x="{x}" y="{y + 12}" text-anchor="{anchor}" fill="{_INK}" font-size="10">'
        f"<title>{_text(whole, 400)}</title>{shown}</text>"
    )


def _bar(stream: StreamReport, columns: dict[Endpoint, int], y: int) -> str:
    begin, end = columns[stream.source], columns[stream.destination]
    here = begin == end
    if here:
        end = begin + _COLUMN // 2
    left, right = min(begin, end), max(begin, end)
    seconds = (stream.last_ns - stream.first_ns) / 1e9
    jitter = f", jitter {stream.jitter.mean_ms:.1f} ms" if stream.jitter else ""
    ports = f"{stream.source.port} > {stream.destination.port} " if here else ""
    label = f"{ports}{stream.codec or 'RTP'} {seconds:.1f} s, {stream.lost_percent:.1f} % lost{jitter}"
    back = end - _HEAD if end > begin else end + _HEAD
    anchor, x, limit = ("start", left + 4, _FREE_LABEL) if here else ("middle", (left + right) // 2, _LABEL)
    written = _write(x, y - 7, _text(label, limit), anchor=anchor, colour=_MEDIA)
    return (
        f"<g><title>{_text(f'{stream.source} > {stream.destination} {describe(stream)}', 160)}</title>"
        f'<rect x="{left + 2}" y="{y - 4}" width="{right - left - 4}" height="8" fill="{_MEDIA}" fill-opacity="0.35"/>'
        f"{_point(end, y, back, _MEDIA)}{written}</g>"
    )


def _colour(arrow: Arrow) -> str:
    first = arrow.label[:1]
    if not first.isdigit():
        return _REQUEST
    return {"1": _FAINT, "2": _GOOD}.get(first, _BAD)


def _write(x: int, y: int, escaped: str, *, anchor: str = "start", colour: str = _INK) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escaped}</text>'


def _text(text: str, limit: int) -> str:
    return escape(clip(text, limit))

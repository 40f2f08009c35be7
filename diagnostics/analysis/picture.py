"""A SIP ladder as SVG 1.1: participants are columns, messages arrows, media streams bars between their hosts.

Written by hand and without scripts, styles or links from outside; every captured text is escaped.
"""

from collections.abc import Iterator, Sequence
from html import escape

from linewarden.diagnostics.analysis.ladder import caption, describe, participants
from linewarden.diagnostics.analysis.model import Endpoint
from linewarden.diagnostics.analysis.report import Arrow, Ladder
from linewarden.diagnostics.analysis.stream import StreamReport
from linewarden.diagnostics.analysis.text import clip

_LEFT = 90
_TOP = 92
_ROW = 30
_COLUMN = 300
_LABEL = 40
_HEAD = 6
_INK = "#1b1f24"
_FAINT = "#8c959f"
_REQUEST = "#0550ae"
_GOOD = "#116329"
_BAD = "#a40e26"
_MEDIA = "#6639ba"


_Row = Arrow | StreamReport


def draw_ladder(ladder: Ladder, streams: Sequence[StreamReport] = ()) -> str:
    """The ladder as an SVG document. Rows follow time and are evenly spaced; the seconds stand at the left."""
    heads, columns = _columns(ladder, streams)
    unordered: list[_Row] = [*ladder.arrows, *streams]
    rows = sorted(unordered, key=_begin)
    width, height = _LEFT + _COLUMN * max(1, len(heads)), _TOP + _ROW * (len(rows) + 2)
    title = f"Call-ID {ladder.call_id}"
    frame = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} role="img" font-family="monospace" font-size="12">',
        f"<title>{_text(title, 200)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _write(8, 18, _text(title, width // 8)),
        _write(8, 36, escape(" ".join(ladder.warnings)), colour=_BAD),
        *_lifelines(heads, height),
        *_draw_rows(rows, columns),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _draw_rows(rows: Sequence[_Row], columns: dict[Endpoint, int]) -> Iterator[str]:
    for at, row in enumerate(rows):
        y = _TOP + _ROW * (at + 1)
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


def _lifelines(heads: dict[Endpoint, int], height: int) -> Iterator[str]:
    for end, x in heads.items():
        yield _write(x, _TOP - 30, _text(end.address, _LABEL), anchor="middle")
        yield _write(x, _TOP - 15, f"port {end.port}", anchor="middle")
        yield f'<line x1="{x}" y1="{_TOP - 8}" x2="{x}" y2="{height - 8}" stroke="{_FAINT}"/>'


def _arrow(arrow: Arrow, columns: dict[Endpoint, int], y: int) -> str:
    begin, end = columns[arrow.source], columns[arrow.destination]
    colour, label = _colour(arrow), _text(caption(arrow), _LABEL)
    dash = ' stroke-dasharray="5 3"' if arrow.resent else ""
    if begin == end:
        loop = f'<path d="M{begin} {y - 5}h24v10h-18" fill="none" stroke="{colour}"{dash}/>'
        return loop + _write(begin + 30, y + 4, label, colour=colour)
    back = end - _HEAD if end > begin else end + _HEAD
    return (
        f'<line x1="{begin}" y1="{y}" x2="{back}" y2="{y}" stroke="{colour}"{dash}/>'
        f'<polygon points="{end},{y} {back},{y - 4} {back},{y + 4}" fill="{colour}"/>'
    ) + _write((begin + end) // 2, y - 5, label, anchor="middle", colour=colour)


def _bar(stream: StreamReport, columns: dict[Endpoint, int], y: int) -> str:
    begin, end = columns[stream.source], columns[stream.destination]
    left, right = min(begin, end), max(begin, end)
    if left == right:
        right = left + _COLUMN // 2
    point = ">" if end >= begin else "<"
    seconds = (stream.last_ns - stream.first_ns) / 1e9
    jitter = f", jitter {stream.jitter.mean_ms:.1f} ms" if stream.jitter else ""
    label = _text(f"{point} {stream.codec or 'RTP'} {seconds:.1f} s, {stream.lost_percent:.1f} % lost{jitter}", _LABEL)
    return (
        (
            f"<g><title>{_text(f'{stream.source} > {stream.destination} {describe(stream)}', 160)}</title>"
            f'<rect x="{left + 2}" y="{y - 4}" width="{right - left - 4}" height="8"'
            f' fill="{_MEDIA}" fill-opacity="0.35"/>'
        )
        + _write((left + right) // 2, y - 7, label, anchor="middle", colour=_MEDIA)
        + "</g>"
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

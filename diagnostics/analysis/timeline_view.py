"""Loss, jitter and score of streams over time: as rows of blocks in a terminal, and as bars in an SVG document.

The scales are the same for all streams of a call, so that two can be compared. A dot is an interval without packets,
a question mark one that the model does not cover.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape

from linewarden.diagnostics.analysis.ladder import describe
from linewarden.diagnostics.analysis.stream_report import StreamReport
from linewarden.diagnostics.analysis.text import clip
from linewarden.diagnostics.analysis.timeline import Timeline

_BLOCKS = "▁▂▃▄▅▆▇█"
_LABEL_WIDTH = 12
_NO_PACKETS = "·"
_NOT_COVERED = "?"
#: Ends of the scales: more is drawn like this.
_FULL_LOSS = 20.0
_FULL_JITTER_MS = 100.0
_WORST_MOS = 1.0
_BEST_MOS = 4.5

_BAR = 8
_BAND = 36
_SVG_LEFT = 90
_COLOURS = ("#a40e26", "#bc4c00", "#116329")

_Row = tuple[str, Sequence[float | None], Callable[[float], float], str]


def render_timelines(streams: Sequence[StreamReport], width: int = 80) -> str:
    """Render each stream in four lines of at most `width` characters; empty without streams."""
    lines: list[str] = []
    for stream in streams:
        lines += ["", *_render(stream, width)]
    return "\n".join(["", "Timeline", *lines[1:], ""]) if lines else ""


def draw_timelines(streams: Sequence[StreamReport], top: int) -> tuple[list[str], int]:
    """Return the parts of an SVG document that show the streams below `top`, and where they end."""
    parts: list[str] = []
    for stream in streams:
        line = stream.timeline
        head = f"{stream.source} > {stream.destination}  {describe(stream)}, a bar is {line.interval_s} s"
        parts.append(_text(8, top + 14, clip(head, 120), "#1b1f24"))
        top += 20
        for (label, values, share, summary), colour in zip(_rows(line), _COLOURS, strict=True):
            parts.append(f"<g><title>{escape(f'{label}: {summary}')}</title>")
            parts += [_text(8, top + _BAND - 8, label, colour), *_bars(values, share, top, colour)]
            parts.append(_text(_SVG_LEFT + _BAR * len(values) + 8, top + _BAND - 8, summary, colour) + "</g>")
            top += _BAND
        top += 16
    return parts, top


def timeline_width(streams: Sequence[StreamReport]) -> int:
    """Return the width in pixels that the timelines need."""
    return _SVG_LEFT + _BAR * max((len(stream.timeline.mos) for stream in streams), default=0) + 120


def _render(stream: StreamReport, width: int) -> Iterator[str]:
    line = stream.timeline
    room = max(8, width - _LABEL_WIDTH - 20)
    yield clip(f"{stream.source} > {stream.destination}  {describe(stream)}", width)
    for label, values, share, summary in _rows(line):
        shown = "".join(_block(value, share, label) for value in values[:room])
        more = "…" if len(values) > room else ""
        yield clip(f"  {label:<{_LABEL_WIDTH - 2}}{shown}{more}  {summary}", width)
    yield clip(f"  {'':<{_LABEL_WIDTH - 2}}one column is {line.interval_s} s", width)


def _rows(line: Timeline) -> Iterator[_Row]:
    """Return label, values, the height of a value from 0 to 1, and the extreme in words."""
    yield "loss", line.lost_percent, _share_of(_FULL_LOSS), _extreme(line.lost_percent, max, "at most {:.1f} %")
    yield "jitter", line.jitter_ms, _share_of(_FULL_JITTER_MS), _extreme(line.jitter_ms, max, "at most {:.1f} ms")
    yield "MOS", line.mos, _score_share, _extreme(line.mos, min, "at least {:.2f}")


def _share_of(full: float) -> Callable[[float], float]:
    return lambda value: min(1.0, value / full)


def _score_share(score: float) -> float:
    return (score - _WORST_MOS) / (_BEST_MOS - _WORST_MOS)


def _extreme(values: Sequence[float | None], pick: Callable[[list[float]], float], words: str) -> str:
    known = [value for value in values if value is not None]
    return words.format(pick(known)) if known else "not known"


def _block(value: float | None, share: Callable[[float], float], label: str) -> str:
    if value is None:
        return _NOT_COVERED if label == "MOS" else _NO_PACKETS
    return _BLOCKS[min(len(_BLOCKS) - 1, int(share(value) * len(_BLOCKS)))]


def _bars(values: Sequence[float | None], share: Callable[[float], float], top: int, colour: str) -> Iterator[str]:
    bottom = top + _BAND - 4
    end = _SVG_LEFT + _BAR * len(values)
    yield f'<line x1="{_SVG_LEFT}" y1="{bottom}" x2="{end}" y2="{bottom}" stroke="#8c959f"/>'
    for at, value in enumerate(values):
        height = 0 if value is None else max(1, round(share(value) * (_BAND - 10)))
        if height:
            place = f'x="{_SVG_LEFT + _BAR * at}" y="{bottom - height}" width="{_BAR - 1}" height="{height}"'
            yield f'<rect {place} fill="{colour}"><title>{value}</title></rect>'


def _text(x: int, y: int, text: str, colour: str) -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}">{escape(text)}</text>'

"""Multipart bodies (RFC 2046): a session description shows its visible lines, any other part only its type."""

import re
from itertools import islice

from linewarden.diagnostics.packets.headers import canonical, show_part_header
from linewarden.diagnostics.packets.overwrite import Veil
from linewarden.diagnostics.packets.sdp import LINE, MAX_LINES, show_sdp

_BOUNDARY = re.compile(rb';\s*boundary[ \t]*=[ \t]*(?:"([^"\r\n]{1,70})"|([^\s;",]{1,70}))', re.IGNORECASE)
_MAX_PARTS = 16
_PLAIN = frozenset({b"", b"7bit", b"8bit", b"binary"})


def show_multipart(veil: Veil, raw: bytes, begin: int, end: int, content_type: bytes, *, finished: bool) -> None:
    """Uncover boundaries, descriptive headers of parts, and session descriptions. `content_type` is in lower case."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return
    # The type is in lower case and the body is not, so boundaries are compared in lower case.
    delimiter = b"--" + (boundary[1] or boundary[2])
    starts = [line for line in islice(LINE.finditer(raw, begin, end), MAX_LINES) if _delimits(line, delimiter)]
    for line, following in zip(starts[:_MAX_PARTS], [*starts[1:], None], strict=False):
        veil.show(*line.span())
        if line[1].rstrip().lower() == delimiter:
            stop = following.start() if following else end
            _show_part(veil, raw, line.end(), stop, finished=finished or following is not None)


def _delimits(line: re.Match[bytes], delimiter: bytes) -> bool:
    return bool(line[2]) and line[1].rstrip().lower() in {delimiter, delimiter + b"--"}


def _show_part(veil: Veil, raw: bytes, begin: int, end: int, *, finished: bool) -> None:
    kinds: list[bytes] = []
    encodings = [b""]
    for line in LINE.finditer(raw, begin, end):
        if not line[2]:
            return
        veil.show(line.end(1), line.end())
        if not line[1]:
            if [kind.split(b";")[0].strip() for kind in kinds] == [b"application/sdp"] and _PLAIN.issuperset(encodings):
                show_sdp(veil, raw, line.end(), end, finished=finished)
            return
        if line[1][:1] in {b" ", b"\t"}:
            continue
        name, _, value = line[1].partition(b":")
        show_part_header(veil, canonical(name), raw, *line.span(1))
        kinds += [value.strip().lower()] * (canonical(name) == b"content-type")
        encodings += [value.strip().lower()] * (canonical(name) == b"content-transfer-encoding")

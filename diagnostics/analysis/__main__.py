"""`python -m linewarden.diagnostics.analysis`: analyses the capture on standard input, in a process that may die.

A capture is hostile input to a parser. So this process first bounds its own memory, time and output, and holds no
secrets. It writes nothing to standard error, because an error may quote captured text.

Exit status: 0 the analysis is on standard output, 2 the input is not a capture, 3 the capture has no such call. Any
other status is a crash, or a bound that was reached.

A form that is not the usual one is imported where it is made, because the start of this process is most of the time
of a small analysis.
"""

import argparse
import resource
import sys
from collections.abc import Sequence

from linewarden.diagnostics.analysis.engine import analyse
from linewarden.diagnostics.analysis.evidence import EvidenceFile
from linewarden.diagnostics.analysis.ladder import render_ladder
from linewarden.diagnostics.analysis.outcome import NO_CALL, NO_CAPTURE, Form
from linewarden.diagnostics.analysis.report import Report, as_json
from linewarden.diagnostics.analysis.stream_report import StreamReport
from linewarden.diagnostics.analysis.tables import render_report
from linewarden.diagnostics.packets.errors import SourceUnusable

#: Timelines shown as text; a malicious capture has thousands of streams.
_MOST_TIMELINES = 100


def main(arguments: list[str] | None = None) -> int:
    """Analyse one capture."""
    options = _options(arguments)
    _bound(options)
    try:
        report = analyse(EvidenceFile(sys.stdin.buffer))
    except SourceUnusable:
        return NO_CAPTURE
    shown = _shown(report, Form(options.form), options)
    if shown is None:
        return NO_CALL
    sys.stdout.buffer.write(shown.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m linewarden.diagnostics.analysis", description=__doc__)
    parser.add_argument("--form", choices=list(Form), default=Form.TEXT, help="the form of the output")
    parser.add_argument("--call-id", default="", help="write the ladder of this call instead of the report")
    parser.add_argument("--width", type=int, default=80, help="most columns of a ladder as text")
    parser.add_argument("--timeline", action="store_true", help="add loss, jitter and score of streams over time")
    parser.add_argument("--memory", type=int, required=True, help="most bytes of address space")
    parser.add_argument("--seconds", type=int, required=True, help="most seconds of processor time")
    parser.add_argument("--output", type=int, required=True, help="most bytes written")
    return parser.parse_args(arguments)


def _bound(options: argparse.Namespace) -> None:
    for kind, most in (
        (resource.RLIMIT_AS, options.memory),
        (resource.RLIMIT_CPU, options.seconds),
        (resource.RLIMIT_FSIZE, options.output),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _shown(report: Report, form: Form, options: argparse.Namespace) -> str | None:
    """Render the report, or the ladder of a call; None if there is no such call."""
    call_id, width = options.call_id, options.width
    if not call_id:
        if form is Form.JSON:
            return _json(report)
        return render_report(report) + (_timelines(report.streams, width) if options.timeline else "")
    ladder, streams, findings = report.ladder(call_id), report.streams_of(call_id), report.hints_of(call_id)
    if ladder is None:
        return None
    if form is Form.JSON:
        return _json(ladder)
    if form is Form.SVG:
        from linewarden.diagnostics.analysis.picture import draw_ladder  # noqa: PLC0415 - see the module's docstring

        return draw_ladder(ladder, streams, findings, timeline=options.timeline)
    return render_ladder(ladder, streams, width, findings) + (_timelines(streams, width) if options.timeline else "")


def _timelines(streams: Sequence[StreamReport], width: int) -> str:
    from linewarden.diagnostics.analysis.timeline_view import render_timelines  # noqa: PLC0415 - see the docstring

    return render_timelines(streams[:_MOST_TIMELINES], width)


def _json(value: object) -> str:
    import json  # noqa: PLC0415 - see the module's docstring

    # JSON lets one control character pass as it is, and a terminal may show this.
    return json.dumps(as_json(value), indent=2).replace("\x7f", "\\u007f") + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""What a capture shows: calls and who hung up, failed registrations, media streams with loss and jitter, and findings.

Reads frames that were masked before they were stored, so payloads may be cut, bodies overwritten and fragments empty;
what cannot be used is counted (`Omission`), never guessed. Input is hostile: every table has a bound in `Limits`, and
what passes it is counted too. Whatever the capture itself lost stands at the head of each report.

`analyse` makes a `Report`; `as_json`, `render_report`, `render_ladder` and `draw_ladder` show it. A report repeats
names, numbers and addresses that were captured: it is evidence like the capture, and belongs in no log.

Standard library only, with the readers of `diagnostics.packets`; nothing here may import what needs scapy.
"""

from linewarden.diagnostics.analysis.engine import Analyser, analyse
from linewarden.diagnostics.analysis.evidence import EvidenceFile
from linewarden.diagnostics.analysis.ladder import render_ladder
from linewarden.diagnostics.analysis.model import CaptureSource, Frame, InterfaceCount, Limits, Omission
from linewarden.diagnostics.analysis.picture import draw_ladder
from linewarden.diagnostics.analysis.report import Report, as_json
from linewarden.diagnostics.analysis.tables import render_report

__all__ = [
    "Analyser",
    "CaptureSource",
    "EvidenceFile",
    "Frame",
    "InterfaceCount",
    "Limits",
    "Omission",
    "Report",
    "analyse",
    "as_json",
    "draw_ladder",
    "render_ladder",
    "render_report",
]

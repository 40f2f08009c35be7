"""Comparison with sngrep: it finds the same dialogs and messages in masked captures.

Sngrep reads pcapng through libpcap, and needs no terminal where it shows nothing (`-N`). It takes a frame without
payload for the last message in its buffer, in any truncated capture. A filter therefore leaves it only the ports of SIP
and fragments.
"""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from linewarden.diagnostics.analysis.report import Report
from tests.deadlines import HANG_S
from tests.integration.test_peers_tshark import each_capture, made_call, masked, needs_captures, report_of

needs_sngrep = pytest.mark.skipif(shutil.which("sngrep") is None, reason="install sngrep to compare with it")
FRAGMENTS = "(ip[6:2] & 0x3fff != 0) or (ip6[6] == 44)"


def _filter(report: Report) -> str:
    ends = {end for ladder in report.ladders for arrow in ladder.arrows for end in (arrow.source, arrow.destination)}
    ports = sorted({end.port for end in ends} or {5_060})
    return " or ".join([*(f"port {port}" for port in ports), FRAGMENTS])


def _messages(report: Report) -> Counter[tuple[str, str]]:
    return Counter((ladder.call_id, arrow.label) for ladder in report.ladders for arrow in ladder.arrows)


def _check(file: Path, folder: Path) -> None:
    ours, kept = report_of(file), folder / "kept.pcap"
    # A filter in one word would be an expression to look for in messages.
    command = ["sngrep", "-N", "-I", str(file), "-O", str(kept), *_filter(ours).split()]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=HANG_S, check=True)
    *_, dialogs = re.findall(r"Dialog count: (\d+)", done.stdout)
    assert int(dialogs) == len(ours.ladders)
    assert _messages(report_of(kept)) == _messages(ours)


@needs_captures
@needs_sngrep
@each_capture
def test_sngrep_finds_our_dialogs(path: Path, tmp_path: Path):
    """Sngrep counts the same dialogs and messages as our analysis in every published capture, masked."""
    _check(masked(path, tmp_path), tmp_path)


@needs_sngrep
def test_sngrep_finds_a_made_call(tmp_path: Path):
    """Sngrep keeps one dialog and every message of a masked call with a repeated BYE."""
    _check(masked(made_call(tmp_path / "made.pcap", plain=True), tmp_path), tmp_path)

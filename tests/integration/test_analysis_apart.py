"""Analysis in a child process: its results, and that no fault in it reaches its parent."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from linewarden.diagnostics.analysis.apart import AnalysisFailed, AnalysisRefused, Bounds, analyse_apart
from linewarden.diagnostics.analysis.outcome import Form
from tests.deadlines import HANG_S

HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)
COMMAND = str(Path(sys.executable).parent / "linewarden")


def _packet(text: str) -> bytes:
    sip = text.replace("\n", "\r\n").encode()
    udp = struct.pack("!HHHH", 5060, 5070, 8 + len(sip), 0) + sip
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2") + udp
    return struct.pack("<4I", 1, 2, len(ip), len(ip)) + ip


def _message(start: str, call_id: str) -> bytes:
    fields = "From: <sip:a@h>;tag=1\nTo: <sip:b@h>\nCSeq: 1 INVITE\nVia: SIP/2.0/UDP h;branch=z9hG4bKx"
    return _packet(f"{start}\nCall-ID: {call_id}\n{fields}\n\n")


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Return a capture of one refused call."""
    path = tmp_path / "call.pcap"
    path.write_bytes(HEAD + _message("INVITE sip:b@h SIP/2.0", "c-1") + _message("SIP/2.0 486 Busy Here", "c-1"))
    return path


def _analyse(path: Path, form: Form, call_id: str = "", bounds: Bounds | None = None) -> bytes:
    with path.open("rb") as file:
        return analyse_apart(file, form, call_id=call_id, bounds=bounds)


def test_every_form(capture: Path):
    """The analysis returns report and ladder as text and as JSON, and the ladder as a drawing too."""
    assert b"rejected" in _analyse(capture, Form.TEXT)
    assert json.loads(_analyse(capture, Form.JSON))["calls"][0]["final_status"] == 486
    assert b"486 Busy Here" in _analyse(capture, Form.TEXT, "c-1")
    assert len(json.loads(_analyse(capture, Form.JSON, "c-1"))["arrows"]) == 2
    assert _analyse(capture, Form.SVG, "c-1").startswith(b"<svg")


def test_what_is_refused(capture: Path, tmp_path: Path):
    """The analysis reports an invalid capture and an unknown call as errors, not as a crash."""
    with pytest.raises(AnalysisRefused, match="no call with this Call-ID"):
        _analyse(capture, Form.TEXT, "--call-id=c-1")
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"no capture at all")
    with pytest.raises(AnalysisRefused, match="not a pcap"):
        _analyse(nothing, Form.TEXT)


@pytest.mark.parametrize("bounds", [Bounds(memory=32 << 20), Bounds(output=100)], ids=["memory", "output"])
def test_a_bound_that_is_reached_gives_nothing(tmp_path: Path, bounds: Bounds):
    """A process that exceeds its bounds ends, and its parent takes no partial result for a whole one."""
    path = tmp_path / "many.pcap"
    path.write_bytes(HEAD + b"".join(_message("INVITE sip:b@h SIP/2.0", f"c-{at}") for at in range(10_000)))
    assert _analyse(path, Form.TEXT).startswith(b"!")
    with pytest.raises(AnalysisFailed):
        _analyse(path, Form.TEXT, bounds=bounds)


def test_a_capture_that_does_not_end_is_given_up_by_the_clock():
    """The parent ends a waiting process when its time is over."""
    reader, writer = os.pipe()
    os.write(writer, HEAD)
    with os.fdopen(reader, "rb") as endless, pytest.raises(AnalysisFailed):
        analyse_apart(endless, Form.TEXT, bounds=Bounds(clock_s=1.0))
    os.close(writer)


def test_a_capture_that_keeps_the_processor_busy_is_given_up(tmp_path: Path):
    """The kernel ends a process that works without end, long before the clock does."""
    (tmp_path / "head").write_bytes(HEAD)
    (tmp_path / "packets").write_bytes(1_000 * _packet("x\n"))
    feed = ["sh", "-c", "cat head; while cat packets; do :; done"]
    with subprocess.Popen(feed, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as busy:
        assert busy.stdout is not None
        with os.fdopen(os.dup(busy.stdout.fileno()), "rb") as endless, pytest.raises(AnalysisFailed):
            analyse_apart(endless, Form.TEXT, bounds=Bounds(processor_s=1, clock_s=HANG_S))
        busy.kill()


def _with_media(capture: Path) -> Path:
    """Return the capture with a stream of 50 packets."""
    packets = b""
    for number in range(50):
        rtp = struct.pack("!BBHII", 0x80, 0, number, 160 * number, 7) + bytes(160)
        udp = struct.pack("!HHHH", 4000, 5000, 8 + len(rtp), 0) + rtp
        ends = (b"\x0a\0\0\1", b"\x0a\0\0\2")
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number + 2, 0, 64, 17, 0, *ends) + udp
        packets += struct.pack("<4I", 1, 20_000 * number, len(ip), len(ip)) + ip
    path = capture.with_name("media.pcap")
    path.write_bytes(capture.read_bytes() + packets)
    return path


def _command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    call = [COMMAND, "capture", "analyse", *arguments]
    return subprocess.run(call, capture_output=True, text=True, timeout=HANG_S, check=False)


def test_the_command(capture: Path, tmp_path: Path):
    """The command needs no server; it ends with 0 and data, or with 2 and one line for a wrong request."""
    report = _command(str(capture), "-o", "json")
    assert (report.returncode, json.loads(report.stdout)["calls"][0]["state"]) == (0, "rejected")
    assert "INVITE" in _command(str(capture), "--ladder", "c-1").stdout
    picture = tmp_path / "ladder.svg"
    drawing = ("--ladder", "c-1", "--svg", str(picture))
    assert _command(str(capture), *drawing).returncode == 0
    assert picture.read_text().startswith("<svg")
    timeline = _command(str(_with_media(capture)), "--timeline").stdout.partition("\nTimeline\n")[2]
    assert [line.split()[0] for line in timeline.splitlines()[1:4]] == ["loss", "jitter", "MOS"]
    for wrong in (drawing, ("--ladder", "c-2"), ("--svg", str(tmp_path / "other"))):
        done = _command(str(capture), *wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "other").exists()

"""Capture files as sources of frames: drops are told, a broken end costs only itself, scapy stays away."""

import io
import subprocess
import sys

import pytest

from linewarden.diagnostics.analysis.caveats import warn_of
from linewarden.diagnostics.analysis.engine import analyse
from linewarden.diagnostics.analysis.evidence import EvidenceFile
from linewarden.diagnostics.analysis.model import InterfaceCount
from linewarden.diagnostics.analysis.report import CaptureSummary
from linewarden.diagnostics.packets import pcapng
from linewarden.diagnostics.packets.errors import SourceUnusable
from linewarden.diagnostics.packets.model import Interface
from tests.deadlines import HANG_S

SECOND = 1_000_000_000
PROBE = b"OPTIONS sip:b SIP/2.0\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n"
UDP = bytes([19, 196, 19, 198, 0, 8 + len(PROBE), 0, 0]) + PROBE
PACKET = bytes([0x45, 0, 0, 20 + len(UDP), 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]) + UDP


def _evidence(dropped: int) -> bytes:
    return b"".join(
        [
            pcapng.section("test", ["why"]),
            pcapng.interface(Interface("lo", 1), "", 65_535),
            pcapng.interface(Interface("tun0", 101), "udp", 65_535),
            pcapng.packet(1, 5 * SECOND, PACKET, len(PACKET) + 9),
            pcapng.packet(1, 6 * SECOND, PACKET, len(PACKET)),
            pcapng.statistics(1, 7 * SECOND, (0, 7 * SECOND), (2 + dropped, dropped, 2), ""),
        ]
    )


def test_evidence_tells_its_frames_and_its_losses():
    """Link type, times and lengths come from the file, and the drops of an interface reach the head of the report."""
    report = analyse(EvidenceFile(io.BytesIO(_evidence(dropped=4))))
    assert (report.capture.frames, report.capture.cut, report.capture.dropped) == (2, 1, 4)
    assert (report.capture.first_ns, report.capture.last_ns) == (5 * SECOND, 6 * SECOND)
    assert [(each.name, each.dropped) for each in report.capture.interfaces] == [("lo", 0), ("tun0", 4)]
    assert report.warnings[0].startswith("The capture lost 4 packets on tun0")
    assert report.probes[0].requests == 1


def test_evidence_that_ends_early_says_so():
    """What came before the break is analysed, and the report warns that the rest is missing."""
    whole = _evidence(dropped=0)
    report = analyse(EvidenceFile(io.BytesIO(whole[:-20])))
    assert report.capture.frames == 2
    assert any(warning.startswith("The capture could not be read to its end") for warning in report.warnings)


def test_a_pcap_file_does_not_know_its_losses():
    """A format without counters is not taken for a capture without losses."""
    head = bytes.fromhex("d4c3b2a1 0200 0400 00000000 00000000 ffff0000 65000000")
    record = b"\x05\0\0\0\0\0\0\0" + 2 * len(PACKET).to_bytes(4, "little") + PACKET
    report = analyse(EvidenceFile(io.BytesIO(head + record)))
    assert report.capture.frames == 1
    assert report.warnings == ("The capture does not say whether it lost packets.",)


def test_what_is_no_capture_is_refused():
    """A file of another kind raises before any report is made."""
    with pytest.raises(SourceUnusable):
        EvidenceFile(io.BytesIO(b"%PDF-1.7 ..."))


def test_analysis_needs_no_scapy():
    """The whole package, readers included, is imported without scapy or any library of the server."""
    forbidden = ("scapy", "grpc", "casbin", "sqlalchemy", "cryptography")
    code = (
        "import sys, linewarden.diagnostics.analysis.__main__\n"
        f"sys.exit(any(name.partition('.')[0] in {forbidden!r} for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=HANG_S, check=False).returncode == 0


def test_a_pause_is_told_and_takes_the_score_of_its_streams():
    """What a paused capture did not take was not lost: the report says so, and judges no stream by it."""
    evidence = pcapng.section("t", []) + pcapng.interface(Interface("lo", 1), "", 65_535)
    for comment in (pcapng.PAUSED, pcapng.RESUMED, pcapng.PAUSED, pcapng.RESUMED, "stop reason: requested"):
        evidence += pcapng.statistics(0, 5, (1, 5), (9, 0, 9), comment)
    source = EvidenceFile(io.BytesIO(evidence))
    assert list(source) == []
    counts = source.interface_counts()
    assert [(one.name, one.pauses, one.dropped) for one in counts] == [("lo", 2, 0)]
    capture = CaptureSummary(0, 0, None, None, tuple(counts))
    assert capture.has_holes
    assert "paused on lo" in warn_of(capture, {})[0]
    assert not CaptureSummary(0, 0, None, None, (InterfaceCount("lo", 9, 0),)).has_holes

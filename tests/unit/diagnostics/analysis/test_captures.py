"""Published captures through the whole analysis, against the figures that tshark finds in them."""

import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from linewarden.diagnostics.analysis.attempts import AuthOutcome
from linewarden.diagnostics.analysis.calls import CallState, Side
from linewarden.diagnostics.analysis.engine import analyse
from linewarden.diagnostics.analysis.ladder import render_ladder
from linewarden.diagnostics.analysis.model import Frame, InterfaceCount
from linewarden.diagnostics.analysis.picture import draw_ladder
from linewarden.diagnostics.analysis.report import Report, as_json
from linewarden.diagnostics.analysis.tables import render_report
from linewarden.diagnostics.packets.mask import Masker
from linewarden.diagnostics.packets.model import Profile, Selector
from tests.deadlines import HANG_S

CAPTURES = Path(__file__).parents[5] / "shared" / "data" / "pcap"
TSHARK = shutil.which("tshark")

needs_captures = pytest.mark.skipif(not CAPTURES.is_dir(), reason="lay the published captures in ../shared/data/pcap")
needs_tshark = pytest.mark.skipif(TSHARK is None, reason="install tshark to compare with it")


class _File:
    """Just enough of pcap and pcapng, little-endian, for well-formed files."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()

    def __iter__(self) -> Iterator[Frame]:
        return self._pcapng() if self.data[:4] == b"\x0a\x0d\x0d\x0a" else self._pcap()

    def fault(self) -> str:
        return ""

    def interface_counts(self) -> Sequence[InterfaceCount]:
        return [InterfaceCount("eth0", dropped=0)]

    def _pcap(self) -> Iterator[Frame]:
        assert self.data[:4] == b"\xd4\xc3\xb2\xa1"
        link, at = struct.unpack_from("<I", self.data, 20)[0], 24
        while at < len(self.data):
            seconds, micros, kept, length = struct.unpack_from("<4I", self.data, at)
            yield Frame((seconds * 10**6 + micros) * 1000, link, self.data[at + 16 : at + 16 + kept], length)
            at += 16 + kept

    def _pcapng(self) -> Iterator[Frame]:
        links, at = list[int](), 0
        while at < len(self.data):
            kind, size = struct.unpack_from("<2I", self.data, at)
            if kind == 1:
                links.append(struct.unpack_from("<H", self.data, at + 8)[0])
            elif kind == 6:
                interface, high, low, kept, length = struct.unpack_from("<5I", self.data, at + 8)
                time_ns = (high << 32 | low) * 1000
                yield Frame(time_ns, links[interface], self.data[at + 28 : at + 28 + kept], length, interface)
            at += size


def _report_of(name: str) -> Report:
    return analyse(_File(CAPTURES / name))


def _tshark(name: str, *arguments: str) -> str:
    command = [str(TSHARK), "-n", "-r", str(CAPTURES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=True).stdout


def _tshark_streams(name: str, *options: str) -> dict[tuple[str, str, int], tuple[int, int, float, float, float]]:
    """(source, destination, ssrc) -> packets, lost, mean and max jitter, max distance."""
    found = {}
    for line in _tshark(name, "-q", *options, "-z", "rtp,streams").splitlines():
        words = line.replace("(", " ").split()
        if len(words) > 15 and words[6].startswith("0x"):
            key = (f"{words[2]}:{words[3]}", f"{words[4]}:{words[5]}", int(words[6], 16))
            percent = next(at for at, word in enumerate(words) if word.endswith("%)"))
            packets, lost = int(words[percent - 2]), int(words[percent - 1])
            figures = [float(word) for word in words[percent + 1 : percent + 7]]
            found[key] = (packets, lost, figures[4], figures[5], figures[2])
    return found


@needs_captures
@pytest.mark.parametrize("path", sorted(CAPTURES.iterdir()) if CAPTURES.is_dir() else [], ids=lambda path: path.name)
def test_every_capture_is_shown_in_every_form(path: Path):
    """Each published capture gives a report, tables, JSON, ladders and pictures that parse."""
    report = _report_of(path.name)
    assert render_report(report)
    assert set(as_json(report)) >= {"warnings", "calls", "streams"}
    for ladder in report.ladders:
        for width in (40, 80, 200):
            lines = render_ladder(ladder, report.streams_of(ladder.call_id), width).splitlines()
            assert max(map(len, lines)) <= width
        ET.fromstring(draw_ladder(ladder, report.streams_of(ladder.call_id)))


@needs_captures
@needs_tshark
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sip-rtp-g711.pcap", ()),
        ("invite-opus-bye.pcap", ()),
        ("register-invite-reinvite-bye.pcap", ()),
        ("register-invite-digest.pcap", ()),
        ("rtp-g711a.pcap", ("--enable-heuristic", "rtp_udp")),
    ],
)
def test_streams_have_the_figures_of_tshark(name: str, options: tuple[str, ...]):
    """Packets and losses agree to the packet with tshark, jitter and longest pause to its three decimals."""
    theirs = _tshark_streams(name, *options)
    ours = {(str(s.source), str(s.destination), s.ssrc): s for s in _report_of(name).streams}
    assert theirs
    for key, (packets, lost, mean, highest, pause) in theirs.items():
        stream = ours[key]
        assert (stream.packets, stream.lost) == (packets, lost)
        assert stream.longest_pause_ms == pytest.approx(pause, abs=0.002)
        assert stream.jitter is not None
        assert stream.jitter.mean_ms == pytest.approx(mean, abs=0.0015)
        assert stream.jitter.max_ms == pytest.approx(highest, abs=0.0015)


@needs_captures
@needs_tshark
@pytest.mark.parametrize("path", sorted(CAPTURES.iterdir()) if CAPTURES.is_dir() else [], ids=lambda path: path.name)
def test_messages_are_counted_as_tshark_counts_them(path: Path):
    """Requests by method and answers by status are as many as tshark finds, fragments and all."""
    report = _report_of(path.name)
    statistics = _tshark(path.name, "-q", "-z", "sip,stat")
    statuses = {
        (int(status), int(count)) for status, count in re.findall(r"SIP (\d{3}) .*: +(\d+) Packets", statistics)
    }
    methods = {
        (name, int(count)) for name, count in re.findall(r"^ +([A-Z]+) +: +(\d+) Packets", statistics, re.MULTILINE)
    }
    assert set(report.sip_responses) == statuses
    assert set(report.sip_requests) == methods


class _Masked(_File):
    """The same capture as the worker would have stored it."""

    def __iter__(self) -> Iterator[Frame]:
        masker = Masker(Profile.SIGNALLING, Selector(), 65_535)
        for frame in super().__iter__():
            kept = masker.mask(frame.link_type, frame.data)
            assert kept is not None
            yield frame._replace(data=kept)


@needs_captures
@pytest.mark.parametrize("path", sorted(CAPTURES.iterdir()) if CAPTURES.is_dir() else [], ids=lambda path: path.name)
def test_masking_takes_no_figure_away(path: Path):
    """What masking leaves gives the same calls, registrations and streams, but for the packet that proves a stream."""
    plain, masked = analyse(_File(path)), analyse(_Masked(path))
    assert masked.calls == plain.calls
    assert masked.registrations == plain.registrations
    assert masked.probes == plain.probes
    assert [stream.ssrc for stream in masked.streams] == [stream.ssrc for stream in plain.streams]
    for ours, theirs in zip(masked.streams, plain.streams, strict=True):
        assert theirs.packets - ours.packets in {0, 1}
        assert (ours.lost, ours.codec, ours.call_id) == (theirs.lost, theirs.codec, theirs.call_id)


@needs_captures
@needs_tshark
@pytest.mark.parametrize(
    ("name", "call_id"),
    [
        ("ipv6-fragments-linux-cooked.pcap", "71846-1647924829-397430@fd17:625c:f037:2:a00:27ff:feb9:1521"),
        ("sip-rtp-g711.pcap", "1-1966@10.0.2.20"),
    ],
)
def test_an_answered_call_takes_as_long_as_tshark_says(name: str, call_id: str):
    """The time from the first INVITE to its answer is that of the frames as tshark shows them."""
    fields = (
        "-T",
        "fields",
        "-e",
        "frame.time_epoch",
        "-e",
        "sip.Method",
        "-e",
        "sip.Status-Code",
        "-e",
        "sip.CSeq.method",
    )
    lines = [line.split("\t") for line in _tshark(name, "-Y", f'sip.Call-ID == "{call_id}"', *fields).splitlines()]
    invite = next(float(moment) for moment, method, _, _ in lines if method == "INVITE")
    answer = next(float(moment) for moment, _, status, of in lines if status == "200" and of == "INVITE")
    (call,) = (call for call in _report_of(name).calls if call.call_id == call_id)
    assert call.answer_ns is not None
    assert (call.answer_ns - call.setup_ns) / 1e9 == pytest.approx(answer - invite, abs=1e-5)


@needs_captures
def test_failed_authentication_is_told_apart():
    """In a capture of one day's troubles: a wrong password, a ban, and credentials that were good."""
    report = _report_of("register-invite-digest.pcap")
    refused, registered = report.registrations
    assert (refused.authentication.refused, refused.authentication.forbidden) == (4, 1)
    assert (refused.authentication.failed, registered.authentication.failed) == (True, False)
    outcomes = [call.authentication.outcome for call in report.calls]
    forbidden, accepted = AuthOutcome.FORBIDDEN, AuthOutcome.ACCEPTED
    assert outcomes == [AuthOutcome.NONE_ASKED, forbidden, forbidden, accepted]
    assert report.calls[0].state is CallState.CANCELLED


@needs_captures
def test_a_call_knows_its_media_and_who_hung_up():
    """A call of a load generator: its beginning, its end and its one stream belong together."""
    report = _report_of("sip-rtp-g711.pcap")
    first, second = report.calls
    assert (first.state, first.ended_by, second.state) == (CallState.COMPLETED, Side.CALLEE, CallState.ANSWERED)
    (stream,) = report.streams_of(first.call_id)
    assert (stream.codec, stream.packets, stream.quality.mos_high) == ("PCMU", 425, 4.41)
    assert stream.talk_ms == 8_500


@needs_captures
def test_rejection_and_probes_are_seen():
    """A call refused for its codecs after a challenge, and three OPTIONS with their waits."""
    report = _report_of("sip-488-codec-reject.pcapng")
    (call,) = report.calls
    assert (call.state, call.final_status) == (CallState.REJECTED, 488)
    assert call.authentication.outcome is AuthOutcome.ACCEPTED
    assert [probe.answered for probe in report.probes] == [1, 1, 1]
    assert report.probes[0].mean_ms == pytest.approx(56.572, abs=0.001)


@needs_captures
def test_an_event_without_description_is_a_stream_without_codec():
    """Ten packets of one digit, described by nothing: counted, two of them repetitions, and no figure is guessed."""
    (stream,) = _report_of("dtmf-rfc4733-digit1.pcap").streams
    assert (stream.packets, stream.duplicates, stream.codec, stream.jitter) == (10, 2, None, None)

"""Comparison with tshark and capinfos: their figures for masked captures are those of our analysis.

A capture goes through the worker, as evidence does, and both sides read what comes out. Tolerances: counts are equal;
jitter and pauses agree to 0.002 ms, because tshark rounds arrival times to microseconds and prints three decimals.
"""

import os
import random
import secrets
import shutil
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from linewarden.diagnostics.analysis.engine import analyse
from linewarden.diagnostics.analysis.evidence import EvidenceFile
from linewarden.diagnostics.analysis.report import Report
from linewarden.diagnostics.packets.launch import start_worker
from linewarden.diagnostics.packets.model import CaptureLimits, Profile
from linewarden.diagnostics.packets.ticket import KEY_BYTES, StartTicket
from tests.deadlines import HANG_S

CAPTURES = Path(__file__).parents[3] / "shared" / "data" / "pcap"
PUBLISHED = sorted(CAPTURES.iterdir()) if CAPTURES.is_dir() else []
LIMITS = CaptureLimits(60, 10**9, 10**6, 65_535, 0, 10**6, 20)
TOLERANCE_MS = 0.002

needs_captures = pytest.mark.skipif(not PUBLISHED, reason="lay the published captures in ../shared/data/pcap")
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="install tshark to compare with it")
needs_capinfos = pytest.mark.skipif(
    shutil.which("capinfos") is None, reason="install wireshark-common, which brings capinfos, to compare with it"
)
each_capture = pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)


def masked(original: Path, folder: Path) -> Path:
    """Return the capture as the worker stores it: its evidence before sealing."""
    until_ns = time.time_ns() + 30 * 10**9
    ticket = StartTicket(
        id="cap-1",
        tenant="acme",
        who="alice",
        why="case 4711",
        profile=Profile.SIGNALLING,
        limits=LIMITS,
        start_before_ns=until_ns,
        file=original.name,
    )
    result = folder / "masked.pcapng"
    with original.open("rb") as opened:
        worker = start_worker(ticket, secrets.token_bytes(KEY_BYTES), input_fd=opened.fileno())
    # Its status lines fit into the pipe today, without a guarantee.
    said = threading.Thread(target=worker.process.stdout.read if worker.process.stdout else lambda: b"")
    said.start()
    with os.fdopen(worker.evidence_fd, "rb") as evidence:
        result.write_bytes(evidence.read())
    status = worker.process.wait(HANG_S)
    said.join()
    for pipe in (worker.process.stdin, worker.process.stdout):
        if pipe is not None:
            pipe.close()
    assert status == 0
    return result


@pytest.fixture(scope="module")
def masked_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function that masks a capture once for all tests."""
    return cache(lambda path: masked(path, tmp_path_factory.mktemp("masked")))


def report_of(path: Path) -> Report:
    """Return our analysis of a file."""
    with path.open("rb") as file:
        return analyse(EvidenceFile(file))


def said_by(*command: str) -> str:
    """Return the output of a tool, which must not call the file broken."""
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=True).stdout


def fields(path: Path, wanted: str, *names: str) -> list[list[str]]:
    """Return the values of fields in the frames that a display filter shows."""
    options = [option for name in names for option in ("-e", name)]
    out = said_by("tshark", "-n", "-r", str(path), "-Y", wanted, "-T", "fields", "-E", "occurrence=f", *options)
    return [line.split("\t") for line in out.splitlines()]


class Stream(NamedTuple):
    """One RTP stream by tshark; times in ms."""

    packets: int
    lost: int
    pause: float
    mean: float
    highest: float


def streams(path: Path) -> dict[tuple[str, str, int], list[Stream]]:
    """Return tshark's streams by source, destination and SSRC, also where no session description led to them."""
    found: dict[tuple[str, str, int], list[Stream]] = {}
    out = said_by("tshark", "-n", "-r", str(path), "-q", "--enable-heuristic", "rtp_udp", "-z", "rtp,streams")
    for line in out.splitlines():
        words = line.split()
        ssrc = next((at for at, word in enumerate(words) if word.startswith("0x")), 0)
        percent = next((at for at, word in enumerate(words) if word.endswith("%)")), 0)
        if ssrc and percent:
            ends = words[ssrc - 4 : ssrc]
            figures = [float(word) for word in words[percent + 1 : percent + 7]]
            key = (f"{ends[0]}:{ends[1]}", f"{ends[2]}:{ends[3]}", int(words[ssrc], 16))
            counts = (int(words[percent - 2]), int(words[percent - 1]))
            found.setdefault(key, []).append(Stream(*counts, figures[2], figures[4], figures[5]))
    return found


def check_messages(path: Path) -> None:
    """Check that messages, methods, statuses and Call-IDs of SIP are the same on both sides."""
    report = report_of(path)
    theirs = fields(path, "sip", "sip.Method", "sip.Status-Code", "sip.Call-ID")
    assert dict(report.sip_requests) == Counter(method for method, _, _ in theirs if method)
    assert dict(report.sip_responses) == Counter(int(status) for _, status, _ in theirs if status)
    shown = {ladder.call_id: len(ladder.arrows) for ladder in report.ladders}
    assert shown == Counter(call_id for _, _, call_id in theirs)
    invited = {call_id for method, _, call_id in theirs if method == "INVITE"}
    assert {call.call_id for call in report.calls} == invited


def check_streams(path: Path) -> int:
    """Check that packets, losses, jitter and pauses of RTP agree; return the number of streams."""
    ours = {(str(s.source), str(s.destination), s.ssrc): s for s in report_of(path).streams}
    theirs = streams(path)
    assert ours.keys() == theirs.keys()
    for key, stream in ours.items():
        (their,) = theirs[key]
        assert stream.packets == their.packets
        # RFC 3550 appendix A.3 lets a packet that came twice make up for one that did not come. We do not.
        assert stream.lost - stream.duplicates == their.lost
        assert stream.longest_pause_ms == pytest.approx(their.pause, abs=TOLERANCE_MS)
        if stream.jitter is not None and not stream.events and not stream.duplicates:
            assert stream.jitter.mean_ms == pytest.approx(their.mean, abs=TOLERANCE_MS)
            assert stream.jitter.max_ms == pytest.approx(their.highest, abs=TOLERANCE_MS)
    return len(ours)


@needs_captures
@needs_tshark
@each_capture
def test_a_masked_capture_has_the_messages_that_tshark_finds(path: Path, masked_once: Callable[[Path], Path]):
    """Tshark and our analysis count the same SIP by method, status and Call-ID in every published, masked capture."""
    check_messages(masked_once(path))


@needs_captures
@needs_tshark
@each_capture
def test_a_masked_capture_has_the_streams_that_tshark_finds(path: Path, masked_once: Callable[[Path], Path]):
    """Tshark and our analysis find the same RTP, loss and jitter in every published, masked capture."""
    check_streams(masked_once(path))


@needs_captures
@needs_tshark
@each_capture
def test_masking_moves_no_frame(path: Path, masked_once: Callable[[Path], Path]):
    """A masked capture has the frames of the original, each with its time and its length on the wire."""
    result = masked_once(path)
    before = fields(path, "frame", "frame.time_epoch", "frame.len", "frame.cap_len")
    after = fields(result, "frame", "frame.time_epoch", "frame.len", "frame.cap_len")
    assert [frame[:2] for frame in after] == [frame[:2] for frame in before]
    assert all(int(new[2]) <= int(old[2]) for new, old in zip(after, before, strict=True))


@needs_captures
@needs_capinfos
@each_capture
def test_capinfos_finds_a_whole_capture(path: Path, masked_once: Callable[[Path], Path]):
    """Capinfos reads the masked file to its end, with the packets, bytes and seconds of the original."""
    asked = ("capinfos", "-T", "-r", "-M", "-c", "-d", "-u", "-S", "-a", "-e")
    before, after = (said_by(*asked, str(file)).split("\t")[1:] for file in (path, masked_once(path)))
    assert len(before) == 5
    assert [float(value) for value in after] == [float(value) for value in before]


CALLER, CALLEE = "10.1.0.1", "10.1.0.2"
SIP_PORT, CALLER_PORT, CALLEE_PORT = 5_060, 4_000, 6_000
LOST, TWICE, DIGIT = {50, 51, 52, 53, 200, 333, 400}, {100, 350}, range(150, 160)


def _datagram(source: str, ports: tuple[int, int], data: bytes) -> bytes:
    ends = source, CALLEE if source == CALLER else CALLER
    packed = b"".join(bytes(int(part) for part in end.split(".")) for end in ends)
    udp = struct.pack("!4H", *ports, 8 + len(data), 0) + data
    return struct.pack("!2B3H2BH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + packed + udp


def _sip(source: str, start: str, cseq: str, port: int = 0) -> bytes:
    described = (
        f"v=0\r\no=- 1 1 IN IP4 {source}\r\ns=-\r\nc=IN IP4 {source}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n"
    )
    body = described + "a=rtpmap:101 telephone-event/8000\r\n" if port else ""
    head = (
        f"{start}\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bK{cseq.replace(' ', '')}\r\nFrom: <sip:a@h>;tag=1\r\n"
        f"To: <sip:b@h>{'' if start.startswith('INVITE') else ';tag=2'}\r\nCall-ID: made@h\r\nCSeq: {cseq}\r\n"
        f"{'Content-Type: application/sdp' if port else 'Max-Forwards: 70'}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return _datagram(source, (SIP_PORT, SIP_PORT), (head + body).encode())


def _speech(chance: random.Random, *, caller: bool, plain: bool) -> Iterator[tuple[int, bytes]]:
    """Yield ten seconds of speech with losses, reordering, and wraps of number and time.

    Unless `plain`, some of the caller's packets come twice, and some are those of a pressed digit.
    """
    ports = (CALLER_PORT, CALLEE_PORT) if caller else (CALLEE_PORT, CALLER_PORT)
    for number in range(500):
        at_us = 200_000 + 20_000 * number + chance.randrange(9_000) + (35_000 if caller and number == 300 else 0)
        digit = caller and number in DIGIT
        if (caller and number in LOST) or (digit and plain):
            continue
        stamp = (0xFFFF_F000 + 160 * (DIGIT.start if digit else number)) & 0xFFFF_FFFF
        header = struct.pack("!2BHII", 0x80, 101 if digit else 0, (65_400 + number) & 0xFFFF, stamp, 7 if caller else 9)
        whole = _datagram(CALLER if caller else CALLEE, ports, header + bytes(4 if digit else 160))
        yield at_us, whole
        if caller and number in TWICE and not plain:
            yield at_us + 500, whole


def made_call(path: Path, *, plain: bool) -> Path:
    """Return one call of ten seconds, as a capture of raw IP packets."""
    frames = [
        (0, _sip(CALLER, "INVITE sip:b@h SIP/2.0", "1 INVITE", CALLER_PORT)),
        (50_000, _sip(CALLEE, "SIP/2.0 180 Ringing", "1 INVITE")),
        (100_000, _sip(CALLEE, "SIP/2.0 200 OK", "1 INVITE", CALLEE_PORT)),
        (110_000, _sip(CALLER, "ACK sip:b@h SIP/2.0", "1 ACK")),
        *_speech(random.Random(1), caller=True, plain=plain),
        *_speech(random.Random(2), caller=False, plain=plain),
        (11_000_000, _sip(CALLER, "BYE sip:b@h SIP/2.0", "2 BYE")),
        (11_500_000, _sip(CALLER, "BYE sip:b@h SIP/2.0", "2 BYE")),
        (11_600_000, _sip(CALLEE, "SIP/2.0 200 OK", "2 BYE")),
    ]
    records = (
        struct.pack("<4I", 1_700_000_000 + at // 10**6, at % 10**6, len(data), len(data)) + data
        for at, data in sorted(frames, key=lambda frame: frame[0])
    )
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101) + b"".join(records))
    return path


@needs_tshark
def test_a_made_call_has_the_figures_that_tshark_finds(tmp_path: Path):
    """Tshark finds our figures in the masked file of a call with every fault of a stream."""
    result = masked(made_call(tmp_path / "made.pcap", plain=False), tmp_path)
    check_messages(result)
    assert check_streams(result) == 2
    forth, back = sorted(report_of(result).streams, key=lambda stream: stream.ssrc)
    # Masking removes the first packet of each stream, because it may not be RTP.
    assert (forth.packets, forth.lost, forth.bursts, forth.duplicates, forth.events) == (494, 7, 4, 2, 1)
    assert (back.packets, back.lost) == (499, 0)


@needs_tshark
def test_digits_and_copies_are_no_jitter(tmp_path: Path):
    """Our jitter with digits and copied packets is what tshark finds without them."""
    whole, plain = (made_call(tmp_path / f"{plain}.pcap", plain=plain) for plain in (False, True))
    (ours,) = (stream for stream in report_of(masked(whole, tmp_path)).streams if stream.ssrc == 7)
    ((their,),) = (found for key, found in streams(masked(plain, tmp_path)).items() if key[2] == 7)
    assert ours.jitter is not None
    assert ours.jitter.mean_ms == pytest.approx(their.mean, abs=TOLERANCE_MS)
    assert ours.jitter.max_ms == pytest.approx(their.highest, abs=TOLERANCE_MS)

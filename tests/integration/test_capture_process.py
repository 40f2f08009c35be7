"""The worker as a child process: capture files, leases, refusals, and live captures where they are permitted."""

import io
import json
import os
import re
import resource
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linewarden.diagnostics.packets.evidence import Chain
from linewarden.diagnostics.packets.launch import WorkerProcess, start_worker
from linewarden.diagnostics.packets.model import CaptureLimits, Frame, Profile, Selector, StopReason, Transport
from linewarden.diagnostics.packets.source_file import open_capture
from linewarden.diagnostics.packets.ticket import KEY_BYTES, StartTicket, digest, sign_ticket
from tests.deadlines import FACTOR, HANG_S
from tests.rights import live

TESTDATA = Path(__file__).parents[1] / "testdata" / "capture"
SIPP_MEDIA = Path("/usr/share/sip-tester")
LIMITS = CaptureLimits(30, 10**9, 10**6, 65_535, 0, 10**6, 20)


def _ticket(**changes: Any) -> StartTicket:
    ticket = StartTicket(
        id="cap-1",
        tenant="acme",
        who="alice",
        why="case 4711",
        profile=Profile.SIGNALLING,
        limits=LIMITS,
        start_before_ns=time.time_ns() + 30 * 10**9,
        file="case.pcap",
    )
    return replace(ticket, **changes)


class Capture:
    """A worker with both its pipes read."""

    def __init__(self, ticket: StartTicket, key: bytes | None = None, **fds: int) -> None:
        self.ticket = ticket
        self.evidence = b""
        self.lines: list[dict[str, Any]] = []
        self.worker: WorkerProcess = start_worker(ticket, key or secrets.token_bytes(KEY_BYTES), **fds)
        self._readers = [threading.Thread(target=self._read_evidence), threading.Thread(target=self._read_status)]
        for reader in self._readers:
            reader.start()

    def _read_evidence(self) -> None:
        with os.fdopen(self.worker.evidence_fd, "rb") as pipe:
            self.evidence = pipe.read()

    def _read_status(self) -> None:
        stdout = self.worker.process.stdout
        for line in stdout or ():
            self.lines.append(json.loads(line))

    def wait_for(self, state: str) -> None:
        """Wait until the worker reports a state."""
        until = time.monotonic() + HANG_S
        while not any(line.get("state") == state for line in self.lines):
            assert time.monotonic() < until, self.lines
            time.sleep(0.01)

    def end(self) -> int:
        """Wait for the end, and close what is open; return the exit status."""
        status = self.worker.process.wait(HANG_S)
        for reader in self._readers:
            reader.join()
        for pipe in (self.worker.process.stdin, self.worker.process.stdout):
            if pipe is not None:
                pipe.close()
        return status

    def stop(self, reason: StopReason = StopReason.REQUESTED) -> int:
        """Order the end and wait for it."""
        self.worker.stop(reason)
        return self.end()

    @property
    def report(self) -> dict[str, Any]:
        """The final report."""
        return next(line for line in self.lines if line["type"] == "report")

    def frames(self) -> list[Frame]:
        """Return the stored frames after checking the chain."""
        chain = Chain(digest(self.ticket))
        chain.add(self.evidence)
        assert self.report["manifest"]["chain"] == chain.manifest().chain
        return list(open_capture(io.BytesIO(self.evidence)))


@pytest.fixture
def capture_file(tmp_path: Path) -> Iterator[int]:
    """Yield a small capture file, opened."""
    path = tmp_path / "case.pcap"
    sip = b"INFO sip:b@h SIP/2.0\r\nContent-Type: application/dtmf\r\nContent-Length: 6\r\n\r\nSECRET"
    udp = struct.pack("!HHHH", 5060, 5060, 8 + len(sip), 0) + sip
    network = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, bytes(4), bytes(4))
    data = bytes(12) + b"\x08\x00" + network + udp
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    path.write_bytes(head + 5 * (struct.pack("<4I", 1, 2, len(data), len(data)) + data))
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_file_is_masked_and_chained(capture_file: int):
    """The worker masks a capture file, and its report and chain match the output."""
    capture = Capture(_ticket(), input_fd=capture_file)
    assert capture.end() == 0
    frames = capture.frames()
    assert len(frames) == 5
    assert all(frame.data.endswith(b"\r\n\r\nxxxxxx") for frame in frames)
    assert capture.report["stop_reason"] == "requested"
    assert capture.report["counters"]["rules"] == {"sip_body": 5}
    assert b"who: alice" in capture.evidence


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"start_before_ns": 1}, "stale"),
        ({"interface": "lwnone0", "file": ""}, "interface"),
        ({"raw_filter": "no such thing"}, "filter"),
    ],
)
def test_refusals(capture_file: int, change: dict[str, Any], said: str):
    """A worker that may not or cannot start says why, writes no evidence, and exits with a distinct status."""
    capture = Capture(_ticket(**change), input_fd=capture_file)
    assert capture.end() == 2
    assert [line["state"] for line in capture.lines] == ["refused"]
    assert said in capture.lines[0]["detail"] or "CAP_NET_RAW" in capture.lines[0]["detail"]
    assert capture.evidence == b""


def test_no_start_without_the_right_key():
    """A ticket that was signed for another worker starts nothing."""
    key_reader, key_writer = os.pipe()
    evidence_reader, evidence_writer = os.pipe()
    os.write(key_writer, secrets.token_bytes(KEY_BYTES))
    os.close(key_writer)
    pipes = [f"--key-fd={key_reader}", f"--evidence-fd={evidence_writer}"]
    done = subprocess.run(
        [sys.executable, "-m", "linewarden.diagnostics.packets", *pipes],
        input=sign_ticket(_ticket(), bytes(KEY_BYTES)).encode() + b"\n",
        capture_output=True,
        pass_fds=[key_reader, evidence_writer],
        timeout=HANG_S,
        check=False,
    )
    for fd in (key_reader, evidence_reader, evidence_writer):
        os.close(fd)
    assert done.returncode == 2
    assert json.loads(done.stdout)["detail"] == "the signature does not match"


def test_sender_that_stalls_ends_by_lease():
    """Without a renewed lease the worker closes the evidence of a file that has stopped coming in."""
    reader, writer = os.pipe()
    os.write(writer, struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1))
    capture = Capture(_ticket(limits=replace(LIMITS, lease_seconds=1)), input_fd=reader)
    assert capture.end() == 0
    assert capture.report["stop_reason"] in {"error", "lease_lost"}
    assert capture.frames() == []
    os.close(writer)
    os.close(reader)


def _live(**changes: Any) -> StartTicket:
    return _ticket(file="", interface="lo", **changes)


def _udp(port: int, *payloads: bytes, family: int = socket.AF_INET) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as out, socket.socket(family, socket.SOCK_DGRAM) as sink:
        address = "127.0.0.1" if family == socket.AF_INET else "::1"
        sink.bind((address, port))
        for payload in payloads:
            out.sendto(payload, (address, port))


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_server_with_many_descriptors_captures_all_the_same():
    """A worker whose pipes have numbers above 1,023, as in a busy server, imports a file."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2_000:
        pytest.skip("needs 2,000 open files: raise the limit (ulimit -n)")
    spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(1_100)]
    try:
        reader, writer = os.pipe()
        capture = Capture(_ticket(), input_fd=reader)
        os.close(reader)
        os.write(writer, struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1))
        os.write(writer, struct.pack("<IIII", 1, 2, 60, 60) + bytes(60))
        os.close(writer)
        assert capture.end() == 0, capture.lines
    finally:
        for fd in spare:
            os.close(fd)
    assert len(capture.frames()) == 1


@live
@pytest.mark.parametrize("interface", ["lo", "any"])
def test_loopback_without_doubles(interface: str):
    """The worker stores each loopback packet once, filtered and masked, and its counters agree with the kernel's."""
    pytest.importorskip("scapy", reason="install linewarden[capture] and libpcap0.8")
    port = _free_port()
    capture = Capture(_ticket(file="", interface=interface, selector=Selector(ports=((port, port),))))
    capture.wait_for("running")
    rtp = [struct.pack("!BBHII", 0x80, 0, number, 160 * number, 7) + b"SPEECH" * 20 for number in range(200)]
    _udp(port, *rtp)
    _udp(_free_port(), b"something else")
    time.sleep(0.2 * FACTOR)
    assert capture.stop() == 0
    counters = capture.report["counters"]
    assert counters["received"] == counters["delivered"] == counters["written"] == 200
    assert counters["dropped"] == 0
    assert counters["rules"] == {"rtp_unproven": 1, "rtp_payload": 199}
    assert len(capture.frames()) == 200
    assert b"SPEECH" not in capture.evidence


@live
def test_both_families():
    """The worker captures IPv6 on loopback like IPv4."""
    port = _free_port()
    capture = Capture(_live(selector=Selector(ports=((port, port),), transport=Transport.UDP)))
    capture.wait_for("running")
    _udp(port, b"\r\n\r\n")
    try:
        _udp(port, b"\r\n\r\n", family=socket.AF_INET6)
    except OSError:
        capture.stop()
        pytest.skip("needs IPv6 on loopback: set net.ipv6.conf.lo.disable_ipv6=0")
    time.sleep(0.2 * FACTOR)
    assert capture.stop() == 0
    assert [frame.data[12:14] for frame in capture.frames()] == [b"\x08\x00", b"\x86\xdd"]


@live
def test_lease_lost():
    """Without heartbeats or without its parent, the worker stops and closes the evidence."""
    capture = Capture(_live(limits=replace(LIMITS, lease_seconds=1)))
    capture.wait_for("running")
    capture.worker.heartbeat()
    assert capture.end() == 0
    assert capture.report["stop_reason"] == "lease_lost"
    orphan = Capture(_live())
    orphan.wait_for("running")
    assert orphan.worker.process.stdin is not None
    orphan.worker.process.stdin.close()
    assert orphan.end() == 0
    assert orphan.report["stop_reason"] == "lease_lost"
    orphan.frames()


@live
def test_signal_closes_the_evidence():
    """A worker that gets SIGTERM closes its evidence, and a killed one leaves the part that it had written."""
    capture = Capture(_live())
    capture.wait_for("running")
    capture.worker.process.send_signal(signal.SIGTERM)
    assert capture.end() == 0
    assert capture.report["stop_reason"] == "worker_lost"
    capture.frames()
    killed = Capture(_live())
    killed.wait_for("running")
    time.sleep(1.2 * FACTOR)
    killed.worker.process.kill()
    assert killed.end() == -signal.SIGKILL
    assert b"case 4711" in killed.evidence


@live
def test_running_worker_has_no_rights():
    """A running worker has an unprivileged user and no capability, and cannot gain any."""
    capture = Capture(_live())
    capture.wait_for("running")
    status = Path(f"/proc/{capture.worker.process.pid}/status").read_text(encoding="ascii")
    limits = Path(f"/proc/{capture.worker.process.pid}/limits").read_text(encoding="ascii")
    capture.stop()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if os.geteuid() == 0:
        assert set(fields["Uid"].split()) == set(fields["Gid"].split()) == {"65534"}
    assert [int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0] * 4
    assert fields["NoNewPrivs"] == "1"
    assert re.search(r"Max file size\s+0\s+0\s", limits)
    assert re.search(r"Max core file size\s+0\s+0\s", limits)


@live
@pytest.mark.skipif(
    shutil.which("sipp") is None or not (SIPP_MEDIA / "g711a.pcap").exists(),
    reason="install sip-tester, for calls of SIPp",
)
def test_real_call(tmp_path: Path):
    """The worker stores signalling and RTP headers of a real call, and none of its secrets."""
    callee, caller, callee_media, caller_media = (_free_port() for _ in range(4))
    ports = tuple((port, port) for port in sorted({callee, caller, callee_media, caller_media}))
    capture = Capture(_live(selector=Selector(ports=ports, transport=Transport.UDP)))
    capture.wait_for("running")
    common = ["-m", "1", "-i", "127.0.0.1", "-nostdin", "-timeout", f"{HANG_S:.0f}s", "-timeout_error"]

    def sipp(scenario: str, port: int, media: int, *rest: str) -> subprocess.Popen[bytes]:
        command = ["sipp", "-sf", str(TESTDATA / scenario), "-p", str(port), "-mp", str(media), *common, *rest]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    answering = sipp("sipp-callee.xml", callee, callee_media)
    calling = sipp("sipp-caller.xml", caller, caller_media, f"127.0.0.1:{callee}")
    assert (calling.wait(HANG_S), answering.wait(HANG_S)) == (0, 0)
    assert capture.stop() == 0
    evidence, counters = capture.evidence, capture.report["counters"]
    for text in (b"INVITE sip:bob", b"SIP/2.0 401", b"BYE sip:bob", b"a=rtpmap:101", b"Call-ID: "):
        assert text in evidence
    for secret in (b"47ebe028cda119", b"WVNfX19z", b"NzB4d1BI", b"Signal=7", b"inline:", b'response="', b"a=crypto"):
        assert secret not in evidence
    with (SIPP_MEDIA / "g711a.pcap").open("rb") as file:
        speech = [frame.data[54:86] for frame in open_capture(file)]
    assert not any(piece in evidence for piece in speech if len(set(piece)) > 4)
    rtp = [frame for frame in capture.frames() if frame.data[42:43] == b"\x80"]
    assert len(rtp) > 40
    assert {frame.data[43] & 0x7F for frame in rtp} >= {8, 101}
    assert {len(frame.data) for frame in rtp} == {54}
    assert counters["received"] == counters["delivered"] == counters["written"]
    assert counters["dropped"] == 0

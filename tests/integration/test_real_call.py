"""A real call of SIPp, captured by a real server: the content of its evidence, and the absence of its secrets."""

import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from linewarden.diagnostics.agent.enrolment import Enrolment
from linewarden.diagnostics.analysis.engine import analyse
from linewarden.diagnostics.analysis.evidence import EvidenceFile
from linewarden.diagnostics.analysis.report import Report
from linewarden.server.tls import certificate_builder, pem_of
from linewarden.v1 import capture_pb2 as pb
from tests.integration.branches import Branch, prepare
from tests.integration.calls import HEADERS, Call, Ports, make_call, needs_sipp, windows
from tests.integration.captures import ended, evidence, started
from tests.integration.conftest import Site
from tests.integration.diagnosing import Diagnosing, customer
from tests.integration.disks import holding
from tests.integration.scenes import free_port
from tests.rights import live

LADDER = ["INVITE", "401 Unauthorized", "ACK", "INVITE", "200 OK", "ACK", "INFO", "200 OK", "BYE", "200 OK"]

pytestmark = [
    needs_sipp,
    live,
    pytest.mark.skipif(os.geteuid() != 0, reason="SIPp sends media through a raw socket: needs root"),
]


async def test_a_call_on_loopback(sqlite_site: Site, tmp_path: Path) -> None:
    """The evidence shows the call and its media, and holds no speech, digits, digest response or keys."""
    ports = Ports(*(free_port() for _ in range(4)))
    async with customer(sqlite_site) as (acme, _running):
        await acme.permit()
        id = await started(acme, selector=of_ports(ports))
        call = await make_call(tmp_path, ports)
        plain = await stopped(acme, id)
    check_shown(plain, ports)
    check_masked(plain, call)
    check_disk(sqlite_site, call)


async def test_a_call_at_another_host(sqlite_site: Site, tmp_path: Path) -> None:
    """A worker in another network captures the same evidence, seals it there and delivers it to the server."""
    ports = Ports(5_060, 5_070, 6_000, 6_010)
    with another_host() as host:
        async with branch_of(sqlite_site, host) as branch:
            enrolment = branch.enrol(servers=(f"{host.server}:{branch.port}",))
            with host.worker(enrolment) as worker:
                try:
                    await branch.attended(1)
                    id = await branch.started(selector=of_ports(ports))
                    call = await make_call(tmp_path, ports, host.prefix)
                    plain = await stopped(branch.acme, id)
                finally:
                    worker.terminate()
    assert b"worker: branch" in plain
    check_shown(plain, ports)
    check_masked(plain, call)
    check_disk(sqlite_site, call)


def of_ports(ports: Ports) -> pb.CaptureSelector:
    """Return the packets of a call."""
    return pb.CaptureSelector(ports=[pb.PortRange(low=port, high=port) for port in ports.all])


async def stopped(acme: Diagnosing, id: str) -> bytes:
    """Stop a capture that lost nothing; return its evidence."""
    await acme.ask("StopCapture", capture_id=id)
    capture = await ended(acme, id)
    assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_SEALED, pb.CAPTURE_STOP_REASON_REQUESTED)
    counters = capture.counters
    assert counters.received == counters.delivered == counters.written > 60
    assert (counters.dropped, capture.lossy) == (0, False)
    return await evidence(acme, id)


def report_of(plain: bytes) -> Report:
    """Return the analysis of the evidence."""
    return analyse(EvidenceFile(io.BytesIO(plain)))


def check_shown(plain: bytes, ports: Ports) -> None:
    """Check the ladder, and all media except the first packet of each source, which may not be RTP."""
    report = report_of(plain)
    (ladder,) = report.ladders
    assert [arrow.label for arrow in ladder.arrows if not arrow.resent] == LADDER
    assert {arrow.source.port for arrow in ladder.arrows} == {ports.callee, ports.caller}
    (call,) = report.calls
    assert call.final_status == 200
    streams = report.streams_of(ladder.call_id)
    assert streams == report.streams
    assert {stream.destination.port for stream in streams} == {ports.callee_media}
    assert sum(count for stream in streams for kind, count in stream.payload_types if kind == 0) == 49
    assert sum(stream.event_packets for stream in streams) > 5
    assert any(stream.codec == "PCMU" and stream.lost == 0 for stream in streams)


def check_masked(plain: bytes, call: Call) -> None:
    """Check that the evidence holds no six bytes of a secret, and only headers of media."""
    kept = windows(plain)
    for text in (b"INVITE sip:bob", b"SIP/2.0 401", b"BYE sip:bob", b"a=rtpmap:101", b"PCMU/8000", b"Call-ID: "):
        assert text in plain
    assert len(call.credentials) >= 5
    for secret in (*call.speech, *call.digits, *call.credentials, b"Signal=7"):
        assert len(secret) >= 6
        assert not windows(secret) & kept, secret
    for name in (b"a=crypto", b"inline:", b'response="'):
        assert name not in plain
    media = [frame for frame in EvidenceFile(io.BytesIO(plain)) if frame.data[42:43] == b"\x80"]
    assert len(media) > 55
    assert {len(frame.data) for frame in media} == {HEADERS}


def check_disk(site: Site, call: Call) -> None:
    """Check that no file of the service holds a secret."""
    for secret in (call.speech[0][:16], call.speech[-1][:16], *call.credentials):
        assert holding(site.settings.data_dir, secret) == []


@dataclass(frozen=True)
class Host:
    """A separate network: the words that run a command in it, and the server's address as seen from it."""

    prefix: tuple[str, ...]
    server: str

    def worker(self, enrolment: Enrolment) -> "subprocess.Popen[bytes]":
        """Run a capture worker in the other network."""
        command = [sys.executable, "-m", "linewarden.cli", "worker", "run", str(enrolment.spool.parent)]
        return subprocess.Popen([*self.prefix, *command], stderr=subprocess.DEVNULL)


@contextmanager
def another_host() -> Iterator[Host]:
    """Make a network namespace with one link to here; skip the test where this is not possible."""
    name = f"lw{os.urandom(3).hex()}"
    here, there = f"{name}a", f"{name}b"
    subnet = f"10.{os.urandom(1)[0]}.{os.urandom(1)[0]}"
    steps = (
        f"link add {here} type veth peer name {there} netns {name}",
        f"addr add {subnet}.1/30 dev {here}",
        f"link set {here} up",
        f"-n {name} addr add {subnet}.2/30 dev {there}",
        f"-n {name} link set {there} up",
        f"-n {name} link set lo up",
    )
    if not _ip(f"netns add {name}"):
        pytest.skip("install iproute2; needs root and the right to make a network namespace (CAP_SYS_ADMIN)")
    try:
        if not all(map(_ip, steps)):
            pytest.skip("needs the right to link a network namespace (CAP_NET_ADMIN), and veth in the kernel")
        yield Host(("ip", "netns", "exec", name), f"{subnet}.1")
    finally:
        _ip(f"netns del {name}")


def _ip(words: str) -> bool:
    """Run a command of iproute2; return whether it succeeded."""
    try:
        return subprocess.run(["ip", *words.split()], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@asynccontextmanager
async def branch_of(site: Site, host: Host) -> AsyncIterator[Branch]:
    """Yield a customer that has permitted captures, with a listener for workers on the link to another host."""
    settings: dict[str, Any] = prepare(site) | {"capture_listen": f"{host.server}:0"}
    _certify(site, host.server)
    async with customer(site, **settings) as (acme, running):
        await acme.permit()
        yield Branch(site, acme, running)


def _certify(site: Site, address: str) -> None:
    """Put a certificate for that address in the place of the one for localhost, as an operator does."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        certificate_builder(name, name, key, datetime.now(UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    site.settings.tls_key.write_bytes(pem_of(key))
    site.settings.tls_certificate.write_bytes(certificate)
    (site.settings.data_dir / "tls/ca.crt").write_bytes(certificate)

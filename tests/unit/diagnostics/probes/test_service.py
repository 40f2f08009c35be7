"""Probes against servers on loopback: what they find, and that nothing the other side says can harm them."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewarden.diagnostics.probes import dns
from linewarden.diagnostics.probes.clock import probe_clock
from linewarden.diagnostics.probes.dns import probe_dns
from linewarden.diagnostics.probes.model import LONGEST_FINDING, ProbeKind, ProbeOrder, clean
from linewarden.diagnostics.probes.reach import probe_reachability
from linewarden.diagnostics.probes.sip import probe_options
from linewarden.diagnostics.probes.tls import probe_tls
from linewarden.server.tls import make_development_certificates
from tests.deadlines import HANG_S


def order(port: int, *, target: str = "127.0.0.1", transport: str = "udp", timeout_s: float = HANG_S) -> ProbeOrder:
    """An order; the kind plays no part in a probe itself."""
    return ProbeOrder(ProbeKind.SIP_OPTIONS, target, port, transport, timeout_s)


@contextmanager
def udp_server(answer: Callable[[bytes], list[bytes]]) -> Iterator[int]:
    """A server on a UDP port that answers each datagram with some others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    data, peer = server.recvfrom(65_535)
                except TimeoutError:
                    continue
                for reply in answer(data):
                    server.sendto(reply, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join()


def sip_answer(request: bytes, status: str, more: str = "") -> bytes:
    """An answer to a SIP request, with its Via, Call-ID and CSeq."""
    kept = [
        line for line in request.decode().split("\r\n") if line.startswith(("Via", "From", "To", "Call-ID", "CSeq"))
    ]
    return (
        "\r\n".join([f"SIP/2.0 {status}", *kept, *([more] if more else []), "Content-Length: 0"]) + "\r\n\r\n"
    ).encode()


def test_options_reports_what_the_device_says() -> None:
    """Status and capabilities of the final answer; a provisional one before it is passed over."""
    allow = "Allow: INVITE, OPTIONS"
    with udp_server(lambda data: [sip_answer(data, "100 Trying"), sip_answer(data, "200 OK", allow)]) as port:
        found = probe_options(order(port))
    assert found.succeeded
    assert (found.values["status"], found.values["allow"]) == ("200", "INVITE, OPTIONS")


def test_options_that_are_refused_show_that_the_device_lives() -> None:
    """A 4xx answer is found, and is no success."""
    with udp_server(lambda data: [sip_answer(data, "405 Method Not Allowed")]) as port:
        found = probe_options(order(port))
    assert (found.succeeded, found.values["status"]) == (False, "405")


def test_answers_to_another_question_are_not_taken() -> None:
    """A message without the Call-ID of the probe is no answer; the probe ends in its time."""
    foreign = b"SIP/2.0 200 OK\r\nCall-ID: other\r\nContent-Length: 0\r\n\r\n"
    with udp_server(lambda _data: [foreign, b"garbage", b""]) as port:
        found = probe_options(order(port, timeout_s=0.6))
    assert (found.succeeded, found.values) == (False, {"error": "TimeoutError"})


def test_options_over_tcp() -> None:
    """The same over a connection, the answer in two pieces."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _peer = server.accept()
            with connection:
                answer = sip_answer(connection.recv(65_535), "200 OK")
                connection.sendall(answer[:20])
                time.sleep(0.05)
                connection.sendall(answer[20:])
                connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        found = probe_options(order(server.getsockname()[1], transport="tcp"))
        thread.join()
    assert found.succeeded


def test_reachability() -> None:
    """A port that listens is reached in some time, one that does not is an error by its kind."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert float(probe_reachability(order(port)).values["connect_ms"]) < 2_000
    assert probe_reachability(order(port)).values == {"error": "ConnectionRefusedError"}


def ntp_answer(request: bytes, offset_s: float = 0.0, mode: int = 0x24, stratum: int = 2) -> bytes:
    """The answer of a server whose clock is ahead."""
    now = time.time() + offset_s + 2_208_988_800
    stamp = struct.pack("!II", int(now), int(now % 1 * 2**32))
    return struct.pack("!BBbb3I", mode, stratum, 0, -20, 0, 0, 0) + bytes(8) + request[40:48] + stamp + stamp


def test_the_offset_of_a_clock() -> None:
    """A server five seconds ahead is found five seconds ahead."""
    with udp_server(lambda data: [ntp_answer(data, 5)]) as port:
        found = probe_clock(order(port))
    assert found.succeeded
    assert float(found.values["offset_ms"]) == pytest.approx(5_000, abs=200)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda data: ntp_answer(data)[:20], "ShortAnswer"),
        (lambda _data: ntp_answer(bytes(48)), "WrongAnswer"),
        (lambda data: ntp_answer(data, mode=0x23), "WrongAnswer"),
        (lambda data: ntp_answer(data, mode=0xE4), "Unsynchronized"),
        (lambda data: ntp_answer(data, stratum=16), "Unsynchronized"),
    ],
)
def test_clocks_that_cannot_be_believed(answer: Callable[[bytes], bytes], error: str) -> None:
    """Short, foreign and unsynchronized answers give no offset."""
    with udp_server(lambda data: [answer(data)]) as port:
        found = probe_clock(order(port))
    assert (found.succeeded, found.values["error"]) == (False, error)


def dns_answer(question: bytes, *records: bytes, flags: int = 0x8180) -> bytes:
    """An answer with records whose names point at the question."""
    return question[:2] + struct.pack("!5H", flags, 1, len(records), 0, 0) + question[12:] + b"".join(records)


def srv(target: bytes, kind: int = 33) -> bytes:
    """An SRV record."""
    data = struct.pack("!HHH", 10, 20, 5060) + target
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def naptr(target: bytes) -> bytes:
    """A NAPTR record."""
    data = struct.pack("!HH", 1, 2) + b"\x01s\x07SIP+D2U\x00" + target
    return b"\xc0\x0c" + struct.pack("!HHIH", 35, 1, 60, len(data)) + data


HOST = b"\x03sip\x04acme\x07example\x00"


def test_the_records_of_a_sip_domain() -> None:
    """NAPTR and SRV are reported in the order of RFC 3263, and a missing record by its code."""

    def answer(question: bytes) -> list[bytes]:
        if question[-4:-2] == b"\0#":
            return [dns_answer(question, naptr(HOST))]
        return [dns_answer(question, srv(HOST)) if b"_udp" in question else dns_answer(question, flags=0x8183)]

    with udp_server(answer) as port:
        found = probe_dns(order(0, target="acme.example", timeout_s=HANG_S), [("127.0.0.1", port)])
    assert found.succeeded
    assert found.values == {
        "naptr": "1 2 s SIP+D2U  sip.acme.example",
        "_sip._udp": "10 20 5060 sip.acme.example",
        "_sip._tcp": "none, code 3",
        "_sips._tcp": "none, code 3",
    }


@pytest.mark.parametrize(
    "answer",
    [
        lambda question: dns_answer(question, srv(b"\xc0\x0c")),
        lambda question: dns_answer(question, srv(b"\xc0\xff")),
        lambda question: b"\0\0" + dns_answer(question, srv(HOST))[2:],
        lambda question: question,
        lambda _question: b"",
    ],
    ids=["points at the question", "points nowhere", "another id", "a question", "nothing"],
)
def test_dns_answers_that_are_none(answer: Callable[[bytes], bytes]) -> None:
    """Loops, foreign ids and half messages end the question, not the probe."""
    with udp_server(lambda data: [answer(data)]) as port:
        found = probe_dns(order(0, target="acme.example", timeout_s=0.8), [("127.0.0.1", port)])
    assert set(found.values) == {"naptr", "_sip._udp", "_sip._tcp", "_sips._tcp"}


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_the_reader_of_dns_fail_in_another_way(noise: bytes) -> None:
    """Whatever comes is read or called malformed."""
    question = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\x04acme\0" + struct.pack("!HH", 33, 1)
    for answer in (noise, dns_answer(question, b"\xc0\x0c\0!\0\1\0\0\0\1\0\x20" + noise)):
        try:
            dns._read(answer, question, 33)
        except dns._Malformed:
            continue


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Development certificates for localhost."""
    make_development_certificates(tmp_path, datetime.now(UTC))
    return tmp_path


def test_an_untrusted_certificate_is_shown_and_is_no_success(certificate: Path) -> None:
    """A certificate outside the trust store is described, with why it does not hold."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "server.crt", certificate / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve() -> None:
            server.settimeout(0.05)
            while not over.is_set():
                try:
                    connection, _peer = server.accept()
                    connection.settimeout(HANG_S)
                    with context.wrap_socket(connection, server_side=True) as secure:
                        secure.recv(1)
                except OSError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        found = probe_tls(order(server.getsockname()[1], target="localhost"))
        over.set()
        thread.join()
    assert not found.succeeded
    assert found.values["verified"] == "no"
    assert found.values["verify_error"]
    assert len(bytes.fromhex(found.values["sha256"])) == 32


def test_a_port_without_tls() -> None:
    """A server without TLS is an error by its kind, in time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = probe_tls(order(server.getsockname()[1], timeout_s=0.3))
    assert (found.succeeded, found.values) == (False, {"error": "TimeoutError"})


def test_what_the_other_side_says_is_bounded_and_printable() -> None:
    """Nothing of any length, and no control character, comes into findings."""
    assert clean("a\x1b[31m\n" + "x" * 10_000) == "a?[31m?" + "x" * (LONGEST_FINDING - 7)

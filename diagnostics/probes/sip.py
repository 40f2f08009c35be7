"""SIP OPTIONS probe: the answer of a device and its capabilities (RFC 3261 section 11)."""

import os
import re
import socket
import time

from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult, clean

_PORT = 5060
_LONGEST = 65_535
_STATUS = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2}) ([^\r\n]*)\r\n")
#: Headers of the answer that describe the device, and no person.
_SHOWN_HEADERS = ("server", "user-agent", "allow", "accept", "supported")


def probe_options(order: ProbeOrder) -> ProbeResult:
    """Send one OPTIONS request, over UDP again after half the time. Report status and capabilities."""
    try:
        started = time.monotonic()
        answer = _exchange(order, os.urandom(12).hex())
    except OSError as error:
        return ProbeResult(succeeded=False, values={"error": type(error).__name__})
    status = _STATUS.match(answer)
    if status is None:
        return ProbeResult(succeeded=False, values={"error": "NotSip"})
    code, phrase = int(status[1]), status[2].decode("utf-8", "replace")
    values = {"status": str(code), "phrase": clean(phrase), "ms": f"{(time.monotonic() - started) * 1_000:.1f}"}
    # Any final answer shows that the device is alive; only 2xx means success.
    return ProbeResult(succeeded=code // 100 == 2, values=values | _headers(answer))


def _exchange(order: ProbeOrder, token: str) -> bytes:
    udp = order.transport != "tcp"
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    family, kind, protocol, _name, address = socket.getaddrinfo(order.target, order.port or _PORT, type=kind)[0]
    with socket.socket(family, kind, protocol) as connection:
        until = time.monotonic() + order.timeout_s
        connection.settimeout(order.timeout_s)
        connection.connect(address)
        request = _request(order, token, connection.getsockname()[:2], udp=udp)
        connection.sendall(request)
        if not udp:
            return _final(connection, token, until)
        try:
            return _final(connection, token, time.monotonic() + order.timeout_s / 2)
        except TimeoutError:
            connection.sendall(request)
            return _final(connection, token, until)


def _final(connection: socket.socket, token: str, until: float) -> bytes:
    """Return the final answer to this request. Provisional answers and foreign messages are skipped."""
    data = b""
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(_LONGEST)
        datagram = connection.type is socket.SOCK_DGRAM
        if not part and not datagram:
            raise ConnectionResetError
        data = part if datagram else (data + part)[:_LONGEST]
        whole = b"\r\n\r\n" in data
        if whole and token.encode() in data and not data.startswith(b"SIP/2.0 1"):
            return data
        if whole and data.startswith(b"SIP/2.0 1"):
            data = data.partition(b"\r\n\r\n")[2]


def _request(order: ProbeOrder, token: str, own: tuple[str, int], *, udp: bool) -> bytes:
    host = f"[{order.target}]" if ":" in order.target else order.target
    local = f"[{own[0]}]:{own[1]}" if ":" in own[0] else f"{own[0]}:{own[1]}"
    lines = (
        f"OPTIONS sip:{host}:{order.port or _PORT} SIP/2.0",
        f"Via: SIP/2.0/{'UDP' if udp else 'TCP'} {local};branch=z9hG4bK{token};rport",
        "Max-Forwards: 1",
        f"From: <sip:probe@{host}>;tag={token[:8]}",
        f"To: <sip:{host}>",
        f"Call-ID: {token}",
        "CSeq: 1 OPTIONS",
        f"Contact: <sip:probe@{local}>",
        "Accept: application/sdp",
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _headers(answer: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    head = answer.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    for line in head.split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        key = name.strip().lower()
        if colon and key in _SHOWN_HEADERS and key not in found:
            found[key] = clean(value.strip())
    return found

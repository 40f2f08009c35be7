"""Reachability probe: whether a TCP port answers, and how fast."""

import socket
import time

from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult

_PORT = 5060


def probe_reachability(order: ProbeOrder) -> ProbeResult:
    """Report the time of a TCP connection, and separately the time of the name look-up."""
    started = time.monotonic()
    try:
        found = socket.getaddrinfo(order.target, order.port or _PORT, type=socket.SOCK_STREAM)
        looked_up = time.monotonic()
        family, kind, protocol, _name, address = found[0]
        with socket.socket(family, kind, protocol) as connection:
            connection.settimeout(order.timeout_s)
            connection.connect(address)
            connected = time.monotonic()
    except OSError as error:
        return ProbeResult(succeeded=False, values={"error": type(error).__name__})
    values = {"lookup_ms": _ms(looked_up - started), "connect_ms": _ms(connected - looked_up)}
    return ProbeResult(succeeded=True, values=values | {"family": family.name, "addresses": str(len(found))})


def _ms(seconds: float) -> str:
    return f"{seconds * 1_000:.1f}"

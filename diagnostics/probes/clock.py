"""Clock probe: the offset of this clock from that of an NTP server, by one exchange of RFC 5905 in client mode."""

import socket
import struct
import time

from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult

_PORT = 123
_PACKET = struct.Struct("!BBbb11I")
_CLIENT = 0x23
_SERVER_MODE = 4
_UNSYNCHRONIZED = 3
#: Seconds from 1900, where NTP begins, to 1970.
_EPOCH = 2_208_988_800


def probe_clock(order: ProbeOrder) -> ProbeResult:
    """Report offset and delay in milliseconds, and the server's stratum."""
    try:
        found = socket.getaddrinfo(order.target, order.port or _PORT, type=socket.SOCK_DGRAM)
        family, kind, protocol, _name, address = found[0]
        with socket.socket(family, kind, protocol) as connection:
            connection.settimeout(order.timeout_s)
            connection.connect(address)
            sent = time.time()
            connection.send(_PACKET.pack(_CLIENT, 0, 0, 0, *[0] * 9, *_ntp(sent)))
            answer = connection.recv(_PACKET.size)
            received = time.time()
    except OSError as error:
        return ProbeResult(succeeded=False, values={"error": type(error).__name__})
    return _read(answer, sent, received)


def _read(answer: bytes, sent: float, received: float) -> ProbeResult:
    if len(answer) < _PACKET.size:
        return ProbeResult(succeeded=False, values={"error": "ShortAnswer"})
    flags, stratum, _poll, _precision, *words = _PACKET.unpack(answer)
    # The answer must repeat the time that was sent; any other answer belongs to another question.
    if flags & 7 != _SERVER_MODE or tuple(words[5:7]) != _ntp(sent):
        return ProbeResult(succeeded=False, values={"error": "WrongAnswer"})
    if not 1 <= stratum <= 15 or flags >> 6 == _UNSYNCHRONIZED:
        return ProbeResult(succeeded=False, values={"error": "Unsynchronized", "stratum": str(stratum)})
    came, left = _seconds(words[7], words[8]), _seconds(words[9], words[10])
    offset = ((came - sent) + (left - received)) / 2
    delay = (received - sent) - (left - came)
    values = {"offset_ms": f"{offset * 1_000:.1f}", "delay_ms": f"{delay * 1_000:.1f}", "stratum": str(stratum)}
    return ProbeResult(succeeded=True, values=values)


def _ntp(seconds: float) -> tuple[int, int]:
    whole = int(seconds)
    return (whole + _EPOCH) & 0xFFFFFFFF, int((seconds - whole) * 2**32) & 0xFFFFFFFF


def _seconds(whole: int, fraction: int) -> float:
    # The era ends in 2036; a time before 1970 is of the next era.
    era = 2**32 if whole < _EPOCH else 0
    return whole + era - _EPOCH + fraction / 2**32

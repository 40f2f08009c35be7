"""Live captures from other links than loopback: Ethernet with VLAN tags, and one without a link header.

They need root (CAP_NET_ADMIN) and /dev/net/tun; the interfaces exist while the test holds them.
"""

import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from linewarden.diagnostics.packets.dissect import LINKTYPE_ETHERNET, LINKTYPE_SLL2
from linewarden.diagnostics.packets.errors import SourceUnusable
from linewarden.diagnostics.packets.mask import Masker
from linewarden.diagnostics.packets.model import Frame, Profile, Selector
from linewarden.diagnostics.packets.source_live import LiveSource
from tests.deadlines import FACTOR, HANG_S

pytest.importorskip("scapy", reason="install linewarden[capture] and libpcap0.8")

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 1, 2, 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_PORT = 5_060
_FILTER = f"udp port {_PORT}"


@dataclass(slots=True)
class WorkerConnection:
    """An interface whose far end the test holds: bytes written to `fd` arrive on it."""

    name: str
    fd: int

    def set(self, *, up: bool) -> None:
        """Turn the interface on or off."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            request = struct.pack("16sH14x", self.name.encode(), 0)
            flags = struct.unpack("16sH14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
            flags = flags | _IFF_UP if up else flags & ~_IFF_UP
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", self.name.encode(), flags))


def _connection(kind: int) -> Iterator[WorkerConnection]:
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR)
    except OSError:
        pytest.skip("needs /dev/net/tun: load the kernel module tun")
    try:
        answer = fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH14x", b"lwtest%d", kind | _IFF_NO_PI))
        link = WorkerConnection(struct.unpack("16sH14x", answer)[0].rstrip(b"\0").decode(), fd)
        link.set(up=True)
    except PermissionError:
        os.close(fd)
        pytest.skip("needs root (CAP_NET_ADMIN)")
    yield link
    os.close(fd)


@pytest.fixture
def ethernet() -> Iterator[WorkerConnection]:
    """Yield an interface with Ethernet frames."""
    yield from _connection(_IFF_TAP)


@pytest.fixture
def bare() -> Iterator[WorkerConnection]:
    """Yield an interface with IP packets and no link header."""
    yield from _connection(_IFF_TUN)


def _packet(port: int = _PORT) -> bytes:
    sip = b"OPTIONS sip:b:SECRET@h SIP/2.0\r\nContent-Length: 0\r\n\r\n"
    udp = struct.pack("!HHHH", port, port, 8 + len(sip), 0) + sip
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, b"\xc0\0\2\1", b"\xc0\0\2\2") + udp


def _captured(
    link: WorkerConnection, frames: list[bytes], filter_text: str = _FILTER
) -> tuple[list[Frame], LiveSource]:
    source = LiveSource(link.name, filter_text)
    for frame in frames:
        os.write(link.fd, frame)
    time.sleep(0.1 * FACTOR)
    source.stop()
    found = [frame for _ in range(4) for frame in source.read(0.05) or ()]
    counted = source.counters()[0]
    assert (counted.received, counted.dropped) == (len(found), 0)
    return found, source


_ADDRESSES = b"\x02\0\0\0\0\x01" + b"\x02\0\0\0\0\x02"


def test_tags_are_put_back(ethernet: WorkerConnection):
    """The source restores a VLAN tag that the kernel removed, also before another tag, and filters match both."""
    plain = _ADDRESSES + b"\x08\x00" + _packet()
    tagged = _ADDRESSES + b"\x81\x00\x20\x05\x08\x00" + _packet()
    twice = _ADDRESSES + b"\x88\xa8\x00\x07\x81\x00\x20\x05\x08\x00" + _packet()
    other = _ADDRESSES + b"\x81\x00\x20\x05\x08\x00" + _packet(port=9)
    found, source = _captured(ethernet, [plain, tagged, twice, other])
    assert [frame.data for frame in found] == [plain, tagged, twice]
    assert [frame.original_length for frame in found] == [len(plain), len(tagged), len(twice)]
    mask = Masker(Profile.SIGNALLING, Selector(), 65_535)
    assert source.interfaces[0].link_type == LINKTYPE_ETHERNET
    for frame in found:
        assert mask.mask(LINKTYPE_ETHERNET, frame.data) == frame.data.replace(b"SECRET", b"xxxxxx")
    source.close()


def test_cooked(bare: WorkerConnection):
    """The source captures a link without header with a Linux cooked header, filtered and masked like any other."""
    found, source = _captured(bare, [_packet(), _packet(port=9)])
    assert source.interfaces[0].link_type == LINKTYPE_SLL2
    assert [frame.data[20:] for frame in found] == [_packet()]
    assert found[0].data[:2] == b"\x08\x00"
    assert found[0].original_length == len(found[0].data) == 20 + len(_packet())
    masked = Masker(Profile.SIGNALLING, Selector(), 65_535).mask(LINKTYPE_SLL2, found[0].data)
    assert masked == found[0].data.replace(b"SECRET", b"xxxxxx")
    source.close()


def test_interface_that_goes_away(ethernet: WorkerConnection):
    """The source reports an interface that is turned off, instead of waiting or spinning."""
    source = LiveSource(ethernet.name, "")
    ethernet.set(up=False)
    with pytest.raises(SourceUnusable, match="no longer"):
        _read_for(source, seconds=HANG_S)
    source.close()


def _read_for(source: Any, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        source.read(0.1)


def test_nothing_before_the_filter(ethernet: WorkerConnection):
    """Under load no packet passes between the opening of the socket and its filter."""
    foreign = _ADDRESSES + b"\x08\x00" + _packet(port=9)
    for _ in range(10):
        for _ in range(50):
            os.write(ethernet.fd, foreign)
        found, source = _captured(ethernet, [foreign] * 50)
        assert found == []
        source.close()

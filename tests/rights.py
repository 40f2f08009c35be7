"""Rights and system libraries of this process, for the tests that need one."""

import socket

import pytest

from linewarden.diagnostics.packets.errors import FilterRefused
from linewarden.diagnostics.packets.libpcap import load


def has_libpcap() -> bool:
    """Return whether filters can be compiled here."""
    try:
        load()
    except FilterRefused:
        return False
    return True


def may_capture() -> bool:
    """Return whether this process can compile a filter and open the socket of a live capture."""
    if not has_libpcap():
        return False
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (AttributeError, OSError):
        return False
    return True


live = pytest.mark.skipif(
    not may_capture(), reason="a live capture needs root or CAP_NET_RAW, on Linux, and libpcap0.8"
)
filters = pytest.mark.skipif(not has_libpcap(), reason="filters need libpcap: install libpcap0.8")

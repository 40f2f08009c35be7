"""What this process may do, for the tests that need a right to run."""

import socket

import pytest


def may_capture() -> bool:
    """Whether this process may open the socket that a live capture needs."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (AttributeError, OSError):
        return False
    return True


live = pytest.mark.skipif(not may_capture(), reason="a live capture needs root or CAP_NET_RAW, on Linux")

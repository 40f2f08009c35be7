"""Listening sockets of the addresses in the settings."""

import socket
from collections.abc import Iterable
from contextlib import ExitStack

from linewarden.server.addresses import check_free

#: Connections that may wait to be accepted.
_BACKLOG = 1_024


def listening(addresses: Iterable[str], *, shared: bool) -> tuple[list[socket.socket], tuple[str, ...]]:
    """Listen on each HOST:PORT or [IPv6]:PORT. Return the sockets and the addresses with their ports.

    With `shared`, other processes of the service may listen on the same addresses.

    Raises:
        AddressTaken: another process listens there.
        OSError: the host has no such address, or the right to use it is missing.
    """
    with ExitStack() as opened:
        sockets: list[socket.socket] = []
        named = []
        for address in addresses:
            host, _, port = address.rpartition(":")
            found = _listening_on(opened, address, host.strip("[]"), int(port), shared=shared)
            sockets += found
            named.append(f"{host}:{found[0].getsockname()[1]}")
        opened.pop_all()
        return sockets, tuple(named)


def _listening_on(opened: ExitStack, address: str, host: str, port: int, *, shared: bool) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise OSError(f"cannot serve on {address}: {error.strerror}; see `listen`") from None
    sockets: list[socket.socket] = []
    for family, _kind, _protocol, _name, at in found:
        port = sockets[0].getsockname()[1] if sockets else port
        one = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            one.bind((at[0], port, *at[2:]))
            one.listen(_BACKLOG)
        except OSError:
            continue  # a name may have addresses that this host cannot use; check_free tells of all others
        one.settimeout(0)
        sockets.append(one)
    if len(sockets) < len(found):
        check_free((address,))
    if not sockets:
        raise OSError(f"cannot serve on {address}; see `listen`")
    return sockets

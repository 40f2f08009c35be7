"""The listening sockets of the settings: addresses, and a Unix domain socket."""

import socket
from contextlib import ExitStack

from linewarden.server.addresses import check_free
from linewarden.server.settings import Settings
from linewarden.server.transports.unix_socket import PeerCheck, listen_unix, users_of

#: Connections that may wait to be accepted.
_BACKLOG = 1_024


#: Connections of the Unix domain socket, at most, and their part of all. They are few, because they are backends of the
#: same host.
_UNIX_CONNECTIONS = 256
_UNIX_PART = 8

#: Open files of one relayed connection: the caller's, and both ends of the inner one.
FILES_OF_A_RELAY = 3


def unix_connections(settings: Settings, connections: int) -> int:
    """Return how many of all connections are kept for the Unix domain socket; 0 without one."""
    return max(1, min(_UNIX_CONNECTIONS, connections // _UNIX_PART)) if settings.listen_socket else 0


class Listeners:
    """The open sockets of a process. `addresses` are host and port of each setting.

    `shared` is the descriptor of the Unix domain socket, which further processes of the service inherit; None without
    one.
    """

    def __init__(self, settings: Settings, unix_connections: int) -> None:
        """Listen. `unix_connections` bounds those of the Unix domain socket.

        Raises:
            AddressTaken: another process listens there.
            ValueError: the settings name an unknown user.
            OSError: the host has no such address, or the right to use it is missing.
        """
        self.tcp: list[socket.socket] = []
        self.unix: list[socket.socket] = []
        self.addresses: tuple[str, ...] = ()
        self.shared: int | None = None
        with ExitStack() as opened:
            for address in settings.listen:
                self._listen(opened, address, shared=settings.workers > 1)
            if settings.listen_socket is not None:
                self._listen_unix(opened, settings, unix_connections)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the sockets."""
        self._opened.close()

    def _listen(self, opened: ExitStack, address: str, *, shared: bool) -> None:
        host, _, port = address.rpartition(":")
        found = _listening_on(opened, address, host.strip("[]"), int(port), shared=shared)
        self.tcp += found
        self.addresses += (f"{host}:{found[0].getsockname()[1]}",)

    def _listen_unix(self, opened: ExitStack, settings: Settings, connections: int) -> None:
        assert settings.listen_socket is not None
        users = users_of(settings.listen_socket_users)
        listener = listen_unix(settings.listen_socket, int(settings.listen_socket_mode, 8))
        opened.callback(listener.close)
        self.shared = listener.socket.fileno()
        if not users:
            self.unix.append(listener.socket)
            return
        check = PeerCheck(listener.socket, users, connections)
        opened.callback(check.close)
        self.unix.append(check.inner)


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

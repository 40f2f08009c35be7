"""A Unix domain socket for callers of the same host: its file, and the check of who connects.

The system lets only those connect whom the mode of the file permits. Where the settings name users, each connection is
also checked for the user of its process, as the system states it (SO_PEERCRED of unix(7)), before a byte of it is read.
"""

import asyncio
import contextlib
import os
import pwd
import socket
import stat
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from linewarden.server.addresses import AddressTaken

_BACKLOG = 1_024
#: Seconds before it accepts again after it could not.
_AGAIN_S = 1.0

_CREDENTIALS = struct.Struct("3i")

#: The form of an address that names an open socket of this process, which it got from its parent.
INHERITED = "fd:"


class UnixListener:
    """A listening socket and its file, which is removed when it is closed."""

    def __init__(self, socket: socket.socket, path: Path | None) -> None:
        self.socket = socket
        self._path = path
        self._file = path.stat() if path else None

    def close(self) -> None:
        """Close the socket; remove the file, unless another process made one in its place."""
        self.socket.close()
        if self._path is None or self._file is None:
            return
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._path.stat(), self._file):
                self._path.unlink()


def listen_unix(path: Path, mode: int) -> UnixListener:
    """Listen on a file, with this mode. `fd:N` as its last part is the open socket N of this process.

    Raises:
        AddressTaken: another process listens there.
        OSError: the file cannot be made, or something else is there.
    """
    if path.name.startswith(INHERITED):
        return UnixListener(socket.socket(fileno=int(path.name.removeprefix(INHERITED))), None)
    _remove_left(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        # No process can connect before `listen`.
        path.chmod(mode)
        listener.listen(_BACKLOG)
        listener.settimeout(0)
        return UnixListener(listener, path)
    except OSError as error:
        listener.close()
        raise OSError(f"cannot serve on {path}: {error.strerror or error}; see `listen_socket`") from None


def users_of(names: Sequence[str]) -> frozenset[int]:
    """Return the numbers of users, which are given by name or by number.

    Raises:
        ValueError: there is no such user.
    """
    return frozenset(map(_user, names))


class PeerCheck:
    """Passes the connections of permitted users to a listener of this process, and closes all others.

    Beyond `most` connections the next one waits to be accepted.
    """

    def __init__(self, outer: socket.socket, users: frozenset[int], most: int) -> None:
        self._outer = outer
        self._users = users
        self._room = asyncio.Semaphore(most)
        self._folder = tempfile.TemporaryDirectory(prefix="linewarden-")
        self._path = f"{self._folder.name}/inner"
        self._relays: set[asyncio.Task[Any]] = set()
        self.inner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.inner.bind(self._path)
        self.inner.listen(_BACKLOG)
        self.inner.settimeout(0)
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Accept no more connections. Those that were passed on are ended by their listener."""
        self._accepting.cancel()
        for relay in self._relays:
            relay.cancel()
        self.inner.close()
        self._folder.cleanup()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._room:
                try:
                    connection, _ = await loop.sock_accept(self._outer)
                except OSError as error:  # for lack of files
                    structlog.get_logger().error("connection_not_accepted", error=type(error).__name__)
                    await asyncio.sleep(_AGAIN_S)
                    continue
                if peer_of(connection) not in self._users:
                    structlog.get_logger().warning("socket_user_refused")
                    connection.close()
                    continue
            task = asyncio.create_task(self._relay(connection))
            self._relays.add(task)
            task.add_done_callback(self._relays.discard)
            # The relay takes its place before the next connection is accepted.
            await asyncio.sleep(0)

    async def _relay(self, connection: socket.socket) -> None:
        """Pass bytes on until one side ends."""
        loop = asyncio.get_running_loop()
        async with self._room:
            try:
                inside, half = await loop.create_unix_connection(_Half, self._path)
            except OSError:  # the listener is closed already, or there are no files left
                connection.close()
                return
            outside, other = await loop.connect_accepted_socket(_Half, connection)
            half.join(outside)
            other.join(inside)
            await asyncio.gather(half.lost, other.lost)


def peer_of(connection: socket.socket) -> int:
    """Return the number of the user whose process opened a connection."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(found)[1]
    return user


class _Half(asyncio.Protocol):
    """One side of a relay. A side that cannot write stops the reading of the other; a side that ends ends the other."""

    def __init__(self) -> None:
        self._other: Any = None
        self._early: list[bytes] = []
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def join(self, other: Any) -> None:
        """Begin to pass on to the other side."""
        self._other = other
        for data in self._early:
            other.write(data)
        self._early.clear()
        if self.lost.done():
            other.close()

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        if self._other is None:
            self._early.append(data)
        else:
            self._other.write(data)

    def pause_writing(self) -> None:
        """Stop reading what would be written here."""
        if self._other is not None:
            self._other.pause_reading()

    def resume_writing(self) -> None:
        """Read again."""
        if self._other is not None:
            self._other.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """End the other side too, after what was written to it."""
        if not self.lost.done():  # it is cancelled when the server stops
            self.lost.set_result(None)
        if self._other is not None:
            self._other.close()


def _user(name: str) -> int:
    if name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ValueError(f"there is no user {name!r}; see `listen_socket_users`") from None


def _remove_left(path: Path) -> None:
    """Remove the file of a socket on which no process listens any more.

    Raises:
        AddressTaken: a process listens there.
        OSError: something else is there.
    """
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise OSError(f"cannot serve on {path}: it is no socket; see `listen_socket`")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise AddressTaken(f"cannot serve on {path}: another process listens there; stop it")

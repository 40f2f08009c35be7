"""Listen addresses: a check that they are free, and the process that holds a taken one."""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

#: The state of a socket that listens, in /proc/net/tcp.
_LISTENS = "0A"


class AddressTaken(OSError):
    """Another process listens on an address. The text names the address, and the process if it is known."""


def check_free(addresses: Iterable[str]) -> None:
    """Make sure that this process can listen on each HOST:PORT or [IPv6]:PORT.

    Without the check gRPC would silently share a port with another process, or take only some addresses of a name.

    Raises:
        AddressTaken: another process listens there.
        OSError: the host has no such address, or the right to use it is missing.
    """
    for address in addresses:
        host, _, port = address.rpartition(":")
        _check_one(address, host.strip("[]"), int(port))


def listen(address: str, add_port: Callable[[], int]) -> int:
    """Let gRPC listen on an address, and return the port.

    Raises:
        AddressTaken: another process listens there.
        OSError: gRPC cannot listen there.
    """
    try:
        port = add_port()
    except RuntimeError:  # gRPC gives no other detail
        port = 0
    if port == 0:
        check_free((address,))
        raise OSError(f"cannot serve on {address}; see `listen`")
    return port


def _check_one(address: str, host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise OSError(f"cannot serve on {address}: {error.strerror}; see `listen`") from None
    faults = [fault for info in found if (fault := _bind_fault(info[0], info[4])) is not None]
    if any(fault.errno == errno.EADDRINUSE for fault in faults):
        holder = holder_of(port)
        known = f" by {holder}" if holder else ""
        raise AddressTaken(f"cannot serve on {address}: the port is taken{known}; stop that, or change `listen`")
    if faults and len(faults) == len(found):
        raise OSError(f"cannot serve on {address}: {os.strerror(faults[0].errno or 0)}; see `listen`")


def _bind_fault(family: int, address: tuple[object, ...]) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def holder_of(port: int) -> str:
    """Return the process that listens on a port, as `NAME (process 123)`; empty if that is not known."""
    sockets = {f"socket:[{inode}]" for name in ("tcp", "tcp6") for inode in _listening(name, port)}
    if not sockets:
        return ""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                name = (process / "comm").read_text(errors="replace").strip()
                return f"{name if name.isprintable() else 'a process'} (process {process.name})"
    return ""


def _listening(table: str, port: int) -> list[str]:
    """Return the inodes of sockets that listen on a port."""
    suffix = f":{struct.pack('>H', port).hex().upper()}"
    found = []
    with suppress(OSError):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and fields[1].endswith(suffix):
                found.append(fields[9])
    return found

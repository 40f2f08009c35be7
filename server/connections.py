"""Connections of a process: their bound, which leaves files for other uses, and their closing.

gRPC accepts connections. Beyond the bound it closes a new one at once, which its caller sees as UNAVAILABLE.
A connection without TLS handshake or HTTP/2 settings ends after HANDSHAKE_S, one without calls after the idle time of
the settings.
"""

import asyncio
import ctypes
import os
import resource
import socket
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from linewarden.server.settings import Settings

#: Files that are not connections: databases, evidence, pipes to workers, certificates.
RESERVED_FILES = 256

#: Seconds in which a connection must have begun to speak HTTP/2, TLS included.
HANDSHAKE_S = 10


#: Calls of one connection at a time. Further ones wait at the caller, at no cost to other callers. RFC 9113 advises at
#: least 100.
CALLS_OF_A_CONNECTION = 128

#: Bytes of the headers of one call.
MAX_METADATA_BYTES = 16 * 1024

#: Calls that gRPC has read and not yet passed on. Beyond its default bound of 1,000 it would cancel them.
_PENDING = 1_000_000

#: Calls of one connection that have ended and still hold memory. Beyond it gRPC resets further calls without a reason,
#: which bounds what a caller can cost that opens calls and resets them.
_ENDING = 2_000

#: Seconds in which gRPC finishes a connection that it was just accepting.
_ACCEPTING_S = 0.05

#: Linux's option for a filter of packets, see socket(7), and the one instruction of a filter that drops them all.
_SO_ATTACH_FILTER = 26
_DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)

#: The open files of this process, by number.
_FILES = Path("/dev/fd")

#: The part of the bound of connections from which on the text log tells of them.
_MANY = 0.9


def channel_options(settings: Settings, connections: int) -> list[tuple[str, int]]:
    """Return the channel options of gRPC for connections and calls. `connections` is the maximum number."""
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 1 if settings.workers > 1 else 0),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        # A connection ends now and then, so that neither a forgotten one nor a greedy one holds its place for ever.
        ("grpc.max_connection_age_ms", 3_600_000),
        ("grpc.max_connection_age_grace_ms", 60_000),
        ("grpc.max_connection_idle_ms", settings.connection_idle_seconds * 1_000),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_S * 1_000),
        ("grpc.max_concurrent_streams", CALLS_OF_A_CONNECTION),
        ("grpc.http2.max_deallocating_streams", _ENDING),
        ("grpc.server.max_pending_requests", _PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _PENDING),
        ("grpc.server_max_unrequested_time_in_server", 3_600),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]


def bound_connections(most: int) -> int:
    """Raise the limit of open files. Return the possible number of connections, and write it into the text log."""
    files = raise_file_limit()
    limit = connection_limit(most, files)
    log = structlog.get_logger().info if limit == most else structlog.get_logger().warning
    log("connections_bounded", connections=limit, file_limit=files, handshake_s=HANDSHAKE_S)
    return limit


def ports_of(addresses: Iterable[str]) -> frozenset[int]:
    """Return the ports of addresses."""
    return frozenset(int(address.rpartition(":")[2]) for address in addresses)


def report_connections(ports: frozenset[int], limit: int) -> None:
    """Write into the text log if most of the possible connections are open. With many it takes milliseconds."""
    if sum(1 for _ in _FILES.iterdir()) >= _MANY * limit and (count := open_connections(ports)) >= _MANY * limit:
        structlog.get_logger().warning("connections_run_out", connections=count, limit=limit)


def raise_file_limit() -> int:
    """Raise the limit of open files of this process as far as possible. Return the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # some systems state a hard limit that they do not grant
            return soft
    return hard if hard != resource.RLIM_INFINITY else _NO_FILE_LIMIT


_NO_FILE_LIMIT = 1 << 20


def connection_limit(most: int, file_limit: int) -> int:
    """Return the possible connections: `most`, or as many as the limit of files leaves, at least one."""
    return max(1, min(most, file_limit - RESERVED_FILES))


def open_connections(ports: frozenset[int]) -> int:
    """Return the number of open connections of callers to these ports."""
    return sum(1 for _ in _connections(ports))


async def close_connections(ports: frozenset[int]) -> None:
    """Accept no more connections and close all, so that waiting calls end as UNAVAILABLE.

    When gRPC stops, it ends a call that it has read and not passed on as CANCELLED, as if the caller had cancelled it.
    Written answers are still sent. The listeners are closed first, because a caller reconnects at once.
    """
    for listener in _sockets(ports, listening=True):
        _take_no_more(listener)
    await asyncio.sleep(_ACCEPTING_S)
    for connection in _connections(ports):
        with suppress(OSError):  # its caller closed it first
            connection.shutdown(socket.SHUT_RDWR)


def _take_no_more(listener: socket.socket) -> None:
    """Let the system drop packets to a listener. A shutdown would end it too, but gRPC logs that as an error."""
    program = ctypes.create_string_buffer(_DROP_ALL)
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
    except OSError:  # another system than Linux
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _connections(ports: frozenset[int]) -> Iterator[socket.socket]:
    """Return the accepted sockets of this process."""
    return _sockets(ports, listening=False)


def _sockets(ports: frozenset[int], *, listening: bool) -> Iterator[socket.socket]:
    """Yield the sockets of this process on these ports, as duplicates that are closed after use."""
    for file in list(_FILES.iterdir()):
        number = int(file.name)
        try:
            # Only sockets are duplicated: closing a duplicate of a database's file would drop the locks on it.
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            duplicate = socket.socket(fileno=os.dup(number))
        except OSError:  # it was closed meanwhile
            continue
        with duplicate:
            if _is_of(duplicate, ports) and _listens(duplicate) == listening:
                yield duplicate


def _is_of(one: socket.socket, ports: frozenset[int]) -> bool:
    try:
        return one.family in {socket.AF_INET, socket.AF_INET6} and one.getsockname()[1] in ports
    except OSError:  # it is not bound
        return False


def _listens(one: socket.socket) -> bool:
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

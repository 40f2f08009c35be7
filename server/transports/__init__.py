"""Transports: the servers that bring rpcs to callers and statuses back.

    h2        HTTP/2 in native code (h2corn), the default
    grpcio    the server of gRPC's own library

Both serve the same rpcs (`server.rpc.Rpc`) with the same authentication, statuses and limits, so that a caller cannot
tell them apart. Tests of faults, stops and bad input run against each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from linewarden.server.authentication import Authentication
from linewarden.server.large_requests import LargeRequests
from linewarden.server.rpc import Rpc
from linewarden.server.settings import Settings


@dataclass(frozen=True, slots=True)
class Served:
    """What a transport serves, and what it asks before it reads a request."""

    rpcs: Sequence[Rpc]
    authentication: Authentication
    large_requests: LargeRequests


class Transport(Protocol):
    """A server of rpcs. `addresses` are host and port of each listener.

    `socket` is the descriptor of its Unix domain socket, which further processes of the service inherit; None without
    one.
    """

    addresses: tuple[str, ...]
    socket: int | None

    async def close(self) -> None:
        """Accept no more connections and close all; calls that still wait end as UNAVAILABLE."""


async def open_transport(settings: Settings, served: Served, connections: int) -> Transport:
    """Serve with the transport of the settings, on at most this number of connections.

    Raises:
        ValueError: a certificate is invalid, or the settings name an unknown user.
        OSError: a file cannot be read, or an address is not available.
    """
    if settings.transport == "grpcio":
        from linewarden.server.transports.grpcio import open_grpcio  # noqa: PLC0415 - the other one is not loaded

        return await open_grpcio(settings, served, connections)
    from linewarden.server.transports.h2 import open_h2  # noqa: PLC0415

    return await open_h2(settings, served, connections)

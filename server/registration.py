"""Adding services to a server so that bytes that are no message are refused as any other bad request is.

Left to itself, gRPC answers such bytes with UNKNOWN and the text of an exception, and nobody records it. An empty
message stands in for what cannot be read: it lacks its tenant, so the door refuses it with a reason and records that.
"""

from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError


class Registration:
    """What the generated `add_…Servicer_to_server` functions need of a server."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: the same handlers come by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the methods of a service."""
        reading = {
            name: handler._replace(request_deserializer=lenient(handler.request_deserializer))
            for name, handler in handlers.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, reading),))


def lenient(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Read an empty message in place of bytes that are no message."""

    def read_or_empty(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError:
            return read(b"")

    return read_or_empty

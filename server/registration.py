"""Registration of services, so that bytes that do not parse are refused like any other invalid request.

By default gRPC answers such bytes with UNKNOWN and the text of an exception, and records nothing. Here an empty message
replaces them. It has no tenant, so admission refuses it with a reason and records the refusal.
"""

from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError


class Registration:
    """The part of a server that the generated `add_…Servicer_to_server` functions use."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Do nothing, because the same handlers are added by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add the methods of a service."""
        reading = {
            name: handler._replace(request_deserializer=lenient(handler.request_deserializer))
            for name, handler in handlers.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, reading),))


def lenient(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return a reader that returns an empty message for bytes that do not parse."""

    def read_or_empty(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError:
            return read(b"")

    return read_or_empty

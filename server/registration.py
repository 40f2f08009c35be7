"""Registration of services, so that bytes that do not parse are refused like any other invalid request.

By default gRPC answers such bytes with UNKNOWN and the text of an exception. Here an empty message replaces them.
"""

from collections.abc import Mapping
from typing import Any

import grpc

from linewarden.server.rpc import lenient


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

"""The rpcs of the contract by name, for tests that call many of them."""

from importlib import import_module
from typing import Any

import grpc

_FILES = ("access", "attestation", "audit", "capture", "notice", "policy", "probe", "terms", "usage")
_PLACES = {
    method.name: (file, name)
    for file in _FILES
    for name, service in import_module(f"linewarden.v1.{file}_pb2").DESCRIPTOR.services_by_name.items()
    for method in service.methods
}


class Stubs:
    """The rpcs on one channel: `stubs.GetCapture(request)`."""

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        self._channel = channel

    def __getattr__(self, method: str) -> Any:
        file, service = _PLACES[method]
        return getattr(
            getattr(import_module(f"linewarden.v1.{file}_pb2_grpc"), f"{service}Stub")(self._channel), method
        )


def request_type(method: str) -> Any:
    """Return the message that an rpc takes."""
    return getattr(import_module(f"linewarden.v1.{_PLACES[method][0]}_pb2"), f"{method}Request")

"""The ASGI application of the transport h2, called as a server of ASGI calls it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from linewarden.server.large_requests import LargeRequests
from linewarden.server.rpc import keyless_rpc
from linewarden.server.transports import Served
from linewarden.server.transports.framing import frame
from linewarden.server.transports.h2 import Application


class Open:
    """An authentication that makes no caller wait; only rpcs without a key are served here."""

    async def keyless(self) -> None:
        """Let pass."""


def same(value: Any) -> Any:
    """Return what was given."""
    return value


async def fails(_peer: str, _request: bytes) -> bytes:
    """Answer with a fault of the service that looks like a fault of a connection."""
    raise ConnectionResetError("a database")


async def fails_later(_peer: str, _request: bytes) -> AsyncIterator[bytes]:
    """Answer once, then fail."""
    yield b"one"
    raise OSError("a disk")


async def sent_for(path: str, *, gone: bool = False) -> list[dict[str, Any]]:
    """Call an rpc; return what was sent. With `gone` the caller has reset the call, and nothing can be sent."""
    rpcs = [
        keyless_rpc("/a/Fails", same, same, fails),
        keyless_rpc("/a/FailsLater", same, same, fails_later, server_streaming=True),
    ]
    authentication: Any = Open()
    application = Application(Served(rpcs, authentication, LargeRequests(1_000)), 1_000)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": frame(b"question")}

    async def send(event: dict[str, Any]) -> None:
        if gone:
            raise OSError("the stream is closed")
        sent.append(event)

    headers = [(b"content-type", b"application/grpc")]
    scope = {"path": path, "method": "POST", "headers": headers, "extensions": {"http.response.trailers": {}}}
    await application(scope, receive, send)
    return sent


@pytest.mark.parametrize("path", ["/a/Fails", "/a/FailsLater"])
async def test_a_fault_of_the_service_is_no_caller_that_has_gone(path: str) -> None:
    """An OSError of the service ends the call with UNAVAILABLE, before the answer or within it."""
    sent = await sent_for(path)
    assert (b"grpc-status", b"14") in [header for event in sent for header in event.get("headers", ())]
    assert sent[-1].get("more_body", False) is False


@pytest.mark.parametrize("path", ["/a/Fails", "/a/FailsLater", "/a/Unknown"])
async def test_a_caller_that_has_gone_is_no_fault(path: str) -> None:
    """The end of a call that nothing can be sent to is quiet."""
    assert await sent_for(path, gone=True) == []

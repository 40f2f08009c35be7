"""The channel to a server, and the key of the caller."""

import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from linewarden.client.errors import ClientUnusable

#: The port of a server unless its settings state another.
DEFAULT_PORT = 8443

#: The longest time until a question is answered, seconds, unless the caller states another.
DEADLINE_S = 5.0

#: The longest time of a stream, seconds, unless the caller states another.
STREAM_S = 600.0

_HOST_ALONE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\]")
_IPV6_ALONE = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")
_KEY = re.compile(r"[\x21-\x7e]+")

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    # gRPC's own delays would leave a server alone for minutes that is back after a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # The system ends a connection whose bytes the other host does not acknowledge within the second time. Servers end
    # connections with pings more frequent than every five minutes.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]


@dataclass(frozen=True, slots=True)
class Connection:
    """A server, the tenant that is asked about, the key, and the way to trust each other.

    `ca` is the certificate of the authority of the server, PEM; None takes those that gRPC knows. `certificate` is the
    chain and the private key of this client, PEM, for a server that requires them. `plaintext` uses no TLS, which shows
    the key to the network.
    """

    target: str
    key: str
    tenant: str
    ca: bytes | None = None
    certificate: tuple[bytes, bytes] | None = None
    plaintext: bool = False

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise ValueError("the API key is invalid: a key is one line of printable ASCII without blanks")
        if self.ca is not None:
            check_authority(self.ca)
        if self.plaintext and (self.ca or self.certificate):
            raise ValueError("plaintext uses no certificates: leave out plaintext, or ca and certificate")

    def __repr__(self) -> str:
        return f"Connection(target={self.target!r}, tenant={self.tenant!r})"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of each call."""
        return (("authorization", f"Bearer {self.key}"),)

    def channel(self, insecure: Callable[..., Any], secure: Callable[..., Any]) -> Any:
        """Return a channel, made by the functions of grpc or of grpc.aio."""
        target = with_port(self.target)
        if self.plaintext:
            return insecure(target, _OPTIONS)
        chain, key = self.certificate or (None, None)
        return secure(target, grpc.ssl_channel_credentials(self.ca, key, chain), _OPTIONS)


class Process:
    """The process that made a client. gRPC's threads do not survive a fork."""

    __slots__ = ("_pid",)

    def __init__(self) -> None:
        self._pid = os.getpid()

    def is_same(self) -> bool:
        """Return whether this is the same process, and no fork of it."""
        return os.getpid() == self._pid

    def check(self) -> None:
        """Make sure that this is the same process.

        Raises:
            ClientUnusable: it is a fork of it.
        """
        if not self.is_same():
            raise ClientUnusable("the client was made before a fork: make one in each process")


def with_port(target: str) -> str:
    """Return a target with the port of Linewarden if it states none, because gRPC would dial 443.

    Raises:
        ValueError: the target has a scheme such as https.
    """
    if "://" in target and not target.startswith(("dns://", "unix://")):
        raise ValueError("a target is HOST or HOST:PORT, without a scheme")
    if _HOST_ALONE.fullmatch(target) or _BRACKETED.fullmatch(target):
        return f"{target}:{DEFAULT_PORT}"
    return f"[{target}]:{DEFAULT_PORT}" if _IPV6_ALONE.fullmatch(target) else target


def check_authority(pem: bytes) -> None:
    """Make sure that a text is a certificate of an authority; gRPC would not report another text.

    Raises:
        ValueError: it holds no certificate.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise ValueError("the authority holds no certificate in PEM") from None

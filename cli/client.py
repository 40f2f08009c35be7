"""The way from the command line to a server."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click
import grpc

from linewarden.audit.secret_files import read_secret
from linewarden.cli.reachability import connection_fault
from linewarden.server.tls import authority_of
from linewarden.v1 import core_pb2

#: How long a call may take, seconds.
DEADLINE_S = 30.0

#: Where a server listens unless its settings say something else.
DEFAULT_PORT = 8443

_HOST_ALONE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\]")
_IPV6_ALONE = re.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")
_KEY = re.compile(r"[\x21-\x7e]+")

#: How long a call may take that brings many messages, seconds.
STREAM_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the server is and who calls."""

    server: str
    key: str
    ca: Path | None
    plaintext: bool

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """A channel to the server.

        Raises:
            click.UsageError: there is no key, or no way to trust the server.
            Failure: within it a call did not reach the server, or not one that can be trusted.
        """
        if not self.key:
            raise click.UsageError("no API key: set LINEWARDEN_KEY or give --key-file")
        if not _KEY.fullmatch(self.key):
            raise click.UsageError("the API key is not one: it is a line of printable ASCII without blanks")
        with self._open() as channel:
            try:
                yield channel
            except grpc.RpcError as error:
                if fault := connection_fault(error, self.server):
                    raise fault from error
                raise

    def _open(self) -> grpc.Channel:
        options = [("grpc.max_receive_message_length", -1)]
        if self.plaintext:
            return grpc.insecure_channel(self.server, options)
        try:
            roots = authority_of(self.ca) if self.ca else None
        except ValueError as error:
            raise click.UsageError(f"{self.ca}: {error}") from None
        return grpc.secure_channel(self.server, grpc.ssl_channel_credentials(roots), options)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call carries."""
        return (("authorization", f"Bearer {self.key}"),)


def _with_port(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    """The address of a server with a port in any case; without one gRPC would dial 443."""
    if "://" in value:
        raise click.BadParameter("HOST or HOST:PORT, without a scheme")
    if _HOST_ALONE.fullmatch(value) or _BRACKETED.fullmatch(value):
        return f"{value}:{DEFAULT_PORT}"
    return f"[{value}]:{DEFAULT_PORT}" if _IPV6_ALONE.fullmatch(value) else value


_OPTIONS = (
    click.option("--server", envvar="LINEWARDEN_SERVER", default=f"localhost:{DEFAULT_PORT}", show_default=True,
                 show_envvar=True, callback=_with_port, help="Host of the server, and its port if it is another."),
    click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False, exists=True),
                 envvar="LINEWARDEN_KEY_FILE", show_envvar=True,
                 help="File with the API key; LINEWARDEN_KEY holds the key itself."),
    click.option("--ca", type=click.Path(path_type=Path, dir_okay=False, exists=True), envvar="LINEWARDEN_CA",
                 show_envvar=True, help="Certificate that the server's certificate is checked with."),
    click.option("--plaintext", is_flag=True, envvar="LINEWARDEN_CLIENT_PLAINTEXT", show_envvar=True,
                 help="No TLS; for a server on loopback only."),
)  # fmt: skip

tenant_option = click.option(
    "--tenant", required=True, envvar="LINEWARDEN_TENANT", show_envvar=True, help="The tenant."
)
subject_option = click.option(
    "--as", "subject", required=True, envvar="LINEWARDEN_SUBJECT", show_envvar=True, help="The person on whose behalf."
)


def connecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the connection options, and a `connection` in their place."""

    def connected(
        *args: Any, server: str, key_file: Path | None, ca: Path | None, plaintext: bool, **kwargs: Any
    ) -> Any:
        key = (
            read_secret(key_file).decode("ascii", "replace").strip()
            if key_file
            else os.environ.get("LINEWARDEN_KEY", "")
        )
        return command(*args, connection=Connection(server, key, ca, plaintext), **kwargs)

    wrapped: Callable[..., Any] = update_wrapper(connected, command)
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def person(name: str) -> core_pb2.Subject:
    """A subject of the contract; `//tenant/id` is a person of another tenant."""
    if name.startswith("//"):
        tenant, _, id = name[2:].partition("/")
        return core_pb2.Subject(id=id, tenant=tenant)
    return core_pb2.Subject(id=name)

"""The way from the command line to a server."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click
import grpc

from linewarden.v1 import core_pb2

#: How long a call may take, seconds.
DEADLINE_S = 30.0

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
        """
        if not self.key:
            raise click.UsageError("no API key: set LINEWARDEN_KEY or give --key-file")
        options = [("grpc.max_receive_message_length", -1)]
        if self.plaintext:
            channel = grpc.insecure_channel(self.server, options)
        else:
            roots = self.ca.read_bytes() if self.ca else None
            channel = grpc.secure_channel(self.server, grpc.ssl_channel_credentials(roots), options)
        with channel:
            yield channel

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call carries."""
        return (("authorization", f"Bearer {self.key}"),)


_OPTIONS = (
    click.option("--server", envvar="LINEWARDEN_SERVER", default="localhost:8443", show_default=True, show_envvar=True,
                 help="Host and port of the server."),
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
        key = key_file.read_text().strip() if key_file else os.environ.get("LINEWARDEN_KEY", "")
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

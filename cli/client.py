"""The connection from the command line to a server: its options, the channel, and who asks."""

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
from linewarden.cli.connection_faults import connection_fault
from linewarden.client.connection import DEFAULT_PORT, check_authority, with_port
from linewarden.client.messages import header_of, subject_of

#: The longest time of a call with one answer, seconds.
DEADLINE_S = 30.0
#: The longest time of a call with many messages, seconds.
STREAM_S = 3_600.0

_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Connection:
    """The address of a server, the key that the caller proves itself with, and the way to trust the server."""

    server: str
    key: str
    ca: Path | None
    plaintext: bool

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """A channel to the server.

        Raises:
            click.UsageError: the key or the certificate of the authority is missing or invalid.
            Failure: a call within the context did not reach a server that can be trusted.
        """
        if not self.key:
            raise click.UsageError("no API key: set LINEWARDEN_KEY or give --key-file")
        if not _KEY.fullmatch(self.key):
            raise click.UsageError("the API key is invalid: a key is one line of printable ASCII without blanks")
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
        roots = _authority_in(self.ca) if self.ca else None
        return grpc.secure_channel(self.server, grpc.ssl_channel_credentials(roots), options)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of each call."""
        return (("authorization", f"Bearer {self.key}"),)


def _authority_in(file: Path) -> bytes:
    """Read the certificate of an authority, PEM; gRPC would say nothing of a file that holds something else.

    Raises:
        click.UsageError: the file holds no certificate.
    """
    roots = file.read_bytes()
    try:
        check_authority(roots)
    except ValueError:
        raise click.UsageError(f"{file} holds no certificate in PEM") from None
    return roots


def _with_port(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Add the port to an address that states none, because gRPC would dial 443."""
    try:
        return with_port(value)
    except ValueError:
        raise click.BadParameter("HOST or HOST:PORT, without a scheme") from None


_OPTIONS = (
    click.option("--server", envvar="LINEWARDEN_SERVER", default=f"localhost:{DEFAULT_PORT}", show_default=True,
                 show_envvar=True, callback=_with_port, help="Host of the server, and its port if that is another."),
    click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False, exists=True),
                 envvar="LINEWARDEN_KEY_FILE", show_envvar=True,
                 help="File with the API key; LINEWARDEN_KEY holds the key itself."),
    click.option("--ca", type=click.Path(path_type=Path, dir_okay=False, exists=True), envvar="LINEWARDEN_CA",
                 show_envvar=True, help="Certificate of the authority that the server's certificate is checked with."),
    click.option("--plaintext", is_flag=True, envvar="LINEWARDEN_CLIENT_PLAINTEXT", show_envvar=True,
                 help="Use no TLS; for a server on loopback only."),
)  # fmt: skip

tenant_option = click.option(
    "--tenant", required=True, envvar="LINEWARDEN_TENANT", show_envvar=True, help="The tenant."
)
subject_option = click.option(
    "--as",
    "subject",
    required=True,
    envvar="LINEWARDEN_SUBJECT",
    show_envvar=True,
    help="The person on whose behalf the call is made.",
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


#: The header that every request begins with, and the subject of a name.
header, person = header_of, subject_of

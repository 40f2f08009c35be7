"""What a worker is given when it is enrolled: a folder to be taken to its host, and kept there from others' eyes.

worker.toml      which servers to attend to, and which interfaces may be captured here
worker.crt       the certificate that names the worker      worker.key    its private key
server-ca.crt    what the server's certificate is checked with
order-key        what the server's orders are checked with, as text of a C2SP verifier key
spool/           sealed evidence on its way
"""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import orjson

from linewarden.audit.note import Verifier
from linewarden.diagnostics.orders import order_signer
from linewarden.server.secret_files import read_secret
from linewarden.server.settings import Settings
from linewarden.server.storage import read_seed
from linewarden.server.tls import expiry, write_new
from linewarden.server.workers.certificates import check_name, issue, make_authority, worker_in

_CONFIG = "worker.toml"
_TEXT = """\
# A capture worker of Linewarden; `linewarden worker run FOLDER` attends with it.

# The processes of the server, HOST:PORT: each `capture_listen`, and with several `workers` the ports that follow it.
servers = {servers}
# What may be captured at this host. The server's places say whose it is; what does not stand in both is not captured.
interfaces = {interfaces}
"""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a worker knows: its name, whom to attend to, whom to believe, what may be captured."""

    name: str
    servers: tuple[str, ...]
    interfaces: frozenset[str]
    verifier: Verifier
    credentials: grpc.ChannelCredentials
    spool: Path


def enrol(
    settings: Settings,
    name: str,
    folder: Path,
    servers: Sequence[str],
    interfaces: Sequence[str],
    trust: Path,
    record: Callable[[datetime], None] = lambda _expires: None,
) -> None:
    """Make the folder of a worker. The first worker makes the authority of them all; `trust` is for `server-ca.crt`.

    `record` is called with the end of the certificate before there is one.

    Raises:
        ValueError: the worker cannot be called so, or a file holds something else than it should.
        FileExistsError: there is such a folder.
        OSError: a file cannot be read or written.
    """
    check_name(name)
    now = datetime.now(UTC)
    record(expiry(now))
    make_authority(settings.capture_worker_ca, settings.capture_worker_ca_key, now)
    key, certificate = issue(
        name, settings.capture_worker_ca.read_bytes(), read_secret(settings.capture_worker_ca_key), now
    )
    verifier = order_signer(settings.service_name, read_seed(settings.signing_key_file)).verifier
    text = _TEXT.format(servers=_toml(servers), interfaces=_toml(interfaces))
    folder.mkdir(mode=0o700, parents=True)
    write_new(folder / "server-ca.crt", trust.read_bytes(), 0o644)
    write_new(folder / "order-key", f"{verifier}\n".encode(), 0o644)
    write_new(folder / "worker.crt", certificate, 0o644)
    write_new(folder / "worker.key", key, 0o600)
    write_new(folder / _CONFIG, text.encode(), 0o644)


def read_enrolment(folder: Path) -> Enrolment:
    """What a worker was given.

    Raises:
        ValueError, VerificationFailed: a file holds something else than it should.
        OSError: one cannot be read.
    """
    stated = tomllib.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    if unknown := stated.keys() - {"servers", "interfaces"}:
        raise ValueError(f"{_CONFIG} knows no {', '.join(sorted(unknown))}")
    servers, interfaces = (_texts(stated, name) for name in ("servers", "interfaces"))
    if not servers:
        raise ValueError(f"{_CONFIG} names no server")
    certificate = (folder / "worker.crt").read_bytes()
    name = worker_in(certificate)
    if name is None:
        raise ValueError("worker.crt names no worker")
    credentials = grpc.ssl_channel_credentials(
        (folder / "server-ca.crt").read_bytes(), read_secret(folder / "worker.key"), certificate
    )
    verifier = Verifier.parse((folder / "order-key").read_text(encoding="ascii").strip())
    return Enrolment(name, tuple(servers), frozenset(interfaces), verifier, credentials, folder / "spool")


def _texts(stated: Any, name: str) -> list[str]:
    value = stated.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ValueError(f"{name} of {_CONFIG} is a list of texts")
    return value


def _toml(texts: Sequence[str]) -> str:
    # A JSON list of texts is a TOML one, but for a control character that no such text has.
    return orjson.dumps(list(texts)).decode()

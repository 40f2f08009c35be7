"""What a worker is given when it is enrolled: a folder to be taken to its host, and kept there from others' eyes.

worker.toml      which servers to attend to, and which interfaces may be captured here
worker.crt       the certificate that names the worker      worker.key    its private key
server-ca.crt    what the server's certificate is checked with
order-key        what the server's orders are checked with, as text of a C2SP verifier key
spool/           sealed evidence on its way
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from linewarden.audit.note import Verifier
from linewarden.audit.secret_files import read_secret
from linewarden.diagnostics.agent.certificates import worker_in

#: The file that states the servers and interfaces of a worker.
CONFIG_FILE = "worker.toml"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a worker knows: its name, whom to attend to, whom to believe, what may be captured."""

    name: str
    servers: tuple[str, ...]
    interfaces: frozenset[str]
    verifier: Verifier
    credentials: grpc.ChannelCredentials
    spool: Path


def read_enrolment(folder: Path) -> Enrolment:
    """What a worker was given.

    Raises:
        ValueError, VerificationFailed: a file holds something else than it should.
        OSError: one cannot be read.
    """
    stated = tomllib.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    if unknown := stated.keys() - {"servers", "interfaces"}:
        raise ValueError(f"{CONFIG_FILE} knows no {', '.join(sorted(unknown))}")
    servers, interfaces = (_texts(stated, name) for name in ("servers", "interfaces"))
    if not servers:
        raise ValueError(f"{CONFIG_FILE} names no server")
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
        raise ValueError(f"{name} of {CONFIG_FILE} is a list of texts")
    return value

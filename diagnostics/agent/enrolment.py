"""The folder that a worker gets when it is enrolled, to be taken to its host and kept private there.

worker.toml      the servers to connect to, and the interfaces that may be captured on
worker.crt       the certificate that names the worker      worker.key    its private key
server-ca.crt    the authority of the server's certificate
order-key        the key that checks the server's orders, as text of a C2SP verifier key
spool/           sealed evidence until it is delivered
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
    """The name of a worker, its servers, the key that checks orders, and the interfaces that it may capture on."""

    name: str
    servers: tuple[str, ...]
    interfaces: frozenset[str]
    verifier: Verifier
    credentials: grpc.ChannelCredentials
    spool: Path


def read_enrolment(folder: Path) -> Enrolment:
    """Read the folder of a worker.

    Raises:
        ValueError, VerificationFailed: a file is invalid.
        OSError: a file cannot be read.
    """
    stated = tomllib.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    if unknown := stated.keys() - {"servers", "interfaces"}:
        raise ValueError(f"{CONFIG_FILE} has unknown settings: {', '.join(sorted(unknown))}")
    servers, interfaces = (_texts(stated, name) for name in ("servers", "interfaces"))
    if not servers:
        raise ValueError(f"{CONFIG_FILE} names no server: add one to `servers`")
    certificate = (folder / "worker.crt").read_bytes()
    name = worker_in(certificate)
    if name is None:
        raise ValueError("worker.crt names no worker: enrol the worker again")
    credentials = grpc.ssl_channel_credentials(
        (folder / "server-ca.crt").read_bytes(), read_secret(folder / "worker.key"), certificate
    )
    verifier = Verifier.parse((folder / "order-key").read_text(encoding="ascii").strip())
    return Enrolment(name, tuple(servers), frozenset(interfaces), verifier, credentials, folder / "spool")


def _texts(stated: Any, name: str) -> list[str]:
    value = stated.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ValueError(f"{name} of {CONFIG_FILE} is not a list of texts")
    return value

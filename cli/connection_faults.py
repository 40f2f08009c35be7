"""Calls that reached no server, or none that can be trusted: the exit code, and the text for the person who called."""

import re

import grpc
from grpc_status import rpc_status

from linewarden.cli.exit_codes import REFUSED, UNAVAILABLE, Failure

_WHY_NOT_TRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED: ([a-zA-Z -]+)")

#: A part of gRPC's text, the exit code, and the text that replaces it. The first that fits is taken.
_FAULTS: tuple[tuple[str, int, str], ...] = (
    (
        "hostname verification|peer name .* is not in peer certificate",
        REFUSED,
        "the certificate of {server} is for another host: call it by a name in its certificate",
    ),
    (
        "certificate_verify_failed",
        REFUSED,
        "the certificate of {server} is not trusted ({why}): give the certificate of its authority with --ca",
    ),
    (
        "wrong_version_number|handshak|ssl_error",
        REFUSED,
        "there is no TLS connection to {server}: is a Linewarden with TLS there, or one that takes --plaintext?",
    ),
    ("connection refused", UNAVAILABLE, "{server} does not listen: is it running, is --server right?"),
    (
        "dns resolution|name resolution|name or service not known|domain name not found|getaddrinfo",
        UNAVAILABLE,
        "the name in {server} has no address: is --server right?",
    ),
    (
        "socket closed|connection reset|broken pipe|fd shutdown|http2|frame",
        UNAVAILABLE,
        "{server} ended the connection: is it a Linewarden, and is --plaintext right?",
    ),
)


def connection_fault(error: grpc.RpcError, server: str) -> Failure | None:
    """The failure for an error that did not come from a Linewarden; None for one that did."""
    if not isinstance(error, grpc.Call) or rpc_status.from_call(error) is not None:
        return None
    code, text = error.code(), error.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Failure(UNAVAILABLE, f"{server} did not answer in time")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Failure(UNAVAILABLE, f"{server} does not know this call: is it a Linewarden of this version?")
    if code is not grpc.StatusCode.UNAVAILABLE:
        return None
    return _unreached(text, server)


def _unreached(text: str, server: str) -> Failure:
    why = _WHY_NOT_TRUSTED.search(text)
    for pattern, exit_code, message in _FAULTS:
        if re.search(pattern, text, re.IGNORECASE):
            reason = why[1].strip() if why else "no reason was given"
            return Failure(exit_code, message.format(server=server, why=reason))
    return Failure(UNAVAILABLE, f"{server} cannot be reached: is it running, is --server right?")

"""Certificates of capture workers: an authority of the service's own that signs for nothing else.

A worker is named by a URI in its certificate, `urn:linewarden:worker:NAME`. The authority's key is needed to enrol
workers and never to serve; it can be kept elsewhere.
"""

import re
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from linewarden.server.tls import certificate_builder, key_usage, pem_of, write_new

_URI = "urn:linewarden:worker:"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_name(name: str) -> None:
    """Make sure that a worker can be called so.

    Raises:
        ValueError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a worker's name is 1 to 63 lower-case letters, digits and hyphens, no hyphen at an end")


def worker_in(certificate: bytes) -> str | None:
    """The worker whose certificate this is, PEM; None if it is no worker's. That it holds, TLS has checked."""
    try:
        names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (ValueError, x509.ExtensionNotFound):
        return None
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    found = [uri.removeprefix(_URI) for uri in uris if uri.startswith(_URI)]
    return found[0] if len(found) == 1 and _NAME.fullmatch(found[0]) else None


def make_authority(certificate_file: Path, key_file: Path, now: datetime) -> bool:
    """Write the authority; False if it is there already.

    Raises:
        FileExistsError: one of its files is there without the other.
        OSError: they cannot be written.
    """
    if certificate_file.exists() and key_file.exists():
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    name = _called("Linewarden capture workers")
    certificate = (
        certificate_builder(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(sign=False), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_new(key_file, pem_of(key), 0o600)
    write_new(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return True


def issue(worker: str, authority: bytes, authority_key: bytes, now: datetime) -> tuple[bytes, bytes]:
    """A private key and the certificate of a worker, PEM; authority and its key are PEM too.

    Raises:
        ValueError: the worker cannot be called so, or the authority's files hold something else.
    """
    check_name(worker)
    issuer = x509.load_pem_x509_certificate(authority)
    issuer_key = serialization.load_pem_private_key(authority_key, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key of the workers' authority is none that was made here")  # noqa: TRY004 - a file is wrong
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        certificate_builder(_called(worker), issuer.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(_URI + worker)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return pem_of(key), certificate.public_bytes(serialization.Encoding.PEM)


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

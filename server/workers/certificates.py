"""Certificates of capture workers: a separate authority of the service that signs for nothing else.

A URI in its certificate names the worker, `urn:linewarden:worker:NAME`. The key of the authority is needed to enrol
workers and never to serve, so it can be kept elsewhere.
"""

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from linewarden.diagnostics.agent.certificates import URI_PREFIX, check_name
from linewarden.server.tls import certificate_builder, key_usage, pem_of, write_new


def make_authority(certificate_file: Path, key_file: Path, now: datetime) -> bool:
    """Write the authority. Return False if it exists already.

    Raises:
        FileExistsError: one of its files exists without the other.
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
    """Return a private key and the certificate of a worker, PEM; authority and its key are PEM too.

    Raises:
        ValueError: the name of the worker is invalid, or a file of the authority holds other content.
    """
    check_name(worker)
    issuer = x509.load_pem_x509_certificate(authority)
    issuer_key = serialization.load_pem_private_key(authority_key, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key of the workers' authority was not made by this service")  # noqa: TRY004 - a file is wrong
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        certificate_builder(_called(worker), issuer.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI_PREFIX + worker)]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return pem_of(key), certificate.public_bytes(serialization.Encoding.PEM)


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

"""TLS: the server's credentials, and certificates for development.

A development authority of its own signs one certificate for localhost. Both are made once and never overwritten; whoever
runs the service for others puts certificates of their own in their place.
"""

import ipaddress
import os
from datetime import datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from linewarden.server.settings import Settings

#: Longer than this and some clients refuse the certificate.
VALIDITY = timedelta(days=825)

_NAMES = ("localhost",)
_ADDRESSES = ("127.0.0.1", "::1")


def make_development_certificates(folder: Path, now: datetime) -> bool:
    """Write `ca.crt`, `server.crt` and `server.key`; False if there is a certificate already.

    Raises:
        OSError: the folder cannot be written.
    """
    if (folder / "server.crt").exists() or (folder / "server.key").exists():
        return False
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Linewarden development authority")])
    authority = (
        _builder(issuer, issuer, authority_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    names = [x509.DNSName(name) for name in _NAMES] + [x509.IPAddress(ipaddress.ip_address(a)) for a in _ADDRESSES]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        _builder(subject, issuer, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_new(folder / "server.key", private, 0o600)
    write_new(folder / "ca.crt", authority.public_bytes(serialization.Encoding.PEM), 0o644)
    write_new(folder / "server.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return True


def server_credentials(settings: Settings, now: datetime) -> grpc.ServerCredentials:
    """The credentials of the settings.

    Raises:
        ValueError: the certificate has expired or does not belong to the key.
        OSError: a file cannot be read.
    """
    key, chain = settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes()
    check_certificate(key, chain, now)
    roots = settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None
    return grpc.ssl_server_credentials([(key, chain)], roots, require_client_auth=roots is not None)


def check_certificate(key: bytes, chain: bytes, now: datetime) -> None:
    """Raises ValueError if the certificate is not valid now, or is not one for the key."""
    certificate = x509.load_pem_x509_certificates(chain)[0]
    private = serialization.load_pem_private_key(key, password=None)
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise ValueError("the TLS certificate does not belong to the TLS key")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise ValueError("the TLS certificate has expired, or is not valid yet")


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist yet; never half of it.

    Raises:
        OSError: it exists, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(fresh, path)
    finally:
        fresh.unlink()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not sign,
        crl_sign=not sign,
        encipher_only=False,
        decipher_only=False,
    )

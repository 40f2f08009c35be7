"""TLS: the server's credentials, and certificates for development.

A development authority signs one certificate for localhost, and its key is deleted. A client that trusts this authority
therefore trusts this one certificate only. An operator who serves other hosts replaces both certificates.
"""

import ipaddress
import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from linewarden.audit.secret_files import read_secret
from linewarden.server.settings import Settings

#: The longest validity that all clients accept.
VALIDITY = timedelta(days=825)

_SKEW = timedelta(hours=1)
_MINUTES = "%Y-%m-%d %H:%M UTC"
_PUBLIC_FORM = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
_NAMES = ("localhost",)
_ADDRESSES = ("127.0.0.1", "::1")


def make_development_certificates(folder: Path, now: datetime) -> bool:
    """Write `ca.crt`, `server.crt` and `server.key`. Return False if a certificate and its key exist already.

    Raises:
        FileExistsError: some of the files exist, without a certificate and its key.
        OSError: the folder cannot be written.
    """
    key_file, authority_file, certificate_file = folder / "server.key", folder / "ca.crt", folder / "server.crt"
    if has_certificates(folder):
        return False
    for file in (key_file, authority_file, certificate_file):
        if file.exists():
            raise FileExistsError(f"{file} is there without the files that belong to it; move it away")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, authority, certificate = _development_chain(now)
    write_new(key_file, key, 0o600)
    write_new(authority_file, authority, 0o644)
    write_new(certificate_file, certificate, 0o644)
    return True


def has_certificates(folder: Path) -> bool:
    """Return whether a folder has a certificate of a server and its key."""
    return (folder / "server.crt").exists() and (folder / "server.key").exists()


def server_credentials(settings: Settings, now: datetime) -> grpc.ServerCredentials:
    """Return the credentials of the settings.

    Raises:
        ValueError: the certificate is not valid now or is not one for the key, or a file holds something else.
        OSError: a file cannot be read.
    """
    key, chain, authority = check_credentials(settings, now)
    return grpc.ssl_server_credentials([(key, chain)], authority, require_client_auth=authority is not None)


def check_credentials(settings: Settings, now: datetime) -> tuple[bytes, bytes, bytes | None]:
    """Return the key, the chain of certificates and the authority of callers of the settings, PEM.

    Raises:
        ValueError: the certificate is not valid now or is not one for the key, or a file holds something else.
        OSError: a file cannot be read.
    """
    key, chain = read_secret(settings.tls_key), settings.tls_certificate.read_bytes()
    check_certificate(key, chain, now)
    return key, chain, authority_of(settings.tls_client_ca) if settings.tls_client_ca else None


def authority_of(file: Path) -> bytes:
    """Return the authority in a file, PEM.

    Raises:
        ValueError: it holds something else.
        OSError: it cannot be read.
    """
    roots = file.read_bytes()
    _certificates(roots, "the file of an authority")
    return roots


def check_certificate(key: bytes, chain: bytes, now: datetime) -> None:
    """Make sure that the first certificate of a chain is valid now and is one for the key; all are PEM.

    Raises:
        ValueError: it is not. The text states the fault.
    """
    certificate = _certificates(chain, "the TLS certificate's file")[0]
    if _public(key) != certificate.public_key().public_bytes(*_PUBLIC_FORM):
        raise ValueError("the TLS certificate does not belong to the TLS key")
    if now < certificate.not_valid_before_utc:
        raise ValueError(
            f"the TLS certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )
    if now > certificate.not_valid_after_utc:
        raise ValueError(f"the TLS certificate has expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist. After a crash it is complete or absent.

    Raises:
        FileExistsError: it exists.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.link(fresh, path)  # unlike a rename, this fails if the file exists
    finally:
        Path(fresh).unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _public(key: bytes) -> bytes:
    try:
        return serialization.load_pem_private_key(key, password=None).public_key().public_bytes(*_PUBLIC_FORM)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the TLS key's file holds no private key in PEM, or an encrypted one") from None


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError(f"{what} holds no certificate in PEM") from None


def _development_chain(now: datetime) -> tuple[bytes, bytes, bytes]:
    """Return the server's key, the authority's certificate and the server's certificate, PEM."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Linewarden development authority")])
    authority = (
        certificate_builder(issuer, issuer, authority_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(sign=False), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    names = [x509.DNSName(name) for name in _NAMES] + [x509.IPAddress(ipaddress.ip_address(a)) for a in _ADDRESSES]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        certificate_builder(subject, issuer, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return (
        pem_of(key),
        authority.public_bytes(serialization.Encoding.PEM),
        certificate.public_bytes(serialization.Encoding.PEM),
    )


def expiry(now: datetime) -> datetime:
    """Return the end of a certificate that is made now."""
    return now - _SKEW + VALIDITY


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    """Return a builder of a certificate that is valid from now on, to be extended and signed."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(expiry(now))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def key_usage(*, sign: bool) -> x509.KeyUsage:
    """Return the usage of a key: to sign handshakes, or else certificates."""
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

"""Certificates: made once for development, and refused when they cannot be served with."""

import asyncio
import ipaddress
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from linewarden.server.settings import Settings
from linewarden.server.tls import (
    VALIDITY,
    check_certificate,
    make_development_certificates,
    server_credentials,
    write_new,
)
from tests.deadlines import HANG_S

_NOW = datetime.now(UTC)
_FILES = ("ca.crt", "server.crt", "server.key")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Development certificates, made now."""
    made = tmp_path_factory.mktemp("tls") / "new"
    assert make_development_certificates(made, _NOW)
    return made


def _settings(folder: Path, **more: Any) -> Settings:
    return Settings(tls_certificate=folder / "server.crt", tls_key=folder / "server.key", **more)


def test_what_the_certificate_says(folder: Path) -> None:
    """The certificate is for this machine's loopback names, for no longer than clients accept, and signs nothing."""
    certificate = x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    addresses = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    assert names.get_values_for_type(x509.IPAddress) == addresses
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == VALIDITY
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes()))


def test_the_authority_cannot_sign_again(folder: Path) -> None:
    """No file holds the authority's key, so that trusting it is trusting one certificate."""
    authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    assert sorted(file.name for file in folder.iterdir()) == list(_FILES)
    key = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() != authority.public_key()


def test_only_the_owner_reads_the_key(folder: Path) -> None:
    """The key's file is for its owner alone; certificates are for everybody, whatever the umask."""
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in _FILES}
    assert modes == {"ca.crt": 0o644, "server.crt": 0o644, "server.key": 0o600}


def test_certificates_are_never_made_again(folder: Path) -> None:
    """A certificate with its key stays as it is."""
    before = {name: (folder / name).read_bytes() for name in _FILES}
    assert not make_development_certificates(folder, _NOW)
    assert {name: (folder / name).read_bytes() for name in _FILES} == before


@pytest.mark.parametrize("left", [{"server.key"}, {"server.crt"}, {"ca.crt"}, {"ca.crt", "server.key"}])
def test_parts_of_a_set_are_not_completed(tmp_path: Path, left: set[str]) -> None:
    """Where some of the files lie already, nothing is written: they may be the user's own."""
    for name in left:
        (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="move it away"):
        make_development_certificates(tmp_path, _NOW)
    assert {file.name for file in tmp_path.iterdir()} == left


async def _echo(request: bytes, _context: object) -> bytes:
    return request


async def _serve(credentials: grpc.ServerCredentials) -> tuple[grpc.aio.Server, int]:
    handlers: dict[str, Any] = {"Echo": grpc.unary_unary_rpc_method_handler(_echo)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    return server, port


async def _call(target: str, credentials: grpc.ChannelCredentials) -> bytes:
    async with grpc.aio.secure_channel(target, credentials) as channel:
        echo: Any = channel.unary_unary("/test.Echo/Echo")
        return bytes(await echo(b"hello", timeout=HANG_S))


async def test_a_client_that_trusts_the_authority_gets_through(folder: Path) -> None:
    """gRPC, by name and address, and strict OpenSSL accept the certificate; an untrusting client does not."""
    server, port = await _serve(server_credentials(_settings(folder), _NOW))
    trusting = grpc.ssl_channel_credentials((folder / "ca.crt").read_bytes())
    assert await _call(f"localhost:{port}", trusting) == b"hello"
    assert await _call(f"127.0.0.1:{port}", trusting) == b"hello"
    with pytest.raises(grpc.aio.AioRpcError):
        await _call(f"localhost:{port}", grpc.ssl_channel_credentials())
    strict = ssl.create_default_context(cafile=folder / "ca.crt")
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    strict.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=strict, server_hostname="127.0.0.1")
    writer.close()
    await server.stop(None)


async def test_callers_without_a_certificate_are_kept_out(folder: Path, tmp_path: Path) -> None:
    """Where an authority for callers is set, a caller without a certificate of it does not get as far as a call."""
    make_development_certificates(tmp_path / "callers", _NOW)
    settings = _settings(folder, tls_client_ca=folder / "ca.crt")
    server, port = await _serve(server_credentials(settings, _NOW))
    roots = (folder / "ca.crt").read_bytes()
    with pytest.raises(grpc.aio.AioRpcError):
        await _call(f"localhost:{port}", grpc.ssl_channel_credentials(roots))
    other = [(tmp_path / "callers" / name).read_bytes() for name in ("server.key", "server.crt")]
    with pytest.raises(grpc.aio.AioRpcError):
        await _call(f"localhost:{port}", grpc.ssl_channel_credentials(roots, *other))
    await server.stop(None)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (timedelta(days=-1), "not valid before"),
        (VALIDITY, "has expired on"),
        (timedelta(days=9_999), "has expired on"),
    ],
)
def test_a_certificate_out_of_its_time_is_refused(folder: Path, after: timedelta, said: str) -> None:
    """A server does not start with a certificate that clients would refuse, and says since or until when."""
    with pytest.raises(ValueError, match=said):
        server_credentials(_settings(folder), _NOW + after)


def test_a_certificate_of_another_key_is_refused(folder: Path, tmp_path: Path) -> None:
    """Certificate and key belong together, or the server does not start."""
    make_development_certificates(tmp_path / "other", _NOW)
    settings = Settings(tls_certificate=folder / "server.crt", tls_key=tmp_path / "other/server.key")
    with pytest.raises(ValueError, match="does not belong"):
        server_credentials(settings, _NOW)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN", b"\xff\x00", "encrypted"])
def test_a_key_that_cannot_be_read_is_refused(folder: Path, content: bytes | str) -> None:
    """An empty, broken or encrypted key is an error with a clear text."""
    if isinstance(content, str):
        content = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    with pytest.raises(ValueError, match="no private key"):
        check_certificate(content, (folder / "server.crt").read_bytes(), _NOW)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff"])
def test_a_certificate_that_cannot_be_read_is_refused(folder: Path, tmp_path: Path, content: bytes) -> None:
    """An empty or broken certificate is an error with a clear text, and so is one of the callers' authority."""
    with pytest.raises(ValueError, match="no certificate"):
        check_certificate((folder / "server.key").read_bytes(), content, _NOW)
    (tmp_path / "ca.crt").write_bytes(content)
    with pytest.raises(ValueError, match="no certificate"):
        server_credentials(_settings(folder, tls_client_ca=tmp_path / "ca.crt"), _NOW)


def test_a_missing_file_is_named(folder: Path, tmp_path: Path) -> None:
    """A certificate that is not where the settings say is told by its path."""
    settings = Settings(tls_certificate=tmp_path / "none.crt", tls_key=folder / "server.key")
    with pytest.raises(FileNotFoundError, match=r"none\.crt"):
        server_credentials(settings, _NOW)


def test_new_files_are_whole_or_not_there(tmp_path: Path) -> None:
    """A file is written with exactly its content and mode, never over another, and leaves nothing beside it."""
    old = os.umask(0o077)
    try:
        write_new(tmp_path / "deep/new", b"x" * 100_000, 0o640)
    finally:
        os.umask(old)
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "deep/new", b"other", 0o600)
    assert (tmp_path / "deep/new").read_bytes() == b"x" * 100_000
    assert stat.S_IMODE((tmp_path / "deep/new").stat().st_mode) == 0o640
    (tmp_path / "deep/link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "deep/link", b"other", 0o600)
    assert {file.name for file in (tmp_path / "deep").iterdir()} == {"new", "link"}
    assert not (tmp_path / "elsewhere").exists()

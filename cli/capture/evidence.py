"""`linewarden capture fetch`, `open` and `verify`: sealed evidence as a file.

The file that a command names exists only once it is whole and, where it was opened, checked. Until then its bytes are
in a file beside it that only its owner can read. Evidence passes through memory in parts: it may be a gibibyte.
"""

import hashlib
import os
import re
import tempfile
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO

import click

from linewarden.audit.secret_files import read_secret
from linewarden.cli.capture.view import capture_argument
from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.exit_codes import DENIED, fail
from linewarden.cli.output import progress
from linewarden.cli.rpc import case_if_needed, meant_options, request_of, rpc, stream
from linewarden.diagnostics.evidence.sealing import Readable, SealingError, Writable, check, unseal
from linewarden.diagnostics.packets.evidence import CHUNK, Manifest
from linewarden.v1 import capture_pb2 as pb

_ENCRYPTED = (
    "the key is encrypted: give a copy without a passphrase (`ssh-keygen -p -N '' -f COPY` takes it off), "
    "or an age key as age-keygen writes it"
)
_OPENSSH = re.compile(r"-----BEGIN OPENSSH PRIVATE KEY-----(.+?)-----END", re.DOTALL)
#: The beginning of a key after OpenSSH's PROTOCOL.key, and the cipher that follows in one that is not encrypted.
_OPENSSH_MAGIC = b"openssh-key-v1\0"
_NO_CIPHER = b"\0\0\0\x04none"

_new_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_old_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
_key_file = click.Path(path_type=Path, dir_okay=False, exists=True)
_KEY = "File with the reader's age or SSH private key, not encrypted"


@click.command()
@connecting
@tenant_option
@subject_option
@meant_options
@capture_argument
@_new_file
def fetch(connection: Connection, tenant: str, subject: str, capture_id: str, file: Path, **case: str) -> None:
    """Fetch the sealed evidence into FILE. The purpose is recorded. Only the readers of the evidence can open it."""
    request = request_of("ReadEvidence", tenant, subject, capture_id=capture_id, **case)
    with becoming(file) as target:
        _fetch(connection, request, target)


@click.command("open")
@connecting
@tenant_option
@subject_option
@meant_options
@capture_argument
@_new_file
@click.option("--identity", required=True, type=_key_file, help=f"{_KEY}.")
def open_evidence(
    connection: Connection, tenant: str, subject: str, capture_id: str, file: Path, identity: Path, **case: str
) -> None:
    """Fetch the evidence, open it into FILE, and compare it with the record. Exit code 1: it differs."""
    keys = identities(identity)
    request = request_of("ReadEvidence", tenant, subject, capture_id=capture_id, **case)
    with becoming(file) as plain, tempfile.TemporaryFile(dir=file.parent) as sealed:
        recorded = rpc(connection, "GetCapture", tenant, subject, capture_id=capture_id, **case).capture.evidence
        _fetch(connection, request, sealed)
        sealed.seek(0)
        _check(sealed, plain, keys, recorded)
    click.echo(f"linewarden: {file} is the evidence that was recorded", err=True)


@click.command()
@connecting
@tenant_option
@subject_option
@case_if_needed
@capture_argument
@_old_file
@click.option("--identity", type=_key_file, help=f"{_KEY}; with it the content is compared too.")
def verify(
    connection: Connection, tenant: str, subject: str, capture_id: str, file: Path, identity: Path | None, **case: str
) -> None:
    """Compare the sealed FILE with the record of a capture. Exit code 1: it differs.

    Size and SHA-256 of the sealed file need no key. Only a reader can compare the content, with --identity.
    """
    keys = identities(identity) if identity else []
    recorded = rpc(connection, "GetCapture", tenant, subject, capture_id=capture_id, **case).capture.evidence
    with file.open("rb") as sealed:
        _check_sealed(sealed, recorded)
        if keys:
            sealed.seek(0)
            with Path(os.devnull).open("wb") as nowhere:
                _check(sealed, nowhere, keys, recorded)
    compared = (
        "the sealed file and its content were compared" if keys else "the sealed file was compared, not its content"
    )
    click.echo(f"linewarden: this is the evidence that was recorded ({compared})", err=True)


@contextmanager
def becoming(file: Path) -> Iterator[IO[bytes]]:
    """Open a new file beside `file` that takes its name at the end; after an error it is deleted.

    Raises:
        FileExistsError: a file of that name exists, at the beginning or at the end.
    """
    _check_free(file)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as target:
        unfinished = Path(target.name)
        try:
            yield target
            target.flush()
            os.fsync(target.fileno())
            _check_free(file)
            unfinished.rename(file)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def identities(file: Path) -> list[str]:
    """The private keys in a file: those of age, a line each, or one of SSH.

    Raises:
        click.UsageError: the keys are encrypted.
        SecretExposed: others can read the file.
    """
    text = read_secret(file).decode("utf-8", "replace").strip()
    if _is_encrypted(text):
        raise click.UsageError(_ENCRYPTED)
    return [line for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-")] or [text]


def _is_encrypted(text: str) -> bool:
    if key := _OPENSSH.match(text):
        try:
            content = b64decode(key[1])
        except Base64Error:
            return False
        return content.startswith(_OPENSSH_MAGIC) and not content.startswith(_OPENSSH_MAGIC + _NO_CIPHER)
    of_pem = text.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----") or "\nProc-Type: 4,ENCRYPTED" in text
    return of_pem or text.startswith(("age-encryption.org/", "-----BEGIN AGE ENCRYPTED FILE-----"))


def _fetch(connection: Connection, request: pb.ReadEvidenceRequest, target: Writable) -> None:
    received = 0
    with progress("fetching") as report:
        for part in stream(connection, "ReadEvidence", request):
            target.write(part.content)
            received += len(part.content)
            report(received, part.total_bytes)


def _check_sealed(sealed: BufferedReader, recorded: pb.Evidence) -> None:
    """End with the difference, if the sealed file is not the one on record, or none is on record."""
    if not recorded.sealed_sha256:
        fail(DENIED, "no evidence of this capture is recorded")
    if os.fstat(sealed.fileno()).st_size != recorded.sealed_bytes:
        fail(DENIED, "the size of the sealed file is not the one that is recorded")
    if hashlib.file_digest(sealed, "sha256").hexdigest() != recorded.sealed_sha256:
        fail(DENIED, "the SHA-256 of the sealed file is not the one that is recorded")


def _check(sealed: Readable, plain: Writable, keys: list[str], recorded: pb.Evidence) -> None:
    chunks = -(-recorded.plain_bytes // CHUNK)
    expected = Manifest(CHUNK, chunks, recorded.plain_bytes, recorded.plain_sha256, recorded.chain)
    try:
        check(unseal(sealed, plain, keys, bytes.fromhex(recorded.ticket_digest)), expected)
    except SealingError as error:
        fail(DENIED, str(error))


def _check_free(file: Path) -> None:
    if file.exists() or file.is_symlink():
        raise FileExistsError(f"{file} exists already: name a new file")

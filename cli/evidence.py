"""What `linewarden capture` does with evidence: fetch, open, verify, analyse.

A file of the name that was given is whole and, where it was opened, checked; or it is not there. Until then its bytes
are in a file beside it that is nobody else's to read. Evidence passes through memory in parts: it may be a gibibyte.
"""

import hashlib
import os
import re
import shutil
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
from linewarden.cli.capture_view import capture_argument
from linewarden.cli.client import STREAM_S, Connection, connecting, subject_option, tenant_option
from linewarden.cli.exit_codes import DENIED, USAGE, fail
from linewarden.cli.output import progress
from linewarden.cli.rpc import case_if_needed, meant_options, request_of, rpc, rpc_of
from linewarden.diagnostics.analysis.apart import AnalysisFailed, AnalysisRefused, Form, analyse_apart
from linewarden.diagnostics.evidence.sealing import Readable, SealingError, Writable, check, unseal
from linewarden.diagnostics.packets.evidence import CHUNK, Manifest
from linewarden.v1 import capture_pb2 as pb

_ENCRYPTED = (
    "the key is encrypted: give a copy without a passphrase (`ssh-keygen -p -N '' -f COPY` takes it off), "
    "or an age key as age-keygen writes it"
)
_OPENSSH = re.compile(r"-----BEGIN OPENSSH PRIVATE KEY-----(.+?)-----END", re.DOTALL)
#: How a key begins in OpenSSH's PROTOCOL.key, and the cipher that follows in one that is not encrypted.
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
    """Fetch the sealed evidence into FILE. Its purpose is recorded; only its readers can open it."""
    asked = request_of("ReadEvidence", tenant, subject, capture_id=capture_id, **case)
    with becoming(file) as target:
        _fetch(connection, asked, target)


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
    """Fetch the evidence, open it into FILE, and compare it with what is recorded. Exit code 1: it differs."""
    keys = identities(identity)
    asked = request_of("ReadEvidence", tenant, subject, capture_id=capture_id, **case)
    with becoming(file) as plain, tempfile.TemporaryFile(dir=file.parent) as sealed:
        recorded = rpc(connection, "GetCapture", tenant, subject, capture_id=capture_id, **case).capture.evidence
        _fetch(connection, asked, sealed)
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
@click.option("--identity", type=_key_file, help=f"{_KEY}; with it the inside is compared too.")
def verify(
    connection: Connection, tenant: str, subject: str, capture_id: str, file: Path, identity: Path | None, **case: str
) -> None:
    """Compare the sealed FILE with what is recorded of a capture. Exit code 1: it differs.

    Size and SHA-256 of the sealed file need no key. Only a reader can compare what is inside, with --identity.
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
        "the sealed file and its inside were compared" if keys else "the sealed file was compared, not its inside"
    )
    click.echo(f"linewarden: this is the evidence that was recorded ({compared})", err=True)


@click.command()
@_old_file
@click.option(
    "--ladder", "call_id", default="", metavar="CALL-ID", help="The ladder of this call instead of the report."
)
@click.option(
    "--svg",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the ladder into this new file instead of on the terminal.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The form of the data.",
)
def analyse(file: Path, call_id: str, picture: Path | None, output: str) -> None:
    """Say what the opened FILE shows: calls, registrations, streams. Needs no server. Exit code 1: it broke off.

    What it says is evidence as the file is: it names who called whom.
    """
    if picture and (not call_id or output == "json"):
        raise click.UsageError("--svg draws a ladder: it needs --ladder, and excludes -o json")
    form = Form.SVG if picture else Form(output)
    try:
        with file.open("rb") as opened:
            shown = analyse_apart(opened, form, call_id=call_id, width=shutil.get_terminal_size().columns)
    except AnalysisRefused as error:
        fail(USAGE, str(error))
    except AnalysisFailed as error:
        fail(DENIED, str(error))
    if picture is None:
        click.echo(shown, nl=False)
        return
    with picture.open("xb") as target:
        target.write(shown)


@contextmanager
def becoming(file: Path) -> Iterator[IO[bytes]]:
    """A file beside `file` that takes its name when all went well, and is gone when not.

    Raises:
        FileExistsError: there is a file of that name, before or after.
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
        click.UsageError: they are encrypted.
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


def _fetch(connection: Connection, asked: pb.ReadEvidenceRequest, target: Writable) -> None:
    with connection.channel() as channel, progress("fetching") as bar:
        parts = rpc_of(channel, "ReadEvidence")(asked, metadata=connection.metadata, timeout=STREAM_S)
        task = bar.add_task("fetching")
        for part in parts:
            target.write(part.content)
            bar.update(task, total=part.total_bytes, advance=len(part.content))


def _check_sealed(sealed: BufferedReader, recorded: pb.Evidence) -> None:
    """End with what differs, if the sealed file is not the one that is recorded, or none is."""
    if not recorded.sealed_sha256:
        fail(DENIED, "no evidence is recorded of this capture")
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
        raise FileExistsError(f"there is a file {file} already")

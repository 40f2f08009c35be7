"""Sealing of evidence with age for its readers, and unsealing. Plaintext passes through memory only.

age (https://age-encryption.org/v1) encrypts a stream in authenticated chunks, so a capture of any length is sealed as
it arrives, and a sealed file that was cut or changed does not open to its end. The hash chain of the worker is computed
here a second time from the received bytes. Only a manifest that both processes agree on goes into the log.

`python -m linewarden.diagnostics.evidence.sealing` seals standard input. As a separate process between worker and disk
it closes the file properly even if the server that started both is gone. It leaves a seal file beside the sealed file,
so that a server that finds both can tell that the evidence is complete. Until then it holds a lock on the file, so that
a sweeper does not take it for the remains of a crash.
"""

import argparse
import errno
import fcntl
import hashlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from linewarden.diagnostics.evidence.seal_file import SealFile, keep_seal, line_of, sync_folder
from linewarden.diagnostics.packets.evidence import Chain, Manifest

pyrage: Any
try:
    import pyrage  # type: ignore[import-untyped,no-redef]
except ImportError:
    pyrage = None


class SealingError(Exception):
    """The root of all errors that this module raises on purpose."""


class ReaderInvalid(SealingError):
    """A reader is not an age recipient or identity, no reader was named, or pyrage is not installed."""


class SealFailed(SealingError):
    """The evidence could not be written. A file on the disk does not open."""


class DiskFull(SealFailed):
    """The disk has no room for the evidence."""


class SealBroken(SealingError):
    """The sealed file is not for this reader, was cut or changed, or is not the evidence of the manifest."""


class Readable(Protocol):
    """A source of evidence."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; empty at the end."""
        ...


class Writable(Protocol):
    """A destination of evidence."""

    def write(self, data: bytes, /) -> int | None:
        """Write all bytes."""
        ...


#: Exit statuses of the process beside 0.
FAILED = 1
DISK_FULL = 3

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def seal(evidence: Readable, sealed: Writable, recipients: Sequence[str], ticket_digest: bytes) -> SealFile:
    """Encrypt a stream to its end for age or SSH public keys. Raise ReaderInvalid, DiskFull, SealFailed."""
    keys = [_recipient(text) for text in recipients]
    if not keys:
        raise ReaderInvalid("a sealed file needs at least one reader: name one with --recipient")
    plain, cipher = _Tap(Chain(ticket_digest), source=evidence), _HashingWriter(sealed)
    try:
        pyrage.encrypt_io(plain, cipher, keys)
    except (OSError, pyrage.EncryptError) as error:
        # age wraps errors of the file in its own error.
        raise _failure(cipher.fault or error) from error
    return SealFile(cipher.bytes, cipher.hash.hexdigest(), plain.chain.manifest())


def seal_file(
    evidence: Readable, path: Path, recipients: Sequence[str], ticket_digest: bytes, seal_path: Path | None = None
) -> SealFile:
    """Seal into a new file that only its owner may read, make it durable, and write its seal to `seal_path`.

    Raise ReaderInvalid, DiskFull, SealFailed. A file that could not be sealed is deleted.
    """
    for text in recipients:
        _recipient(text)
    try:
        # Unbuffered, because age writes 64 KiB at a time, and a close must not fail on buffered bytes.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _failure(error) from error
    try:
        with os.fdopen(file, "wb", buffering=0) as target:
            with suppress(OSError):  # not every disk has locks
                fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made = seal(evidence, target, recipients, ticket_digest)
            os.fsync(target.fileno())
            sync_folder(path.parent)
            _leave(made, seal_path)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _failure(error) from error
    except SealFailed:
        path.unlink(missing_ok=True)
        raise
    return made


def _leave(made: SealFile, seal_path: Path | None) -> None:
    """Write the seal file. A failure is ignored, because the server also reads the seal from standard output."""
    if seal_path is not None:
        with suppress(OSError):
            keep_seal(made, seal_path)


def unseal(sealed: Readable, plain: Writable, identities: Sequence[str], ticket_digest: bytes) -> Manifest:
    """Decrypt into `plain` and return the manifest; see `check`. Raise ReaderInvalid, SealBroken.

    The bytes in `plain` before SealBroken are authentic, but incomplete.
    """
    tap = _Tap(Chain(ticket_digest), target=plain)
    keys = [_identity(text) for text in identities]
    try:
        pyrage.decrypt_io(sealed, tap, keys)
    except (OSError, pyrage.DecryptError) as error:
        raise SealBroken("the sealed file does not open to its end") from error
    return tap.chain.manifest()


def check(found: Manifest, recorded: Manifest) -> None:
    """Compare the manifest of a sealed file with the recorded one. Raise SealBroken if they differ."""
    if found != recorded:
        raise SealBroken("this is not the evidence that was recorded")


class _Tap:
    """Passes bytes to or from age, and adds them to the chain."""

    def __init__(self, chain: Chain, *, source: Readable | None = None, target: Writable | None = None) -> None:
        self.chain = chain
        self._source = source
        self._target = target

    def read(self, size: int) -> bytes:
        data = b"" if self._source is None else self._source.read(size)
        self.chain.add(data)
        return data

    def write(self, data: bytes) -> int:
        if self._target is not None:
            self._target.write(data)
        self.chain.add(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: the caller flushes the target."""


class _HashingWriter:
    """Hashes and counts the bytes that age writes."""

    def __init__(self, target: Writable) -> None:
        self.bytes = 0
        self.hash = hashlib.sha256()
        self.fault: OSError | None = None
        self._target = target

    def write(self, data: bytes) -> int:
        try:
            _write_all(self._target, data)
        except OSError as error:
            self.fault = error
            raise
        self.hash.update(data)
        self.bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: the caller flushes the target."""


def _write_all(target: Writable, data: bytes) -> None:
    """Write all bytes. An unbuffered file may take only a part, for example on a full disk."""
    rest = memoryview(data)
    while rest:
        rest = rest[target.write(bytes(rest)) or len(rest) :]


def _failure(error: Exception) -> SealFailed:
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return DiskFull("there is no room for the sealed file")
    return SealFailed("the evidence could not be sealed")


def _recipient(text: str) -> Any:
    kind = _age().ssh if text.startswith("ssh-") else _age().x25519
    try:
        return kind.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise ReaderInvalid("a recipient is not an age or SSH public key") from None


def _identity(text: str) -> Any:
    try:
        if text.startswith("-----BEGIN"):
            return _age().ssh.Identity.from_buffer(text.encode())
        return _age().x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise ReaderInvalid("an identity is not an age or SSH private key") from None


def _age() -> Any:
    if pyrage is None:
        raise ReaderInvalid("sealing needs pyrage: install linewarden[capture]")
    return pyrage


def main(arguments: list[str] | None = None) -> int:
    """Seal standard input and print the seal as one line of JSON. Return 0 if sealed, DISK_FULL or FAILED."""
    parser = argparse.ArgumentParser(prog="python -m linewarden.diagnostics.evidence.sealing", description=__doc__)
    parser.add_argument("--recipient", action="append", required=True, help="a public key that may open the file")
    parser.add_argument("--ticket-digest", required=True, type=bytes.fromhex, help="start of the chain, in hex")
    parser.add_argument("--seal", type=Path, help="the path of the seal file")
    parser.add_argument("file", type=Path, help="the sealed file; must not exist")
    options = parser.parse_args(arguments)
    try:
        with os.fdopen(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as evidence:
            made = seal_file(evidence, options.file, options.recipient, options.ticket_digest, options.seal)
    except SealingError as error:
        sys.stderr.write(f"{error}\n")
        return DISK_FULL if isinstance(error, DiskFull) else FAILED
    sys.stdout.write(line_of(made).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

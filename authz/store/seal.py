"""The seal of a policy: over revision, hash, and the set of statements in force.

The set is stood for by the sum of a MAC of each statement (see `Seals.sum`), so that a change costs what it changes.
The MACs themselves are not stored: a row of a statement is as long as before.

A seal is nonce (16 bytes) ‖ masked sum (32) ‖ MAC over origin, revision, hash, nonce and masked sum (32). The origin is
the random id of the log: a log that got the number of one that is gone does not take over its policies.
"""

from collections.abc import Iterable
from contextlib import suppress
from hmac import compare_digest
from typing import NamedTuple, Protocol

from linewarden.audit.keyring import Seals

#: The sum of no statements.
EMPTY = 0

NONCE_BYTES = 16

_SUM_BYTES = 32
_VERSION = b"policy"
_STATEMENT = b"statement"


class Numbered(Protocol):
    """What a sum needs to know of a statement."""

    @property
    def id(self) -> str:
        """`revision.ordinal`."""

    @property
    def text(self) -> str:
        """The statement itself."""


class Version(NamedTuple):
    """What a policy is at a revision: whose log it is of, its hash, and the sum of its statements."""

    origin: str
    revision: int
    hash: bytes
    total: int


def sum_of(seals: Seals, log: int, statements: Iterable[Numbered]) -> int:
    """The sum of statements of one log."""
    return seals.sum(_STATEMENT, (f"{log}/{one.id}\0{one.text}" for one in statements))


def seal_version(seals: Seals, version: Version, nonce: bytes) -> bytes:
    """The seal of a version; `nonce` is NONCE_BYTES fresh random bytes."""
    body = nonce + seals.masked(_VERSION, version.total, nonce)
    return body + seals.mac(_VERSION, (version.origin, version.revision, version.hash.hex()), body)


def open_version(seals: Seals, origin: str, revision: int, hash: bytes | None, seal: bytes | None) -> Version | None:
    """The version that hash and seal of a row are of, as far as these are there; None if the service wrote no such."""
    # SQLite keeps in a column what it was given: whoever writes past us may have put a number where bytes belong.
    with suppress(TypeError, AttributeError):
        if hash is not None and seal is not None:
            body, mac = seal[: NONCE_BYTES + _SUM_BYTES], seal[NONCE_BYTES + _SUM_BYTES :]
            if compare_digest(seals.mac(_VERSION, (origin, revision, hash.hex()), body), mac):
                return Version(origin, revision, hash, seals.unmasked(_VERSION, body[NONCE_BYTES:], body[:NONCE_BYTES]))
    return None

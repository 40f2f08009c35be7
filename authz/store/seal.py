"""The seal of a policy version: a MAC over revision, hash, and the set of statements in force.

The set is represented by the sum of the MACs of its statements (see `RowMac.sum`), so that the cost of a change does
not depend on the size of the policy. The MACs themselves are not stored.

A seal is nonce (16 bytes) ‖ masked sum (32) ‖ MAC over origin, revision, hash, nonce and masked sum (32). The origin is
the random id of the log. So a log that got the number of a deleted log does not take over its policies.
"""

from collections.abc import Iterable
from contextlib import suppress
from hmac import compare_digest
from typing import NamedTuple, Protocol

from linewarden.audit.keyring import RowMac

#: The sum of no statements.
EMPTY = 0

NONCE_BYTES = 16

_SUM_BYTES = 32
_VERSION = b"policy"
_STATEMENT = b"statement"


class StatementRow(Protocol):
    """A statement with its id, as a sum needs it."""

    @property
    def id(self) -> str:
        """`revision.ordinal`."""

    @property
    def text(self) -> str:
        """The canonical text."""


class Version(NamedTuple):
    """The version of a policy: the origin of its log, its revision and hash, and the sum of its statements."""

    origin: str
    revision: int
    hash: bytes
    total: int


def sum_of(row_mac: RowMac, log_id: int, statements: Iterable[StatementRow]) -> int:
    """Return the sum of statements of one log."""
    return row_mac.sum(_STATEMENT, (f"{log_id}/{one.id}\0{one.text}" for one in statements))


def seal_version(row_mac: RowMac, version: Version, nonce: bytes) -> bytes:
    """Return the seal of a version; `nonce` is NONCE_BYTES fresh random bytes."""
    body = nonce + row_mac.masked(_VERSION, version.total, nonce)
    return body + row_mac.mac(_VERSION, (version.origin, version.revision, version.hash.hex()), body)


def open_version(row_mac: RowMac, origin: str, revision: int, hash: bytes | None, seal: bytes | None) -> Version | None:
    """Return the version that the hash and seal of a row state; None if the service did not write them."""
    # SQLite does not check types, so another program may have stored a number where bytes belong.
    with suppress(TypeError, AttributeError):
        if hash is not None and seal is not None:
            body, mac = seal[: NONCE_BYTES + _SUM_BYTES], seal[NONCE_BYTES + _SUM_BYTES :]
            if compare_digest(row_mac.mac(_VERSION, (origin, revision, hash.hex()), body), mac):
                return Version(
                    origin, revision, hash, row_mac.unmasked(_VERSION, body[NONCE_BYTES:], body[:NONCE_BYTES])
                )
    return None

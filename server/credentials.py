"""API keys of callers, bound to tenants and methods.

A key is `lw_<id>_<secret>`; only SHA-256 of the secret is stored, which is enough for 256 random bits. All keys are
held in memory as one immutable set with its revision. Each record a caller causes is guarded by that revision (see
`audit.model.Guard`), so that no answer is released for a key whose revocation was acknowledged before the request was
sent, in whatever process.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from linewarden.server.errors import CredentialsInvalid

ANY = "*"
_PREFIX = "lw"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored. `methods` are `Service` or `Service/Method`; `*` stands for all, also in `tenants`."""

    id: str
    secret_hash: bytes
    caller: str
    tenants: frozenset[str]
    methods: frozenset[str]
    created_us: int
    expires_us: int | None = None
    revoked_us: int | None = None

    def permits(self, tenant: str, service: str, method: str) -> bool:
        """Return whether this caller may call that method for that tenant."""
        tenants, methods = self.tenants, self.methods
        return (tenant in tenants or ANY in tenants) and (method in methods or service in methods or ANY in methods)


class KeySet:
    """All keys as of one revision of the system log."""

    def __init__(self, revision: int, keys: Iterable[ApiKey]) -> None:
        self.revision = revision
        self._keys = {key.id: key for key in keys}

    def authenticate(self, token: str | None, now_us: int) -> ApiKey:
        """Return the key of this token.

        Raises:
            CredentialsInvalid: the token is missing, wrong, revoked or expired.
        """
        prefix, _, rest = (token or "").partition("_")
        id, _, secret = rest.partition("_")
        key = self._keys.get(id) if prefix == _PREFIX else None
        if key is None or not hmac.compare_digest(_hash(secret), key.secret_hash):
            raise CredentialsInvalid("no such key")
        _check_in_force(key, now_us)
        return key

    def check_valid(self, key: ApiKey, now_us: int) -> None:
        """Make sure that a key of an earlier set is still valid.

        Raises:
            CredentialsInvalid: it is revoked or expired.
        """
        _check_in_force(self._keys.get(key.id), now_us)


def _check_in_force(key: ApiKey | None, now_us: int) -> None:
    if key is None or key.revoked_us is not None or (key.expires_us is not None and key.expires_us <= now_us):
        raise CredentialsInvalid("the key is revoked or expired")


def new_key(
    caller: str, tenants: Iterable[str], methods: Iterable[str], now_us: int, expires_us: int | None = None
) -> tuple[ApiKey, str]:
    """Return a new key and its token, which is shown once."""
    id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    key = ApiKey(id, _hash(secret), caller, frozenset(tenants), frozenset(methods), now_us, expires_us)
    return key, f"{_PREFIX}_{id}_{secret}"


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()

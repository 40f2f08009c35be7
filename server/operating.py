"""What the operator does to the database itself: tenants and keys. Each act is an entry of the system log.

These are the root of trust: whoever may open the database and read the key-encryption key may do them. They need no
server to run, and a running one sees them at once.
"""

import os
import re
from collections.abc import Iterable

from linewarden.audit.entry import KEY_CREATED, KEY_REVOKED, TENANT_CREATED, WORKER_ENROLLED, encode
from linewarden.audit.errors import AuditError, EffectRefused
from linewarden.audit.model import SYSTEM_LOG, Guard, Unit
from linewarden.audit.store.log import LogStore
from linewarden.audit.writer import Writer
from linewarden.authz.administration import check_tenant, record, replacement
from linewarden.authz.lockout import compiled, require_change
from linewarden.authz.statements import parse_document
from linewarden.server.credentials import ApiKey, new_key
from linewarden.server.storage import Storage
from linewarden.server.store.keys import insertion, revocation

#: Who did it, in the records of what is done without a server.
OPERATOR = "operator"

_FIRST_POLICY_TIMEOUT_S = 300.0

# As in the contract. The empty name, above all, is that of the system's own log.
_TENANT = re.compile(r"[A-Za-z0-9._-]{1,128}")


def create_system_log(log: LogStore, now_us: int) -> None:
    """Create the system log if there is none."""
    log.create("", _origin_id(), now_us)


def create_tenant(log: LogStore, tenant: str, now_us: int) -> int:
    """Create a tenant's log if there is none; returns its number.

    Raises:
        ValueError: no request could carry that name.
        LogUnavailable: the database failed.
    """
    if not _TENANT.fullmatch(tenant):
        raise ValueError("a tenant's name is 1 to 128 letters, digits, `.`, `_` and `-`")
    create_system_log(log, now_us)
    for head in log.heads():
        if head.tenant == tenant:
            return head.log
    entry = encode(TENANT_CREATED, now_us, {"tenant": tenant})
    _append(log, Unit(SYSTEM_LOG, (entry,), effect=log.creation(tenant, _origin_id(), now_us)))
    return log.head_of(tenant).log


def create_key(
    log: LogStore,
    caller: str,
    tenants: Iterable[str],
    methods: Iterable[str],
    now_us: int,
    expires_us: int | None = None,
) -> tuple[ApiKey, str]:
    """Create an API key; the token is shown this once.

    Raises:
        LogUnavailable: the database failed.
    """
    create_system_log(log, now_us)
    key, token = new_key(caller, tenants, methods, now_us, expires_us)
    fields = {
        "key": key.id,
        "caller": caller,
        "tenants": sorted(key.tenants),
        "methods": sorted(key.methods),
        "expires": expires_us,
    }
    entry = encode(KEY_CREATED, now_us, fields)
    _append(log, Unit(SYSTEM_LOG, (entry,), effect=insertion(key), moves_revision=True))
    return key, token


def revoke_key(log: LogStore, id: str, now_us: int) -> None:
    """Revoke an API key. No answer is released for it once this returns.

    Raises:
        EffectRefused: there is no such key, or it is revoked already.
        LogUnavailable: the database failed.
    """
    entry = encode(KEY_REVOKED, now_us, {"key": id})
    _append(log, Unit(SYSTEM_LOG, (entry,), effect=revocation(id, now_us), moves_revision=True))


def record_enrolment(log: LogStore, worker: str, expires_us: int, now_us: int) -> None:
    """Record that a capture worker gets a certificate; before it does.

    Raises:
        LogUnavailable: the database failed.
    """
    create_system_log(log, now_us)
    _append(log, Unit(SYSTEM_LOG, (encode(WORKER_ENROLLED, now_us, {"worker": worker, "expires": expires_us}),)))


def _append(log: LogStore, unit: Unit) -> None:
    (result,) = log.append([unit])
    if isinstance(result, AuditError):
        raise result


def _origin_id() -> str:
    return os.urandom(16).hex()


async def load_first_policy(storage: Storage, log: int, text: str, now_us: int, *, allow_lockout: bool = False) -> int:
    """Give a tenant without a policy its first; returns the number of statements.

    Raises:
        PolicyInvalid: a line is wrong; nothing was changed.
        PolicyLockout: no person could change the policy, and `allow_lockout` does not say that this is meant.
        EffectRefused: the tenant has a policy; it is changed through the server, by those whom it lets.
        LogUnavailable: the database failed.
    """
    statements = parse_document(text)
    now = storage.policies.since(log, 0)
    if now.revision:
        raise EffectRefused("the tenant has a policy already: change it with `linewarden policy load`")
    tenant = storage.log.head(log).tenant
    check_tenant(tenant, statements)
    if not allow_lockout:
        require_change(compiled(statements), tenant, now_us)
    writer = Writer(storage.log, batch_limit=1, queue_limit=1 << 30, timeout_s=_FIRST_POLICY_TIMEOUT_S)
    try:
        change = replacement(0, now.hash, (), statements)
        recorded = await record(storage.directory(writer), log, change, now_us, OPERATOR)
        guards = (Guard(log, 0),)
        await writer.append(Unit(log, recorded.entries, guards, effect=recorded.apply, moves_revision=True))
    finally:
        await writer.close()
    return len(statements)

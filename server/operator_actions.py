"""Operator actions on the database: tenants, keys, policies. Each action is an entry of a log.

They are the root of trust, because they need only the database and the key-encryption key. They do not need a running
server, and a running server notices them at once.
"""

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches

from linewarden.audit.entry import KEY_CREATED, KEY_REVOKED, TENANT_CREATED, WORKER_ENROLLED, encode
from linewarden.audit.errors import AuditError, EffectRefused, PersonsMet, RevisionMoved, TenantUnknown
from linewarden.audit.model import SYSTEM_LOG, Guard, Unit
from linewarden.audit.store.log import LogStore
from linewarden.audit.writer import Writer
from linewarden.authz.administration import Change, record, replacement
from linewarden.authz.lockout import compiled, require_change
from linewarden.authz.own_persons import check_tenant
from linewarden.authz.planning import Request
from linewarden.authz.policies import Loaded, Policies
from linewarden.authz.statements import parse_document
from linewarden.server.credentials import ANY, ApiKey, new_key
from linewarden.server.storage import Storage
from linewarden.server.store.keys import insertion, revocation

#: The caller in entries of operator actions.
OPERATOR = "operator"

#: Bytes of a reason. It is recorded unencrypted: names of persons do not belong in it.
MAX_REASON_BYTES = 512

_POLICY_TIMEOUT_S = 300.0

# As in the contract. The empty name is that of the system log.
_TENANT = re.compile(r"[A-Za-z0-9._-]{1,128}")


#: Attempts at a change while others change the same policy.
_ATTEMPTS = 5

# The name of a caller appears in logs and tables.
_CALLER = re.compile(r"[^\s\x00-\x1f](.{0,126}[^\s])?")


def create_system_log(log: LogStore, now_us: int) -> None:
    """Create the system log if it does not exist."""
    log.create("", _origin_id(), now_us)


def check_reason(reason: str) -> None:
    """Make sure that the reason of an operator's act can stand in an entry.

    Raises:
        ValueError: it is empty, too long, or has characters that cannot be printed.
    """
    if not reason.strip() or len(reason.encode()) > MAX_REASON_BYTES or not reason.isprintable():
        raise ValueError(f"the reason must be one line of 1 to {MAX_REASON_BYTES} bytes")


def check_tenant_name(tenant: str) -> None:
    """Make sure that requests can carry the name of a tenant.

    Raises:
        ValueError: the name is invalid.
    """
    if not _TENANT.fullmatch(tenant):
        raise ValueError("the name of a tenant must be 1 to 128 letters, digits, `.`, `_` and `-`")


def create_tenant(log: LogStore, tenant: str, now_us: int) -> int:
    """Create a tenant's log if it does not exist. Return its number.

    Raises:
        ValueError: the name is invalid.
        LogUnavailable: the database failed.
    """
    check_tenant_name(tenant)
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
    """Create an API key. The token is shown this once.

    Raises:
        TenantUnknown: a tenant does not exist. The text names it, and one that resembles it.
        ValueError: the name of the caller is invalid.
        LogUnavailable: the database failed.
    """
    if not _CALLER.fullmatch(caller) or not caller.isprintable():
        raise ValueError("the name of a caller must be 1 to 128 printable characters, without a blank at an end")
    tenants = tuple(tenants)
    check_tenants(log, (one for one in tenants if one != ANY))
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
    """Record that a capture worker gets a certificate, before it is made.

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


def check_tenants(log: LogStore, tenants: Iterable[str]) -> None:
    """Make sure that each of these tenants exists.

    Raises:
        TenantUnknown: one does not. The text names it, and one that resembles it.
        LogUnavailable: the database failed.
    """
    known = [head.tenant for head in log.heads() if head.tenant]
    for tenant in tenants:
        if tenant not in known:
            close = get_close_matches(tenant, known, 1)
            hint = f"did you mean {close[0]}?" if close else "create it with `linewarden tenant create`"
            raise TenantUnknown(f"there is no tenant {tenant!r}; {hint}")


async def load_first_policy(
    storage: Storage, log_id: int, text: str, now_us: int, *, allow_lockout: bool = False
) -> int:
    """Load the first policy of a tenant. Return the number of statements.

    Raises:
        PolicyInvalid: a line is wrong; nothing was changed.
        PolicyLockout: no person could change the policy, and `allow_lockout` is false.
        EffectRefused: the tenant has a policy already, which persons change through the server.
        LogUnavailable: the database failed.
    """
    statements = parse_document(text)
    now = storage.policies.since(log_id, 0)
    if now.revision:
        raise EffectRefused("the tenant has a policy already: change it with `linewarden policy load`")
    tenant = storage.log.head(log_id).tenant
    check_tenant(tenant, statements)
    if not allow_lockout:
        require_change(compiled(statements), tenant, now_us)
    await _change(storage, log_id, replacement(0, now.hash, (), statements), now_us, "")
    return len(statements)


async def change_policy(
    storage: Storage, request: Request, plan: Callable[[Request, Loaded], Change], reason: str
) -> Change:
    """Change a tenant's policy as the operator, whatever that policy permits, and record the reason.

    `plan` makes the change from the policy in force. Running servers apply it like any other change.

    Raises:
        PolicyInvalid: a statement is wrong; nothing was changed.
        PolicyLockout: no person could change the policy, and the request does not allow that.
        TenantUnknown: there is no such tenant.
        ValueError: the reason is empty or too long.
        LogUnavailable: the database failed.
    """
    check_reason(reason)
    check_tenants(storage.log, (request.tenant,))
    log_id = storage.log.head_of(request.tenant).log
    policies = Policies(storage.policies)
    for _ in range(_ATTEMPTS - 1):
        with suppress(RevisionMoved):
            return await _planned(storage, policies, log_id, request, plan, reason)
    return await _planned(storage, policies, log_id, request, plan, reason)


async def _planned(
    storage: Storage,
    policies: Policies,
    log_id: int,
    request: Request,
    plan: Callable[[Request, Loaded], Change],
    reason: str,
) -> Change:
    change = plan(request, await policies.refreshed(log_id))
    if change.added or change.removed:
        await _change(storage, log_id, change, request.now_us, reason)
    return change


async def _change(storage: Storage, log_id: int, change: Change, now_us: int, reason: str) -> None:
    writer = Writer(storage.log, batch_limit=1, queue_limit=1 << 30, timeout_s=_POLICY_TIMEOUT_S)
    try:
        directory = storage.directory(writer)
        for attempt in range(_ATTEMPTS):
            recorded = await record(directory, log_id, change, now_us, OPERATOR, reason=reason)
            guards = (Guard(log_id, change.revision),)
            unit = Unit(log_id, recorded.entries, guards, effect=recorded.apply, moves_revision=True)
            try:
                await directory.append(unit, recorded.people)
                break
            except PersonsMet:  # a running server recorded one of the persons meanwhile
                if attempt == _ATTEMPTS - 1:
                    raise
    finally:
        await writer.close()

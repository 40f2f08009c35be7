"""The way every RPC goes in: authenticate, bind to tenant and method, validate; and what is recorded of a refusal."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn, TypeVar

import grpc

from linewarden.audit.entry import REQUEST_REFUSED, encode
from linewarden.audit.errors import ClockBehind, LogUnavailable, PersonsTooMany, RevisionMoved, TenantUnknown
from linewarden.audit.model import SYSTEM_LOG, Guard, Unit
from linewarden.audit.writer import Writer
from linewarden.authz.policies import Policies
from linewarden.server.callers import Callers
from linewarden.server.capacity import Capacity
from linewarden.server.credentials import ANY, ApiKey
from linewarden.server.errors import (
    CallerNotPermitted,
    CredentialsInvalid,
    InvalidRequest,
    ServerError,
    ServerStopping,
    VerbNotApplicable,
    Violation,
    reason_of,
)
from linewarden.server.tenants import Tenants
from linewarden.server.validation import Validator

T = TypeVar("T")

#: How often a request is decided again because policy or keys moved under it, before it is given up.
MAX_ATTEMPTS = 50

#: A closed door counts as quiet when no request came for so long, seconds.
QUIET_S = 0.1

_SCHEME = "Bearer "


class Entrance(NamedTuple):
    """A request that came in: who calls, for which tenant's log, and when."""

    caller: str
    guard: Guard
    tenant: str
    log: int
    request_id: str
    now_us: int
    #: When the caller's key ends, microseconds; no answer may be acted on for longer.
    key_expires_us: int | None = None


class Door:
    """Lets requests in. One for all services of a process."""

    def __init__(
        self,
        callers: Callers,
        tenants: Tenants,
        policies: Policies,
        writer: Writer,
        now_us: Callable[[], int],
        capacity: Capacity,
    ) -> None:
        self._callers = callers
        self._tenants = tenants
        self._policies = policies
        self._writer = writer
        self._now_us = now_us
        self._capacity = capacity
        self._closed = False
        self._knocked_at = 0.0

    async def close(self, within_s: float, grace_s: float) -> None:
        """Reject new requests, end streams, and wait until those inside are answered, `grace_s` at most.

        It goes on for QUIET_S after the last request that was rejected, or for `within_s` where they go on coming.
        Callers that were told so know that nothing was recorded, and turn to another server.
        """
        self._closed = True
        self._capacity.streams.close()
        started = self._knocked_at = time.monotonic()
        while True:
            now = time.monotonic()
            quiet = now >= min(started + within_s, self._knocked_at + QUIET_S)
            if now >= started + grace_s or (quiet and not self._capacity.inside):
                return
            await asyncio.sleep(QUIET_S / 10)

    async def serve(
        self,
        context: "grpc.aio.ServicerContext[Any, Any]",
        request: Any,
        method: tuple[str, str],
        validate: Validator,
        answer: Callable[[Entrance], Awaitable[T]],
        weight: int = 1,
    ) -> T:
        """Let the request in and answer it; decide again when policy or keys moved meanwhile.

        Raises:
            CredentialsInvalid, CallerNotPermitted, TenantUnknown, InvalidRequest: it was refused, and that is recorded.
            LogUnavailable: nothing could be recorded in time, or too many requests wait.
            ServerStopping: the server stops.
        """
        if self._closed:
            self._knocked_at = time.monotonic()
            raise ServerStopping
        token = token_of(context.invocation_metadata())
        try:
            key, guard = self._callers.authenticate(token)
        except ServerError:
            key, guard = await self._callers.admit(token)
        # What a key is not bound to is refused as the work of that key, and of no tenant.
        tenant = request.tenant if key.permits(request.tenant, *method) else ""
        admission = self._capacity.of(method[0])
        held = await admission.enter(tenant, key.id, weight)
        try:
            return await self._serve(key, guard, token, request, method, validate, answer)
        finally:
            admission.leave(tenant, held)

    @contextmanager
    def stream(self, context: "grpc.aio.ServicerContext[Any, Any]") -> Iterator[None]:
        """Count a stream of the caller's while it is open.

        Raises:
            CredentialsInvalid: the key is none that opens this door.
            LogOverloaded: too many are open that belong to the same tenants.
            ServerStopping: the server stops.
        """
        key, _guard = self._callers.authenticate(token_of(context.invocation_metadata()))
        # A key for any tenant belongs to none of them: its streams are its own.
        with self._capacity.streams.opened(key.id if ANY in key.tenants else key.tenants):
            yield

    async def check_still(
        self, context: "grpc.aio.ServicerContext[Any, Any]", tenant: str, method: tuple[str, str]
    ) -> None:
        """Make sure, in the midst of a stream, that its key still opens this door.

        Raises:
            CredentialsInvalid, CallerNotPermitted: it does not.
            LogUnavailable: the keys cannot be read.
            ServerStopping: the server stops.
        """
        if self._closed:
            raise ServerStopping
        await self._callers.refresh()
        key, _guard = self._callers.authenticate(token_of(context.invocation_metadata()))
        if not key.permits(tenant, *method):
            raise CallerNotPermitted("not bound")

    async def _serve(
        self,
        key: ApiKey,
        guard: Guard,
        token: str | None,
        request: Any,
        method: tuple[str, str],
        validate: Validator,
        answer: Callable[[Entrance], Awaitable[T]],
    ) -> T:
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                key, guard = await self._callers.admit(token)
            tenant = request.tenant
            violations = validate(request)
            if violations and any(violation.field == "tenant" for violation in violations):
                # No tenant can be meant: not even the database is asked for one, whose texts may not hold this.
                await self._refuse(key, SYSTEM_LOG, InvalidRequest(violations), method)
            if not key.permits(tenant, *method):
                await self._refuse(key, SYSTEM_LOG, CallerNotPermitted("not bound"), method)
            log = self._tenants.known(tenant)
            if log is None:
                log = await self._find(key, tenant, method)
            if violations:
                await self._refuse(key, log, InvalidRequest(violations), method)
            now_us = self._now_us()
            if key.expires_us is not None and key.expires_us <= now_us:  # it waited longer than its key lived
                raise CredentialsInvalid("the key is expired")
            entrance = Entrance(key.caller, guard, tenant, log, request.request_id, now_us, key.expires_us)
            try:
                return await answer(entrance)
            except (RevisionMoved, ClockBehind):
                await self._callers.refresh()
                await self._policies.refresh(log)
            except (InvalidRequest, VerbNotApplicable, PersonsTooMany) as refused:
                await self._refuse(key, log, refused, method)
        raise LogUnavailable("policy changes faster than decisions can be made")

    async def _find(self, key: ApiKey, tenant: str, method: tuple[str, str]) -> int:
        try:
            return await self._tenants.find(tenant)
        except TenantUnknown as unknown:
            # Only a caller bound to every tenant learns that one does not exist.
            error = unknown if ANY in key.tenants else CallerNotPermitted("not bound")
            await self._refuse(key, SYSTEM_LOG, error, method)

    async def _refuse(self, key: ApiKey, log: int, error: Exception, method: tuple[str, str]) -> NoReturn:
        """Record a refusal, then raise it. Values of the request are not recorded: nobody vouches for them."""
        fields: dict[str, Any] = {"caller": key.caller, "method": method[1], "reason": reason_of(error)}
        if isinstance(error, InvalidRequest):
            fields["fields"] = [violation.field for violation in error.violations[:32]]
        entry = encode(REQUEST_REFUSED, self._now_us(), fields)
        await self._writer.append(Unit(log, (entry,)))
        raise error


def reserved(subject: str) -> None:
    """Refuse names that could be taken for a role or for a person of another tenant.

    Raises:
        InvalidRequest: it is such a name.
    """
    if subject.startswith(("role:", "//")):
        raise InvalidRequest((Violation("subject.id", "subject.id.reserved", "the name is reserved"),))


def token_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    """The API key that a call carries, if it carries one."""
    for name, value in metadata or ():
        if name == "authorization" and isinstance(value, str) and value.startswith(_SCHEME):
            return value[len(_SCHEME) :]
    return None

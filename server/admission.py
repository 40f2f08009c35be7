"""Admission of requests: credentials, tenant and method, rules of the contract, and the place in the queue.

It also records refusals. It knows no protocol: a listener passes an `Arrival`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn, Protocol, TypeVar

from linewarden.audit.entry import REQUEST_REFUSED, encode
from linewarden.audit.errors import ClockBehind, LogUnavailable, PersonsTooMany, RevisionMoved, TenantUnknown
from linewarden.audit.model import SYSTEM_LOG, Unit
from linewarden.audit.writer import Writer
from linewarden.authz.model import Context
from linewarden.authz.policies import Policies
from linewarden.authz.service import Call
from linewarden.server.callers import Callers, Identity
from linewarden.server.capacity import Capacity
from linewarden.server.credentials import ANY, ApiKey
from linewarden.server.errors import (
    CallerNotPermitted,
    CredentialsInvalid,
    InvalidRequest,
    ServerStopping,
    VerbNotApplicable,
    Violation,
    reason_of,
)
from linewarden.server.tenants import Tenants

T = TypeVar("T")

#: How often a request is decided again because policy or keys changed, before it is refused.
MAX_ATTEMPTS = 50

#: A stopping server expects no further request once none has arrived for this time, seconds.
QUIET_S = 0.1


class Method(NamedTuple):
    """A method in the form that API keys name it: `AccessService` and `AccessService/Check`."""

    service: str
    name: str


class Arrival(Protocol):
    """A request as a listener received it. Nothing in it has been checked."""

    tenant: str
    request_id: str

    def violations(self) -> tuple[Violation, ...]:
        """Return the rules of the contract that the request breaks."""

    def requester(self, now_us: int) -> tuple[str, Context]:
        """Return the person on whose behalf the caller asks, by the name of the policy, and the context.

                Admission calls this only for a request without violations.

        Raises:
            InvalidRequest: the person's name is reserved.
        """


class AdmittedRequest(NamedTuple):
    """An admitted request: the call with its tenant, method and API key."""

    call: Call
    tenant: str
    method: Method
    key: ApiKey

    @property
    def log(self) -> int:
        """The number of the tenant's log."""
        return self.call.log

    @property
    def now_us(self) -> int:
        """Return the time of admission, microseconds since 1970 UTC."""
        return self.call.context.now_us

    def at(self, now_us: int) -> "AdmittedRequest":
        """Return the same request at a later time, for a record that is made then."""
        return self._replace(call=self.call._replace(context=self.call.context._replace(now_us=now_us)))


class Admission:
    """Admits requests. One instance serves all listeners of a process."""

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
        self._rejected_at = 0.0

    async def close(self, within_s: float, grace_s: float) -> None:
        """Reject new requests, end streams, and wait until those admitted are answered, `grace_s` at most.

        Return QUIET_S after the last request was rejected, or after `within_s` if requests still arrive. A rejected
        caller knows that nothing was recorded, and can ask another server.
        """
        self._closed = True
        self._capacity.streams.close()
        started = self._rejected_at = time.monotonic()
        while True:
            now = time.monotonic()
            quiet = now >= min(started + within_s, self._rejected_at + QUIET_S)
            if now >= started + grace_s or (quiet and not self._capacity.inside):
                return
            await asyncio.sleep(QUIET_S / 10)

    async def serve(
        self,
        identity: Identity,
        arrival: Arrival,
        method: Method,
        answer: Callable[[AdmittedRequest], Awaitable[T]],
        weight: int = 1,
    ) -> T:
        """Admit a request and answer it. Decide again when policy or keys changed meanwhile.

        Raises:
            CredentialsInvalid, CallerNotPermitted, TenantUnknown, InvalidRequest: the recorded refusal.
            LogUnavailable: nothing could be recorded in time, or too many requests wait.
            ServerStopping: the server stops.
            Exception: any error of `answer`.
        """
        if self._closed:
            self._rejected_at = time.monotonic()
            raise ServerStopping
        key = identity.key
        # A request for a tenant that the key is not bound to is queued for the key, and for no tenant.
        tenant = arrival.tenant if key.permits(arrival.tenant, *method) else ""
        queue = self._capacity.of(method.service)
        held = await queue.enter(tenant, key.id, weight)
        try:
            return await self._serve(identity, arrival, method, answer)
        finally:
            queue.leave(tenant, held)

    async def identify(self, token: str | None) -> Identity:
        """Return the identity of a caller, for a message of a stream. Keys change while a stream lives.

        Raises:
            CredentialsInvalid: there is no such key, or it is revoked or expired.
            KeysNotOurs, LogUnavailable: the keys cannot be read.
        """
        return await self._callers.admit(token)

    @contextmanager
    def stream(self, identity: Identity) -> Iterator[None]:
        """Count a stream of the caller while it is open.

        Raises:
            LogOverloaded: too many are open that belong to the same tenants.
            ServerStopping: the server stops.
        """
        key = identity.key
        # The streams of a key for any tenant are counted for the key, because it belongs to no single tenant.
        with self._capacity.streams.opened(key.id if ANY in key.tenants else key.tenants):
            yield

    async def check_still(self, admitted: AdmittedRequest) -> None:
        """Make sure, while a stream lives, that its key still permits the method.

        Raises:
            CredentialsInvalid: the key does not permit it.
            LogUnavailable: the keys cannot be read.
            ServerStopping: the server stops.
        """
        if self._closed:
            raise ServerStopping
        await self._callers.refresh()
        self._callers.check_valid(admitted.key)

    async def _serve(
        self,
        identity: Identity,
        arrival: Arrival,
        method: Method,
        answer: Callable[[AdmittedRequest], Awaitable[T]],
    ) -> T:
        tenant = arrival.tenant
        violations = arrival.violations()
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                identity = await self._callers.admit(identity.token)
            key, guard, _token = identity
            if not tenant or (violations and any(one.field.endswith("header.tenant") for one in violations)):
                # The tenant is not valid, so the database is not asked for it.
                await self._refuse(key, SYSTEM_LOG, InvalidRequest(violations), method)
            if not key.permits(tenant, *method):
                await self._refuse(key, SYSTEM_LOG, CallerNotPermitted("not bound"), method)
            log_id = self._tenants.known(tenant)
            if log_id is None:
                log_id = await self._find(key, tenant, method)
            if violations:
                await self._refuse(key, log_id, InvalidRequest(violations), method)
            now_us = self._now_us()
            if key.expires_us is not None and key.expires_us <= now_us:  # the key expired while the request waited
                raise CredentialsInvalid("the key is expired")
            try:
                subject, context = arrival.requester(now_us)
                call = Call(log_id, key.caller, guard, arrival.request_id, subject, context)
                return await answer(AdmittedRequest(call, tenant, method, key))
            except (RevisionMoved, ClockBehind):
                await self._callers.refresh()
                await self._policies.refresh(log_id)
            except (InvalidRequest, VerbNotApplicable, PersonsTooMany) as refused:
                await self._refuse(key, log_id, refused, method)
        raise LogUnavailable("policy changes faster than decisions can be made")

    async def _find(self, key: ApiKey, tenant: str, method: Method) -> int:
        try:
            return await self._tenants.find(tenant)
        except TenantUnknown as unknown:
            # Only a caller that is bound to every tenant learns that a tenant does not exist.
            error = unknown if ANY in key.tenants else CallerNotPermitted("not bound")
            await self._refuse(key, SYSTEM_LOG, error, method)

    async def _refuse(self, key: ApiKey, log_id: int, error: Exception, method: Method) -> NoReturn:
        """Record a refusal, then raise it. Values of the request are not recorded, because they are not verified."""
        fields: dict[str, Any] = {"caller": key.caller, "method": method.name, "reason": reason_of(error)}
        if isinstance(error, InvalidRequest):
            fields["fields"] = [violation.field for violation in error.violations[:32]]
        elif isinstance(error, VerbNotApplicable):
            fields["fields"] = list(error.fields[:32])
        entry = encode(REQUEST_REFUSED, self._now_us(), fields)
        await self._writer.append(Unit(log_id, (entry,)))
        raise error

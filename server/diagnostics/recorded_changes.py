"""Recorded changes of requests: the policy decides, a use case makes the change, and both are one append."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from linewarden.audit.directory import NO_PEOPLE, TENANT_KEY_HOLDER, Directory, People
from linewarden.authz.authority import Authority, Draft, Refused
from linewarden.authz.model import Context, Purpose, Resource, ResourceType, Verb
from linewarden.authz.policies import Policies
from linewarden.authz.service import Access
from linewarden.diagnostics.capture_model import CaptureRight
from linewarden.diagnostics.change import ActorContext, Change
from linewarden.diagnostics.errors import DiagnosticsError
from linewarden.diagnostics.kinds import DIAGNOSTICS_REFUSED
from linewarden.diagnostics.ports import Requester
from linewarden.server.admission import AdmittedRequest
from linewarden.server.errors import reason_of

R = TypeVar("R")

#: Makes a change in a thread. It may raise DiagnosticsError.
Make = Callable[[ActorContext], Change[R]]


class Recorder:
    """Commits and reports the changes of requests.

    `known` says whether a log has a record of that kind and id. `now_us` is the clock, microseconds.
    """

    def __init__(
        self,
        authority: Authority,
        directory: Directory,
        known: Callable[[int, str, str], bool],
        now_us: Callable[[], int],
    ) -> None:
        self._authority = authority
        self._directory = directory
        self._known = known
        self._now_us = now_us

    async def commit(
        self,
        admitted: AdmittedRequest,
        accesses: Sequence[Access],
        make: Make[R],
        about: Mapping[str, str],
        people: People = NO_PEOPLE,
    ) -> R:
        """Decide, make the change, and append both. The result is durable. Without accesses no decision is needed.

        `about` are the records that the request names, by kind; a refusal names the existing ones. `people` are persons
        that the change names beside the actor.

        Raises:
            SubjectNotPermitted: the policy does not let this person do so. The denial is recorded.
            DiagnosticsError: the change was refused. That is recorded.
            RevisionMoved, LogUnavailable: see `Authority.commit`.
        """

        async def draft(met: People) -> Draft[R]:
            ctx, met = await self._actor_context(admitted, met)
            try:
                change = await asyncio.to_thread(make, ctx)
            except DiagnosticsError as error:
                entry = await self._refusal(ctx, accesses, about, error)
                raise Refused(error, (entry,), met) from None
            return Draft(change.result, change.entries, met, change.apply)

        return await self._authority.commit(admitted.call, accesses, draft, people)

    async def report(self, admitted: AdmittedRequest, make: Make[R]) -> R:
        """Append the result of an act that was permitted before, whatever the policy says now.

        Raises:
            LogUnavailable: the record could not be made durable in time.
        """

        async def draft(met: People) -> Draft[R]:
            ctx, met = await self._actor_context(admitted.at(self._now_us()), met)
            change = await asyncio.to_thread(make, ctx)
            return Draft(change.result, change.entries, met, change.apply)

        return await self._authority.report(admitted.log, draft)

    async def require(self, admitted: AdmittedRequest, access: Access) -> None:
        """Refuse an act that the policy does not permit before persons are introduced for it. `commit` decides again.

        Raises:
            SubjectNotPermitted: the policy does not let this person do so. The denial is recorded.
        """
        await self._authority.require(admitted.call, access)

    async def read(self, admitted: AdmittedRequest, access: Access) -> None:
        """Decide on a read and record it.

        Raises:
            SubjectNotPermitted, RevisionMoved, LogUnavailable: see `Authority.authorize`.
        """
        await self._authority.authorize(admitted.call, access)

    async def people(self, admitted: AdmittedRequest, names: Sequence[str]) -> People:
        """Return the persons of these names. The commit that gets them introduces those that are new to the log."""
        return await self._directory.meet(admitted.log, names, admitted.now_us)

    async def _actor_context(self, admitted: AdmittedRequest, among: People) -> tuple[ActorContext, People]:
        """Return the actor context, and the persons so far."""
        call, context = admitted.call, admitted.call.context
        people = await self._directory.meet(call.log, [call.subject, TENANT_KEY_HOLDER], context.now_us, among)
        ctx = ActorContext(
            log=call.log,
            tenant=admitted.tenant,
            caller=call.caller,
            request_id=call.request_id,
            now_us=context.now_us,
            name=call.subject,
            actor=people[call.subject],
            key_holder=people[TENANT_KEY_HOLDER],
            purpose=context.purpose or "",
            case=context.case,
            zone=context.zone,
        )
        return ctx, people

    async def _refusal(
        self, ctx: ActorContext, accesses: Sequence[Access], about: Mapping[str, str], error: DiagnosticsError
    ) -> bytes:
        fields: dict[str, Any] = {"reason": reason_of(error), "actions": [one.verb for one in accesses]}
        if error.detail:
            fields["detail"] = error.detail
        return ctx.entry(DIAGNOSTICS_REFUSED, fields | await asyncio.to_thread(self._existing, ctx.log, about))

    def _existing(self, log_id: int, about: Mapping[str, str]) -> dict[str, str]:
        """Return the existing records among those that a request names, because other names are not verified."""
        return {kind: id for kind, id in about.items() if id and self._known(log_id, kind, id)}


class PolicyRights:
    """The rights of persons to a running capture. No check is recorded unless a lost right ends the capture."""

    def __init__(self, policies: Policies, now_us: Callable[[], int]) -> None:
        self._policies = policies
        self._now_us = now_us

    async def may(self, log_id: int, capture: str, requester: Requester, rights: Iterable[CaptureRight]) -> bool:
        """Return whether the person has all these rights to this capture now. An erased person has none.

        Raises:
            LogUnavailable: the policy cannot be read.
        """
        if not requester.name:
            return False
        snapshot = await self._policies.refresh(log_id)
        purpose = Purpose(requester.purpose) if requester.purpose else None
        context = Context(self._now_us(), purpose, requester.case, requester.zone)
        item = Resource(ResourceType.CAPTURE, capture)
        return all(snapshot.decide(requester.name, Verb(right), item, context).allowed for right in rights)


def diagnostics_access(tenant: str, verb: Verb) -> Access:
    """Return an access to the diagnostics of a tenant."""
    return Access(verb, Resource(ResourceType.DIAGNOSTICS, tenant))


def capture_access(capture: str, verb: Verb) -> Access:
    """Return an access to one capture."""
    return Access(verb, Resource(ResourceType.CAPTURE, capture))

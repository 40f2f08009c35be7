"""Taking a step: the policy decides, the step is made, and both are appended together with what the step changes."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from linewarden.audit.directory import NOBODY, Directory
from linewarden.audit.errors import EffectRefused, LogUnavailable
from linewarden.audit.model import Guard, Unit, id_text
from linewarden.audit.writer import Writer
from linewarden.authz.model import Context, Purpose, Resource, ResourceType, Verb
from linewarden.authz.policies import Policies
from linewarden.authz.service import Access, AccessControl
from linewarden.diagnostics.errors import DiagnosticsError
from linewarden.diagnostics.kinds import ATTESTATION, DIAGNOSTICS_REFUSED, NOTICE, SESSION
from linewarden.diagnostics.ports import Standing
from linewarden.diagnostics.session import CaptureRight
from linewarden.diagnostics.steps import Occasion, Step
from linewarden.server.access import call_of
from linewarden.server.door import Entrance
from linewarden.server.errors import SubjectNotPermitted, reason_of

R = TypeVar("R")

#: How often a step is made again because somebody else changed what it is about.
_ATTEMPTS = 20


class Steps:
    """Takes the steps of requests."""

    def __init__(
        self,
        control: AccessControl,
        directory: Directory,
        writer: Writer,
        known: Callable[[int, str, str], bool],
        now_us: Callable[[], int],
    ) -> None:
        """`known` is whether a log has a record of that kind and id."""
        self._control = control
        self._directory = directory
        self._writer = writer
        self._known = known
        self._now_us = now_us

    async def take(
        self, entrance: Entrance, request: Any, accesses: Sequence[Access], make: Callable[[Occasion], Step[R]]
    ) -> R:
        """Decide, make the step, append both; the result is that of the step, durable. No accesses need no decision.

        Raises:
            SubjectNotPermitted: the policy does not let this person do so; that is recorded.
            DiagnosticsError: the step was refused; that is recorded.
            RevisionMoved, LogUnavailable: see `Writer.append`.
        """
        guards, decision = await self._decide(entrance, request, accesses)
        for _ in range(_ATTEMPTS):
            on = await self.occasion(entrance, request)
            try:
                step = await asyncio.to_thread(make, on)
            except DiagnosticsError as refused:
                await self._refuse(on, request, guards, decision, accesses, refused)
                raise
            try:
                entries = (*decision, *step.entries)
                await self._writer.append(Unit(entrance.log, entries, guards, effect=step.apply))
            except EffectRefused:
                continue
            return step.result
        raise LogUnavailable("the record changes faster than steps can be made")

    async def tell(self, entrance: Entrance, request: Any, make: Callable[[Occasion], Step[R]]) -> R:
        """Append what came of a step that was permitted before; it is said whatever the policy says by now.

        Raises:
            LogUnavailable: see `Writer.append`.
        """
        for _ in range(_ATTEMPTS):
            later = entrance._replace(now_us=self._now_us())
            step = await asyncio.to_thread(make, await self.occasion(later, request))
            try:
                await self._writer.append(Unit(entrance.log, step.entries, effect=step.apply))
            except EffectRefused:
                continue
            return step.result
        raise LogUnavailable("the record changes faster than steps can be made")

    async def look(self, entrance: Entrance, request: Any, access: Access) -> Occasion:
        """Decide on a look at something, which changes nothing, and record that.

        Raises:
            SubjectNotPermitted, RevisionMoved, LogUnavailable: see `take`.
        """
        guards, decision = await self._decide(entrance, request, (access,))
        await self._writer.append(Unit(entrance.log, decision, guards))
        return await self.occasion(entrance, request)

    async def occasion(self, entrance: Entrance, request: Any) -> Occasion:
        """Who acts here, and in which circumstances."""
        call = call_of(entrance, request)
        people = await self._directory.meet(entrance.log, [call.subject, NOBODY], entrance.now_us)
        return Occasion(
            log=entrance.log,
            tenant=entrance.tenant,
            caller=entrance.caller,
            request_id=entrance.request_id,
            now_us=entrance.now_us,
            name=call.subject,
            actor=people[call.subject],
            keeper=people[NOBODY],
            purpose=call.context.purpose or "",
            case=call.context.case,
            zone=call.context.zone,
        )

    async def refuse_early(self, entrance: Entrance, request: Any, access: Access) -> None:
        """End what the policy does not permit before anybody is introduced for it; `take` decides the rest again.

        Raises:
            SubjectNotPermitted: the policy does not let this person do so; that is recorded.
        """
        await self._decide(entrance, request, (access,))

    async def people(self, log: int, names: Sequence[str], now_us: int) -> dict[str, str]:
        """The pseudonyms of persons, by name; those the log does not know yet are introduced to it."""
        return {name: one.sid for name, one in (await self._directory.meet(log, names, now_us)).items()}

    async def _decide(
        self, entrance: Entrance, request: Any, accesses: Sequence[Access]
    ) -> tuple[tuple[Guard, ...], tuple[bytes, ...]]:
        if not accesses:
            return (entrance.guard,), ()
        answers, entries = await self._control.prepare(call_of(entrance, request), accesses)
        guards = (Guard(entrance.log, answers.revision), entrance.guard)
        decision = tuple(data for data, _count in entries)
        if not all(one.allowed for one in answers.decisions):
            id = await self._writer.append(Unit(entrance.log, decision, guards))
            raise SubjectNotPermitted(id_text(id))
        return guards, decision

    async def _refuse(
        self,
        on: Occasion,
        request: Any,
        guards: tuple[Guard, ...],
        decision: tuple[bytes, ...],
        accesses: Sequence[Access],
        refused: DiagnosticsError,
    ) -> None:
        """That somebody tried stands in the log, with the permission it was tried under."""
        fields: dict[str, Any] = {"reason": reason_of(refused), "actions": [one.verb for one in accesses]}
        if refused.detail:
            fields["detail"] = refused.detail
        fields |= await asyncio.to_thread(self._about, on.log, request)
        await self._writer.append(Unit(on.log, (*decision, on.entry(DIAGNOSTICS_REFUSED, fields)), guards))

    def _about(self, log: int, request: Any) -> dict[str, str]:
        """The records that a request names, as far as there are such: nobody vouches for what else it says."""
        named = {kind: getattr(request, f"{kind}_id", "") for kind in (SESSION, NOTICE, ATTESTATION)}
        return {kind: id for kind, id in named.items() if id and self._known(log, kind, id)}


class PolicyRights:
    """What the policy in force says of a capture that runs. Nothing is recorded unless it ends the capture."""

    def __init__(self, policies: Policies, now_us: Callable[[], int]) -> None:
        self._policies = policies
        self._now_us = now_us

    async def may(self, log: int, session: str, standing: Standing, rights: Iterable[CaptureRight]) -> bool:
        """Whether the person has all these rights to this capture now. Nobody has any.

        Raises:
            LogUnavailable: the policy cannot be read.
        """
        if not standing.name:
            return False
        snapshot = await self._policies.refresh(log)
        purpose = Purpose(standing.purpose) if standing.purpose else None
        context = Context(self._now_us(), purpose, standing.case, standing.zone)
        item = Resource(ResourceType.CAPTURE, session)
        return all(snapshot.decide(standing.name, Verb(right), item, context).allowed for right in rights)


def of_tenant(tenant: str, verb: Verb) -> Access:
    """An access to the diagnostics of a tenant."""
    return Access(verb, Resource(ResourceType.DIAGNOSTICS, tenant))


def of_session(session: str, verb: Verb) -> Access:
    """An access to one capture."""
    return Access(verb, Resource(ResourceType.CAPTURE, session))

"""Taking a step: the policy decides, the step is made, and both are appended together with what the step changes."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from linewarden.audit.directory import NO_PEOPLE, NOBODY, Directory, People
from linewarden.audit.errors import EffectRefused, LogUnavailable, PersonsMet
from linewarden.audit.model import Guard, Unit, id_text
from linewarden.authz.model import Context, Purpose, Resource, ResourceType, Verb
from linewarden.authz.policies import Policies
from linewarden.authz.service import Access, AccessControl
from linewarden.diagnostics.capture_model import CaptureRight
from linewarden.diagnostics.change import Occasion, Step
from linewarden.diagnostics.errors import DiagnosticsError
from linewarden.diagnostics.kinds import ATTESTATION, DIAGNOSTICS_REFUSED, NOTICE, CAPTURE_RECORD
from linewarden.diagnostics.ports import Standing
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
        known: Callable[[int, str, str], bool],
        now_us: Callable[[], int],
    ) -> None:
        """`known` is whether a log has a record of that kind and id."""
        self._control = control
        self._directory = directory
        self._known = known
        self._now_us = now_us

    async def take(
        self,
        entrance: Entrance,
        request: Any,
        accesses: Sequence[Access],
        make: Callable[[Occasion], Step[R]],
        people: People = NO_PEOPLE,
    ) -> R:
        """Decide, make the step, append both; the result is that of the step, durable. No accesses need no decision.

        `people` are persons that the step names beside the one who acts.

        Raises:
            SubjectNotPermitted: the policy does not let this person do so; that is recorded.
            DiagnosticsError: the step was refused; that is recorded.
            RevisionMoved, LogUnavailable: see `Writer.append`.
        """
        guards, decision, people = await self._decide(entrance, request, accesses, people)
        for _ in range(_ATTEMPTS):
            on, people = await self._occasion(entrance, request, people)
            try:
                step = await asyncio.to_thread(make, on)
            except DiagnosticsError as refused:
                await self._refuse(on, request, guards, decision, accesses, refused, people)
                raise
            try:
                entries = (*decision, *step.entries)
                await self._directory.append(Unit(entrance.log, entries, guards, effect=step.apply), people)
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
            on, people = await self._occasion(later, request, NO_PEOPLE)
            step = await asyncio.to_thread(make, on)
            try:
                await self._directory.append(Unit(entrance.log, step.entries, effect=step.apply), people)
            except (EffectRefused, PersonsMet):
                continue
            return step.result
        raise LogUnavailable("the record changes faster than steps can be made")

    async def look(self, entrance: Entrance, request: Any, access: Access) -> Occasion:
        """Decide on a look at something, which changes nothing, and record that.

        Raises:
            SubjectNotPermitted, RevisionMoved, LogUnavailable: see `take`.
        """
        guards, decision, people = await self._decide(entrance, request, (access,), NO_PEOPLE)
        on, people = await self._occasion(entrance, request, people)
        await self._directory.append(Unit(entrance.log, decision, guards), people)
        return on

    async def _occasion(self, entrance: Entrance, request: Any, among: People) -> tuple[Occasion, People]:
        """Who acts here, and in which circumstances; and the persons met so far."""
        call = call_of(entrance, request)
        people = await self._directory.meet(entrance.log, [call.subject, NOBODY], entrance.now_us, among)
        on = Occasion(
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
        return on, people

    async def refuse_early(self, entrance: Entrance, request: Any, access: Access) -> None:
        """End what the policy does not permit before anybody is introduced for it; `take` decides the rest again.

        Raises:
            SubjectNotPermitted: the policy does not let this person do so; that is recorded.
        """
        await self._decide(entrance, request, (access,), NO_PEOPLE)

    async def people(self, log: int, names: Sequence[str], now_us: int) -> People:
        """The persons of these names; those that the log does not know are introduced by the step that takes them."""
        return await self._directory.meet(log, names, now_us)

    async def _decide(
        self, entrance: Entrance, request: Any, accesses: Sequence[Access], among: People
    ) -> tuple[tuple[Guard, ...], tuple[bytes, ...], People]:
        if not accesses:
            return (entrance.guard,), (), among
        prepared = await self._control.prepare(call_of(entrance, request), accesses, among)
        answers, people = prepared.answers, prepared.people
        guards = (Guard(entrance.log, answers.revision), entrance.guard)
        if not all(one.allowed for one in answers.decisions):
            id = await self._directory.append(Unit(entrance.log, prepared.record, guards), people)
            raise SubjectNotPermitted(id_text(id))
        return guards, prepared.record, people

    async def _refuse(
        self,
        on: Occasion,
        request: Any,
        guards: tuple[Guard, ...],
        decision: tuple[bytes, ...],
        accesses: Sequence[Access],
        refused: DiagnosticsError,
        people: People,
    ) -> None:
        """That somebody tried stands in the log, with the permission it was tried under."""
        fields: dict[str, Any] = {"reason": reason_of(refused), "actions": [one.verb for one in accesses]}
        if refused.detail:
            fields["detail"] = refused.detail
        fields |= await asyncio.to_thread(self._about, on.log, request)
        unit = Unit(on.log, (*decision, on.entry(DIAGNOSTICS_REFUSED, fields)), guards)
        await self._directory.append(unit, people)

    def _about(self, log: int, request: Any) -> dict[str, str]:
        """The records that a request names, as far as there are such: nobody vouches for what else it says."""
        named = {kind: getattr(request, f"{kind}_id", "") for kind in (CAPTURE_RECORD, NOTICE, ATTESTATION)}
        return {kind: id for kind, id in named.items() if id and self._known(log, kind, id)}


class PolicyRights:
    """What the policy in force says of a capture that runs. Nothing is recorded unless it ends the capture."""

    def __init__(self, policies: Policies, now_us: Callable[[], int]) -> None:
        self._policies = policies
        self._now_us = now_us

    async def may(self, log: int, capture: str, standing: Standing, rights: Iterable[CaptureRight]) -> bool:
        """Whether the person has all these rights to this capture now. Nobody has any.

        Raises:
            LogUnavailable: the policy cannot be read.
        """
        if not standing.name:
            return False
        snapshot = await self._policies.refresh(log)
        purpose = Purpose(standing.purpose) if standing.purpose else None
        context = Context(self._now_us(), purpose, standing.case, standing.zone)
        item = Resource(ResourceType.CAPTURE, capture)
        return all(snapshot.decide(standing.name, Verb(right), item, context).allowed for right in rights)


def of_tenant(tenant: str, verb: Verb) -> Access:
    """An access to the diagnostics of a tenant."""
    return Access(verb, Resource(ResourceType.DIAGNOSTICS, tenant))


def of_capture(capture: str, verb: Verb) -> Access:
    """An access to one capture."""
    return Access(verb, Resource(ResourceType.CAPTURE, capture))

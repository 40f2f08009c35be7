"""Recorded acts: a change that the policy permits, appended together with the decision that permits it.

A door translates a request into a `Call` and into a function that makes the change. Nothing here knows a protocol, so
every door decides, changes and records in the same way.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from linewarden.audit.directory import NO_PEOPLE, Directory, People
from linewarden.audit.errors import EffectRefused, PersonsMet
from linewarden.audit.model import Guard, Unit, id_text
from linewarden.audit.retry import repeat_while
from linewarden.authz.errors import SubjectNotPermitted
from linewarden.authz.service import Access, AccessControl, Answers, Call

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Draft(Generic[R]):
    """A change that is ready to be appended, and its result once it is durable.

    `people` are the persons that its entries name, `effect` is its part in the store, `guards` are further revisions
    that it was made under. `moves_revision` says that it is a change of the policy itself.
    """

    result: R
    entries: tuple[bytes, ...]
    people: People = NO_PEOPLE
    effect: Callable[[Any], None] | None = None
    guards: tuple[Guard, ...] = ()
    moves_revision: bool = False


class Refused(Exception):
    """A change was refused for the reason `error`. `entries` say so in the log, beside the decision."""

    def __init__(self, error: Exception, entries: tuple[bytes, ...], people: People) -> None:
        super().__init__("the change was refused")
        self.error = error
        self.entries = entries
        self.people = people


#: Makes a change; the persons are those whom the decision names. It may raise Refused.
Make = Callable[[People], Awaitable[Draft[R]]]


class Authority:
    """Decides on acts, makes them, and records both in one append."""

    def __init__(self, control: AccessControl, directory: Directory) -> None:
        self._control = control
        self._directory = directory

    async def authorize(self, call: Call, *accesses: Access) -> Answers:
        """Decide on acts that change nothing, such as a read; the record of the decision is the record of the act.

        Raises:
            SubjectNotPermitted: the policy does not let this person do so. The denial is recorded.
            RevisionMoved, LogUnavailable: see `AccessControl.check`.
        """
        answers = await self._control.check(call, accesses)
        if not all(one.allowed for one in answers.decisions):
            raise SubjectNotPermitted(answers.ids[0])
        return answers

    async def require(self, call: Call, *accesses: Access) -> None:
        """Refuse what the policy does not permit, before anything is made ready for it. `commit` decides again.

        Raises:
            SubjectNotPermitted: the policy does not let this person do so. The denial is recorded.
        """
        await self._decide(call, accesses, NO_PEOPLE)

    async def commit(self, call: Call, accesses: Sequence[Access], make: Make[R], people: People = NO_PEOPLE) -> R:
        """Decide, make the change, and append both. The result is durable. No accesses need no decision.

        `people` are persons that the change names beside the one who acts. The change is made again when the records
        that it was made from have changed meanwhile.

        Raises:
            SubjectNotPermitted: the policy does not let this person do so. The denial is recorded.
            RevisionMoved: policy or keys changed meanwhile; renew both and ask again. Nothing was recorded.
            LogUnavailable: the record could not be made durable in time.
            the error of Refused: the change was refused. That is recorded with the permission it was tried under.
        """
        guards, decision, met = await self._decide(call, accesses, people)

        async def attempt() -> R:
            try:
                draft = await make(met)
            except Refused as refused:
                await self._refuse(Unit(call.log, decision + refused.entries, guards), refused)
            unit = Unit(call.log, decision + draft.entries, guards + draft.guards, draft.effect, draft.moves_revision)
            await self._directory.append(unit, draft.people)
            return draft.result

        return await repeat_while(attempt, EffectRefused)

    async def report(self, log: int, make: Make[R]) -> R:
        """Append what came of an act that was permitted before. It is recorded whatever the policy says by now.

        Raises:
            LogUnavailable: the record could not be made durable in time.
        """

        async def attempt() -> R:
            draft = await make(NO_PEOPLE)
            await self._directory.append(Unit(log, draft.entries, effect=draft.effect), draft.people)
            return draft.result

        return await repeat_while(attempt, EffectRefused, PersonsMet)

    async def _decide(
        self, call: Call, accesses: Sequence[Access], people: People
    ) -> tuple[tuple[Guard, ...], tuple[bytes, ...], People]:
        if not accesses:
            return (call.caller_guard,), (), people
        prepared = await self._control.prepare(call, accesses, people)
        guards = (Guard(call.log, prepared.revision), call.caller_guard)
        if not all(one.allowed for one in prepared.decisions):
            id = await self._directory.append(Unit(call.log, prepared.record, guards), prepared.people)
            raise SubjectNotPermitted(id_text(id))
        return guards, prepared.record, prepared.people

    async def _refuse(self, unit: Unit, refused: Refused) -> NoReturn:
        if unit.entries:
            await self._directory.append(unit, refused.people)
        raise refused.error from None

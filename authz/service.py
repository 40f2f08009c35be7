"""Deciding and recording accesses in one step. No decision is returned before it is in the log."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from linewarden.audit.directory import NO_PEOPLE, TENANT_KEY_HOLDER, Directory, People
from linewarden.audit.entry import DECISION, AccessHeader, AccessItem, Requester, encode_decisions
from linewarden.audit.errors import PersonsMet
from linewarden.audit.keyring import Person
from linewarden.audit.model import Guard, Unit, id_text
from linewarden.audit.retry import repeat_while
from linewarden.authz.model import (
    Context,
    Decision,
    Effect,
    Explanation,
    Obligation,
    Participant,
    Reason,
    Resource,
    Verb,
)
from linewarden.authz.policies import Policies
from linewarden.authz.renderings import MemoizedRendering
from linewarden.authz.snapshot import Long, Snapshot


class Call(NamedTuple):
    """The caller, the person and the tenant of a request.

    `subject` is the person's name in the policy. `caller_guard` is the revision of the keys under which the caller was
    authenticated. `kind` and `extra` are for records with more than the decision, such as a read of the log.
    """

    log: int
    caller: str
    caller_guard: Guard
    request_id: str
    subject: str
    context: Context
    kind: str = DECISION
    extra: Mapping[str, Any] = MappingProxyType({})


class Access(NamedTuple):
    """One requested access. `foreign` marks an item of another tenant.

    `requester` is the person, by the name of the policy, and the circumstances of this access. None means those of the
    call. `request_id` is the id that the caller chose for this access alone; an empty one means that of the call.
    `call_id` joins the items of one phone call.
    """

    verb: Verb
    resource: Resource
    foreign: bool = False
    requester: tuple[str, Context] | None = None
    request_id: str = ""
    call_id: str = ""


class Answers(NamedTuple):
    """The decisions of one call in order, each with its id in the log, and the policy under which they were made."""

    decisions: tuple[Decision, ...]
    ids: tuple[str, ...]
    revision: int
    policy_hash: bytes


class Prepared(NamedTuple):
    """Decisions and the policy under which they were made; their entries, each with the number of its items; persons.

    The persons are those that the entries name.
    `Directory.append` appends the entries, with these persons.
    """

    decisions: tuple[Decision, ...]
    revision: int
    policy_hash: bytes
    entries: list[tuple[bytes, int]]
    people: People

    @property
    def record(self) -> tuple[bytes, ...]:
        """The bytes of the entries."""
        return tuple([data for data, _ in self.entries])


_FOREIGN = Decision(Explanation(Effect.DENY, Reason.RESOURCE_OF_OTHER_TENANT))


#: How long one call decides before it lets others have a turn, seconds.
_TURN_S = 0.005


class AccessControl:
    """The service that decides accesses and records the decisions."""

    def __init__(self, policies: Policies, directory: Directory) -> None:
        self._policies = policies
        self._directory = directory

    async def check(self, call: Call, accesses: Sequence[Access]) -> Answers:
        """Decide the accesses under one policy. The record is durable when this returns.

        Raises:
            RevisionMoved: policy or keys changed meanwhile. Nothing was recorded; refresh both and call again.
            LogUnavailable: the record could not be made durable in time.
        """
        # A unit of another request introduces the same persons first, at times: then they are known.
        return await repeat_while(lambda: self._check(call, accesses), PersonsMet)

    async def _check(self, call: Call, accesses: Sequence[Access]) -> Answers:
        prepared = await self.prepare(call, accesses)
        decisions, revision, policy_hash, entries, people = prepared
        unit = Unit(call.log, prepared.record, (Guard(call.log, revision), call.caller_guard))
        first = await self._directory.append(unit, people)
        return Answers(decisions, _ids(first, entries), revision, policy_hash)

    async def prepare(self, call: Call, accesses: Sequence[Access], among: People = NO_PEOPLE) -> Prepared:
        """Decide the accesses and encode their record, for callers that append it together with other entries.

        `among` are the persons that the same append names already.

        Raises:
            PersonsTooMany, PersonsTooFast: see `Directory.meet`.
            LogUnavailable: a person or the policy could not be read.
        """
        snapshot = self._policies.cached(call.log) or await self._policies.load(call.log)
        accesses = resolved(snapshot, accesses)
        people = self._known(call, accesses) if among is NO_PEOPLE else None
        if people is None:
            people = await self._directory.meet(call.log, _names(call, accesses), call.context.now_us, among)
        persons = people.persons
        decisions = await _decide_all(snapshot, call, accesses)
        entries = _entries(call, accesses, decisions, persons, snapshot.revision)
        return Prepared(decisions, snapshot.revision, snapshot.hash, entries, people)

    def _known(self, call: Call, accesses: Sequence[Access]) -> People | None:
        known = self._directory.known
        persons: dict[str, Person] = {}
        for name in _names(call, accesses):
            if name not in persons:
                person = known(call.log, name)
                if person is None:
                    return None
                persons[name] = person
        return People(persons)


def _names(call: Call, accesses: Sequence[Access]) -> list[str]:
    # The person of the call is not met, and so not recorded, if no access is of that person.
    names = [call.subject] if any(access.requester is None for access in accesses) else []
    for access in accesses:
        if access.requester is not None:
            names.append(access.requester[0])
        resource = access.resource
        names.append(resource.owner or TENANT_KEY_HOLDER)
        if resource.parties:
            names.extend(resource.parties)
        if resource.participants:
            names.extend(_persons(resource.participants))
        if access.call_id:
            names.append(TENANT_KEY_HOLDER)
    return names


def _persons(participants: Sequence[Participant]) -> list[str]:
    """Return the persons of all participants, each once, in their order."""
    return list(dict.fromkeys(person for one in participants for person in one.persons))


def resolved(snapshot: Snapshot, accesses: Sequence[Access]) -> Sequence[Access]:
    """Return the accesses with the persons who held the addresses of participants when the item was created."""
    if not any(one.address for access in accesses for one in access.resource.participants):
        return accesses
    return [access._replace(resource=_resolved(snapshot, access.resource)) for access in accesses]


def _resolved(snapshot: Snapshot, resource: Resource) -> Resource:
    holders = snapshot.in_force.holders
    found = tuple([
        one._replace(persons=holders(one.address, resource.created_us)) if one.address else one
        for one in resource.participants
    ])  # fmt: skip
    return resource._replace(participants=found)


async def _decide_all(snapshot: Snapshot, call: Call, accesses: Sequence[Access]) -> tuple[Decision, ...]:
    """Return all decisions of a call under one snapshot. Yields to other tasks when it takes long."""
    decisions: list[Decision] = []
    turn = time.monotonic()
    for access in accesses:
        decision = _ask(snapshot, call, access)
        if not isinstance(decision, Decision):
            decision = await _in_turns(decision)
        decisions.append(decision)
        if time.monotonic() - turn > _TURN_S:
            await asyncio.sleep(0)
            turn = time.monotonic()
    return tuple(decisions)


async def _in_turns(work: Long) -> Decision:
    """Run a long decision to its end. Yields to other tasks between its steps."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            decision: Decision = end.value
            return decision
        await asyncio.sleep(0)


def _ask(snapshot: Snapshot, call: Call, access: Access) -> Decision | Long:
    if access.foreign:
        return _FOREIGN
    subject, context = _requester(call, access)
    return snapshot.ask(subject, access.verb, access.resource, context)


def _requester(call: Call, access: Access) -> tuple[str, Context]:
    """Return the person and the circumstances of an access."""
    return access.requester or (call.subject, call.context)


def _entries(
    call: Call,
    accesses: Sequence[Access],
    decisions: Sequence[Decision],
    persons: Mapping[str, Person],
    revision: int,
) -> list[tuple[bytes, int]]:
    """Return the entries of a call. Their header states the requester of the first access."""
    items = [_item(access, one, persons) for access, one in zip(accesses, decisions, strict=True)]
    if any(access.requester is not None for access in accesses):
        first = subject, context = _requester(call, accesses[0])
        pairs = zip(items, accesses, strict=True)
        items = [_of_requester(item, _requester(call, access), first, persons) for item, access in pairs]
        call = call._replace(subject=subject, context=context)
    return encode_decisions(_header(call, persons[call.subject], revision), items)


def _of_requester(
    item: AccessItem, requester: tuple[str, Context], first: tuple[str, Context], persons: Mapping[str, Person]
) -> AccessItem:
    """Return an item with its requester, unless that is the first one, which the header states."""
    if requester == first:
        return item
    subject, context = requester
    stated = Requester(persons[subject], context.purpose, context.case, context.zone, context.consent)
    return item._replace(requester=stated)


def _header(call: Call, actor: Person, revision: int) -> AccessHeader:
    now_us, purpose, case, zone, consent = call.context
    return AccessHeader(
        now_us, call.request_id, call.caller, actor, revision, call.kind, purpose, case, zone, consent, call.extra
    )


def _item(access: Access, decision: Decision, persons: Mapping[str, Person]) -> AccessItem:
    resource = access.resource
    attributes: dict[str, Any] = {}
    if resource.queue:
        attributes["queue"] = resource.queue
    if resource.created_us is not None:
        attributes["created"] = resource.created_us
    if resource.labels:
        attributes["labels"] = dict(resource.labels)
    if resource.duration_us is not None:
        attributes["duration"] = resource.duration_us
    if resource.parties or resource.participants:
        concerned = dict.fromkeys((*resource.parties, *_persons(resource.participants)))
        attributes["parties"] = [persons[name].sid for name in concerned]
    if resource.participants:
        attributes["participants"] = [_participant(one, persons) for one in resource.participants]
    if access.call_id:
        attributes["call"] = persons[TENANT_KEY_HOLDER].reference("call", access.call_id)
    if access.foreign:
        attributes["foreign"] = True
    outcome = _recorded(decision.explanation)
    if decision.parts:
        outcome = {**outcome, "parts": [list(part) for part in decision.parts]}
    keeper = persons[resource.owner or TENANT_KEY_HOLDER]
    return AccessItem(
        access.verb, resource.type, resource.id, keeper, bool(resource.owner), outcome, attributes, access.request_id,
        addresses=_addresses(resource.participants, keeper, persons) if resource.participants else (),
    )  # fmt: skip


def _addresses(
    participants: Sequence[Participant], keeper: Person, persons: Mapping[str, Person]
) -> tuple[tuple[int, Person, str], ...]:
    """Return the addresses of participants, each with the only person who held it, or else with the item's keeper.

    Under that person's key an address becomes unreadable with the person's erasure.
    """
    return tuple(
        (number, persons[one.persons[0]] if len(one.persons) == 1 else keeper, one.address)
        for number, one in enumerate(participants)
        if one.address
    )


def _participant(one: Participant, persons: Mapping[str, Person]) -> dict[str, Any]:
    """Return a participant as it stands in an entry. Its address is sealed beside it."""
    record: dict[str, Any] = {"role": one.role, "persons": [persons[name].sid for name in one.persons]}
    if one.from_us is not None:
        record["from"] = one.from_us
    if one.until_us is not None:
        record["until"] = one.until_us
    return record


def _record(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as it stands in an entry."""
    record: dict[str, Any] = {"effect": explanation.effect, "reason": explanation.reason}
    if explanation.matched:
        record["rules"] = [{"effect": m.effect, "id": m.rule_id, "roles": m.roles} for m in explanation.matched]
    if explanation.failed:
        record["failed"] = [[one.rule_id, one.condition, one.error] for one in explanation.failed]
    if explanation.more_matched:
        record["more_rules"] = explanation.more_matched
    if explanation.more_failed:
        record["more_failed"] = explanation.more_failed
    if explanation.obligations:
        record["obligations"] = explanation.obligations
    return record


_recorded = MemoizedRendering(_record)


def _ids(first: int, entries: Sequence[tuple[bytes, int]]) -> tuple[str, ...]:
    if len(entries) == 1 and entries[0][1] == 1:
        return (id_text(first),)
    return tuple(f"{id_text(id)}.{item}" for id, (_, count) in enumerate(entries, first) for item in range(count))


def masks_numbers(decision: Decision) -> bool:
    """Return whether the permission requires that names and numbers are masked."""
    return Obligation.MASK_NUMBERS in decision.obligations

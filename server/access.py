"""AccessService: translation between the messages of the contract and accesses."""

import asyncio
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.audit.errors import EntryTooLarge, PersonsTooMany
from linewarden.audit.model import MAX_ENTRY_BYTES
from linewarden.authz.addresses import canonical_address, check_region
from linewarden.authz.errors import AddressInvalid
from linewarden.authz.model import VERBS_OF, Decision, Explanation, Part, Participant, Resource
from linewarden.authz.renderings import MemoizedRendering
from linewarden.authz.service import Access, AccessControl, Answers
from linewarden.server.admission import AdmittedRequest
from linewarden.server.capacity import ITEMS_OF_A_PLACE
from linewarden.server.errors import InvalidRequest, VerbNotApplicable, Violation
from linewarden.server.grpc_status import refusal
from linewarden.server.messages import context_of, microseconds, policy_version, subject_name, timestamp
from linewarden.server.names import EFFECT_NUMBERS, OBLIGATION_NUMBERS, REASON_NUMBERS, ROLES, TYPES, VERBS
from linewarden.v1 import access_pb2 as pb
from linewarden.v1 import core_pb2

#: Parties and participants of all items of a batch. They are decided without a pause.
MOST_PERSONS = 8_000


class AccessServicer:
    """Serves Check, CheckBatch and CheckStream.

    An answer is for one access and expires after `decision_ttl_us`. `region` is the country of national telephone
    numbers (see `canonical_address`).

    Raises:
        AddressInvalid: the region is unknown.
    """

    def __init__(self, control: AccessControl, decision_ttl_us: int, region: str = "") -> None:
        if region:
            check_region(region)
        self._control = control
        self._region = region
        self._ttl_us = decision_ttl_us

    async def check(self, admitted: AdmittedRequest, request: pb.CheckRequest) -> pb.CheckResponse:
        """Decide one access."""
        access = _access(admitted.tenant, request.verb, request.resource, self._region)
        answers = await self._answers(admitted, (access,))
        response = pb.CheckResponse(
            policy=policy_version(answers.revision, answers.policy_hash),
            expires_at=self._expiry(admitted, answers.decisions),
        )
        _write(response.decision, answers.decisions[0])
        response.decision.id = answers.ids[0]
        return response

    async def check_batch(self, admitted: AdmittedRequest, request: pb.CheckBatchRequest) -> pb.CheckBatchResponse:
        """Decide several accesses, of one person or of several."""
        accesses = await _accesses(admitted, request.items, self._region)
        try:
            answers = await self._answers(admitted, accesses)
        except PersonsTooMany as many:
            text = f"name more than {many.limit} persons that are new to the log: split the batch"
            raise InvalidRequest((Violation("items", "items.new_persons", text),)) from many
        response = pb.CheckBatchResponse(
            policy=policy_version(answers.revision, answers.policy_hash),
            expires_at=self._expiry(admitted, answers.decisions),
            own_requesters=sum(access.requester is not None for access in accesses),
        )
        add = response.decisions.add
        # Most items share an explanation and the person, so that only the first of them is written in full.
        written: dict[tuple[int, str, tuple[Part, ...]], pb.Decision] = {}
        for decision, decision_id in zip(answers.decisions, answers.ids, strict=True):
            key = id(decision.explanation), decision.subject, decision.parts
            message = add()
            if key in written:
                message.CopyFrom(written[key])
            else:
                written[key] = message
                _write(message, decision)
            message.id = decision_id
        return response

    @staticmethod
    def check_batch_weight(request: pb.CheckBatchRequest) -> int:
        """Return the weight of a batch, in places."""
        return 1 + len(request.items) // ITEMS_OF_A_PLACE

    async def check_stream(self, admitted: AdmittedRequest, request: pb.CheckRequest) -> pb.CheckStreamResponse:
        """Decide one access of a stream."""
        return pb.CheckStreamResponse(check=await self.check(admitted, request))

    @staticmethod
    def check_stream_refusal(error: Exception) -> pb.CheckStreamResponse:
        """Return the answer to a refused request of a stream. The stream continues."""
        return pb.CheckStreamResponse(refusal=refusal(error))

    async def _answers(self, admitted: AdmittedRequest, accesses: Sequence[Access]) -> Answers:
        """Decide and record.

        Raises:
            InvalidRequest: an item has so many participants that it does not fit into an entry.
        """
        try:
            return await self._control.check(admitted.call, accesses)
        except EntryTooLarge:
            text = f"an item has more participants and holders of addresses than fit into {MAX_ENTRY_BYTES >> 10} KiB"
            raise InvalidRequest((Violation("resource.participants", "participants.too_large", text),)) from None

    def _expiry(self, admitted: AdmittedRequest, decisions: Sequence[Decision]) -> Timestamp:
        """Return when an answer expires, never later than the key, role or rule that it is based on."""
        expires_us = admitted.now_us + self._ttl_us
        key_expires_us = admitted.key.expires_us
        if key_expires_us is not None and key_expires_us < expires_us:
            expires_us = key_expires_us
        for one in decisions:
            if one.expires_us is not None and one.expires_us < expires_us:
                expires_us = one.expires_us
        return timestamp(expires_us)


async def _accesses(admitted: AdmittedRequest, items: Sequence[pb.CheckItem], region: str) -> list[Access]:
    """Return the accesses of a batch. Let other tasks run after each ITEMS_OF_A_PLACE of them.

    Raises:
        InvalidRequest: an item is invalid, or they have too many persons together. All invalid items are named.
        VerbNotApplicable: verbs do not fit the types of their resources. All such items are named.
    """
    accesses: list[Access] = []
    violations: list[Violation] = []
    misfits: list[str] = []
    for number, item in enumerate(items):
        try:
            accesses.append(_item_access(admitted, item, f"items[{number}]", region))
        except InvalidRequest as invalid:
            violations += invalid.violations
        except VerbNotApplicable:
            misfits.append(f"items[{number}].verb")
        if number % ITEMS_OF_A_PLACE == ITEMS_OF_A_PLACE - 1:
            await asyncio.sleep(0)
    if sum(len(one.resource.parties) + len(one.resource.participants) for one in accesses) > MOST_PERSONS:
        text = f"have more than {MOST_PERSONS:,} parties and participants together: split the batch"
        violations.append(Violation("items", "items.persons", text))
    if violations:
        raise InvalidRequest(tuple(violations))
    if misfits:
        raise VerbNotApplicable(tuple(misfits))
    return accesses


def _item_access(admitted: AdmittedRequest, item: pb.CheckItem, path: str, region: str) -> Access:
    """Return the access of an item, with the person and the circumstances that it states in place of the header's."""
    access = _access(admitted.tenant, item.verb, item.resource, region, f"{path}.resource")
    named = item.HasField("subject")
    if not (named or item.request_id or item.HasField("context")):
        return access
    call, requester = admitted.call, None
    if named or item.HasField("context"):
        subject = subject_name(admitted.tenant, item.subject, f"{path}.subject") if named else call.subject
        requester = (subject, context_of(item, admitted.now_us))
    return access._replace(request_id=item.request_id, requester=requester)


def _access(tenant: str, verb_number: int, message: core_pb2.Resource, region: str, path: str = "resource") -> Access:
    type, verb = TYPES[message.type], VERBS[verb_number]
    if verb not in VERBS_OF[type]:
        raise VerbNotApplicable
    created_us = None
    if message.HasField("created_at"):
        created_us = microseconds(message.created_at)
    labels, parties, home = message.labels, message.parties, message.tenant
    resource = Resource(
        type, message.id, message.owner, message.queue, created_us, dict(labels) if labels else {},
        _participants(message, region, path) if message.participants else (),
        tuple(parties) if parties else (),
        message.duration_s * 1_000_000 if message.HasField("duration_s") else None,
    )  # fmt: skip
    return Access(verb, resource, bool(home) and home != tenant, call_id=message.call_id)


def _participants(message: core_pb2.Resource, region: str, place: str) -> tuple[Participant, ...]:
    """Return the participants of an item at this place of the request.

    Raises:
        InvalidRequest: a participant is not exactly one of person and address, leaves before it joins, or has an
            invalid address; or an address is stated without the time of the item.
    """
    found: list[Participant] = []
    violations: list[Violation] = []
    for number, one in enumerate(message.participants):
        path = f"{place}.participants[{number}]"
        if bool(one.person) is bool(one.address):
            violations.append(Violation(path, "participant.who", "must state either a person or an address"))
        start, end = (microseconds(getattr(one, end)) if one.HasField(end) else None for end in ("from", "until"))
        if start is not None and end is not None and end < start:
            violations.append(Violation(f"{path}.until", "participant.until", "must not be before from"))
        try:
            address = one.address and canonical_address(one.address, region)
        except AddressInvalid as invalid:
            address = ""
            violations.append(Violation(f"{path}.address", "participant.address", str(invalid)))
        found.append(Participant(ROLES[one.role], (one.person,) if one.person else (), address, start, end))
    if not message.HasField("created_at") and any(one.address for one in found):
        # Without the time no holder is known, and a rule that denies because of a person would not see that person.
        text = "must be stated, because the holder of an address depends on it"
        violations.append(Violation(f"{place}.created_at", "participant.time", text))
    if violations:
        raise InvalidRequest(tuple(violations))
    return tuple(found)


def _write(message: pb.Decision, decision: Decision) -> None:
    """Write a decision, without its id, into an empty message."""
    message.CopyFrom(_messages(decision.explanation))
    for rule in message.matched_rules:
        rule.role_path.insert(0, decision.subject)
    for part in decision.parts:
        stretch = message.parts.add()
        if part.from_us is not None:
            getattr(stretch, "from").CopyFrom(timestamp(part.from_us))
        if part.until_us is not None:
            stretch.until.CopyFrom(timestamp(part.until_us))


def _message(finding: Explanation) -> pb.Decision:
    """Return an explanation as a message. The id of a decision, and the person in the paths of roles, are left out."""
    message = pb.Decision(effect=EFFECT_NUMBERS[finding.effect], reason=REASON_NUMBERS[finding.reason])
    for match in finding.matched:
        message.matched_rules.add(rule_id=match.rule_id, effect=EFFECT_NUMBERS[match.effect], role_path=match.roles)
    for failed in finding.failed:
        message.failed_conditions.add(rule_id=failed.rule_id, condition=failed.condition, error=failed.error)
    message.more_matched_rules = finding.more_matched
    message.more_failed_conditions = finding.more_failed
    message.obligations.extend(OBLIGATION_NUMBERS[one] for one in finding.obligations)
    return message


_messages = MemoizedRendering(_message)

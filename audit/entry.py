"""The format of an entry: one JSON object with sorted keys, hashed as it is stored.

Every entry has `v` (1), `kind` and `time` (microseconds since 1970, UTC). It has no personal value in clear: persons
are pseudonyms, and values are sealed in `enc` under the key of the person they belong to (see `keyring`). A kind is
`noun.participle`, except for `decision`. The kinds:

    decision            one access, or several in `items`, with all values needed to decide each again
    person.introduced   a pseudonym and its sealed name
    person.erased       a pseudonym whose row was deleted
    policy.changed      statements added to and removed from the policy; the revision it makes
    audit.read          a decision about reading the log, with the query
    audit.exported      a decision about exporting the log
    policy.read         a decision about reading the policy
    request.refused     a request that could not be decided, with the reason and the paths of invalid fields
    log.heartbeat       the log did not grow since the entry before
    log.recovered       an operator accepted an older state of the log; the first entry under a new origin
    clock.stepped       the wall clock was set: the expected time, and the time that it showed
    clock.corrected     an operator set the time of the logs back to that of the wall clock
    server.started, server.stopped, key.created, key.revoked, tenant.created, credentials.refused, worker.attended,
    worker.left, worker.enrolled
                        in the system log

Other packages have kinds of their own: those of diagnostics are listed in `diagnostics.kinds`. Every entry with `items`
is a decision.
"""

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from linewarden.audit.errors import EntryTooLarge, VerificationFailed
from linewarden.audit.keyring import Person, Sealed
from linewarden.audit.model import MAX_ENTRY_BYTES

VERSION = 1

DECISION = "decision"
PERSON_INTRODUCED = "person.introduced"
PERSON_ERASED = "person.erased"
POLICY_CHANGED = "policy.changed"
POLICY_READ = "policy.read"
AUDIT_READ = "audit.read"
AUDIT_EXPORTED = "audit.exported"
REQUEST_REFUSED = "request.refused"
HEARTBEAT = "log.heartbeat"
LOG_RECOVERED = "log.recovered"
CLOCK_STEPPED = "clock.stepped"
CLOCK_CORRECTED = "clock.corrected"
SERVER_STARTED = "server.started"
SERVER_STOPPED = "server.stopped"
KEY_CREATED = "key.created"
KEY_REVOKED = "key.revoked"
TENANT_CREATED = "tenant.created"
CREDENTIALS_REFUSED = "credentials.refused"
WORKER_ATTENDED = "worker.attended"
WORKER_LEFT = "worker.left"
WORKER_ENROLLED = "worker.enrolled"

#: All kinds of this package. A query for another kind is refused, because its empty answer would look like a finding.
KINDS = frozenset((
    DECISION, PERSON_INTRODUCED, PERSON_ERASED, POLICY_CHANGED, POLICY_READ, AUDIT_READ, AUDIT_EXPORTED,
    REQUEST_REFUSED, HEARTBEAT, LOG_RECOVERED, CLOCK_STEPPED, CLOCK_CORRECTED, SERVER_STARTED, SERVER_STOPPED,
    KEY_CREATED, KEY_REVOKED, TENANT_CREATED, CREDENTIALS_REFUSED, WORKER_ATTENDED, WORKER_LEFT, WORKER_ENROLLED,
))  # fmt: skip

_SEALING_RANDOMNESS = 28
_TIME_KEY = b'"time":'

#: Persons with names of the greatest length, sealed, that fit into an entry.
_PERSONS_PER_INTRODUCTION = 24


class AccessItem(NamedTuple):
    """One decided access of an entry.

    `outcome` is the decision and its explanation; `resource` are the evaluated attributes without owner and id. The
    `keeper` is the owner, or the tenant if there is no owner. The id is sealed under the keeper's key. `addresses` are
    those of participants: the number of the participant, the person under whose key the address is sealed, and the
    address. `request_id` and `requester` are those of this item alone. An empty one and None mean those of the header.
    """

    action: str
    type: str
    id: str
    keeper: Person
    owned: bool
    outcome: Mapping[str, Any]
    resource: dict[str, Any]
    request_id: str = ""
    requester: "Requester | None" = None
    addresses: tuple[tuple[int, Person, str], ...] = ()


class Requester(NamedTuple):
    """The person on whose behalf an item was asked for, and the circumstances."""

    actor: Person
    purpose: str | None = None
    case: str = ""
    zone: str = ""
    consent: str | None = None


class AccessHeader(NamedTuple):
    """The values of one request. Actor, purpose, case, zone and consent are those of items without a requester."""

    time_us: int
    request_id: str
    caller: str
    actor: Person
    policy_revision: int
    kind: str = DECISION
    purpose: str | None = None
    case: str = ""
    zone: str = ""
    consent: str | None = None
    extra: Mapping[str, Any] = MappingProxyType({})


def encode(kind: str, time_us: int, fields: Mapping[str, Any], sealed: Sequence[Sealed] = ()) -> bytes:
    """Return the bytes of an entry.

    Raises:
        EntryTooLarge: the entry has MAX_ENTRY_BYTES or more.
    """
    entry: dict[str, Any] = {"v": VERSION, "kind": kind, "time": time_us, **fields}
    if sealed:
        entry["enc"] = [one.as_json() for one in sealed]
    data = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)
    if len(data) >= MAX_ENTRY_BYTES:
        raise EntryTooLarge(f"an entry has {len(data)} bytes, and must have less than {MAX_ENTRY_BYTES}")
    return data


def encode_introduction(time_us: int, sealed: Sequence[Sealed]) -> tuple[bytes, ...]:
    """Return the entries that introduce persons."""
    step = _PERSONS_PER_INTRODUCTION
    groups = (sealed[start : start + step] for start in range(0, len(sealed), step))
    return tuple(encode(PERSON_INTRODUCED, time_us, {}, group) for group in groups)


def encode_decisions(header: AccessHeader, items: Sequence[AccessItem]) -> list[tuple[bytes, int]]:
    """Return the entries of one request, each with its number of items. Several entries if one would be too large.

    Raises:
        EntryTooLarge: a single item is too large for an entry.
    """
    try:
        return [(_encode_decision(header, items), len(items))]
    except EntryTooLarge:
        if len(items) == 1:
            raise
    middle = len(items) // 2
    return encode_decisions(header, items[:middle]) + encode_decisions(*_rebased(header, items[middle:]))


def requester_of(entry: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """Return the part of an entry with actor, purpose, zone and consent of an item: the item itself, or the entry."""
    items = entry.get("items")
    return items[number] if items and "actor" in items[number] else entry


def request_id_of(entry: Mapping[str, Any], number: int) -> str:
    """Return the request id of an item: its own, or that of the entry."""
    items = entry.get("items")
    own = items[number].get("request_id") if items else None
    return str(own or entry.get("request_id", ""))


def time_of(data: bytes) -> int:
    """Return the time in an entry, microseconds; 0 if it has none.

    The entry is not parsed: keys are sorted, and no key after `time` has an object with a time in it. A quote inside a
    value is escaped, so no value contains the pattern.
    """
    at = data.rfind(_TIME_KEY)
    if at < 0:
        return 0
    start = at + len(_TIME_KEY)
    try:
        return int(data[start : data.index(b",", start)])
    except ValueError:
        return 0


def decode(data: bytes) -> dict[str, Any]:
    """Return the JSON object of an entry.

    Raises:
        VerificationFailed: the bytes are not a JSON object with kind and time, so they are not what was appended.
    """
    try:
        entry = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise VerificationFailed("an entry is not JSON") from error
    if not isinstance(entry, dict) or not {"kind", "time"} <= entry.keys():
        raise VerificationFailed("an entry has no kind or no time")
    return entry


def _rebased(header: AccessHeader, items: Sequence[AccessItem]) -> tuple[AccessHeader, Sequence[AccessItem]]:
    """Return the same request with the requester of the first item in the header.

    So an entry states no person as its actor who is the actor of none of its items.
    """
    first = items[0].requester
    if first is None:
        return header, items
    former = Requester(header.actor, header.purpose, header.case, header.zone, header.consent)
    requesters = (item.requester or former for item in items)
    rebased = [
        item._replace(requester=None if one == first else one) for item, one in zip(items, requesters, strict=True)
    ]
    return header._replace(**first._asdict()), rebased


def _encode_decision(header: AccessHeader, items: Sequence[AccessItem]) -> bytes:
    time_us, request_id, caller, actor, revision, kind, purpose, case, zone, consent, extra = header
    secrets: dict[Person, dict[str, str]] = {actor: {"case": case}} if case else {}
    fields: dict[str, Any] = {
        "actor": {"sid": actor.sid},
        "caller": caller,
        "items": [_record(number, item, secrets) for number, item in enumerate(items)],
        "policy": revision,
        "request_id": request_id,
        **extra,
    }
    fields.update(_circumstances(purpose, zone, consent))
    randomness = os.urandom(_SEALING_RANDOMNESS * len(secrets))
    sealed = [
        person.seal(values, randomness[n * _SEALING_RANDOMNESS : (n + 1) * _SEALING_RANDOMNESS])
        for n, (person, values) in enumerate(secrets.items())
    ]
    return encode(kind, time_us, fields, sealed)


def _record(number: int, item: AccessItem, secrets: dict[Person, dict[str, str]]) -> dict[str, Any]:
    """Return the record of one access, and add the item's id to the values that are sealed for its keeper."""
    action, type, id, keeper, owned, outcome, attributes, request_id, requester, addresses = item
    values = secrets.get(keeper)
    if values is None:
        values = secrets[keeper] = {}
    values[f"items.{number}.id"] = id
    for participant, holder, address in addresses:
        secrets.setdefault(holder, {})[f"items.{number}.participants.{participant}.address"] = address
    sid = keeper.sid
    resource = {**attributes, "type": type, "ref": keeper.reference(type, id), "keeper": sid}
    if owned:
        resource["owner"] = sid
    record = {**outcome, "action": action, "resource": resource}
    if request_id:
        record["request_id"] = request_id
    if requester is not None:
        actor, purpose, case, zone, consent = requester
        record |= {"actor": {"sid": actor.sid}, **_circumstances(purpose, zone, consent)}
        if case:
            secrets.setdefault(actor, {})[f"items.{number}.case"] = case
    return record


def _circumstances(purpose: str | None, zone: str, consent: str | None) -> dict[str, Any]:
    """Return what is recorded of the circumstances in clear, without values that were not stated."""
    return {name: value for name, value in (("purpose", purpose), ("zone", zone), ("consent", consent)) if value}

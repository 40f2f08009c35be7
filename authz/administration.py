"""Changes of a policy: the statements added and removed, the entries that record them, and the effect on the store.

All three are one transaction. The entries carry the statements, so that the policy in force at any entry can be rebuilt
from the log alone. Persons appear as `sid:…`. The id of a single item is sealed under the tenant's own key, and the
address of an assignment under the key of the person who held it.
"""

import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from linewarden.audit.directory import MAX_NEW_AT_ONCE, NO_PEOPLE, TENANT_KEY_HOLDER, Directory, People
from linewarden.audit.entry import POLICY_CHANGED, encode
from linewarden.audit.errors import PersonsTooMany
from linewarden.audit.keyring import Person
from linewarden.audit.merkle import leaf_hash
from linewarden.audit.pace import paced
from linewarden.authz.errors import LineError, PolicyInvalid
from linewarden.authz.pseudonyms import keeper_of, persons_of, pseudonymous
from linewarden.authz.rules import Statement
from linewarden.authz.store.policy import StoredStatement, apply_change

#: Text of statements in one entry, bytes; sealed ids and the frame come on top of it.
_PART_BYTES = 12 * 1024

#: What one more person, for whom values are sealed, adds to an entry, bytes.
_SEALED_BYTES = 250

#: Values to be sealed, by the person under whose key.
_Sealed = dict[Person, dict[str, str]]

#: Persons that one change may introduce: as many as a tenant may introduce at once.
MAX_NEW_PERSONS = MAX_NEW_AT_ONCE


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between the policy at `revision` and the next one. `removed` are statements of the store."""

    revision: int
    hash: bytes
    added: tuple[Statement, ...]
    removed: tuple[StoredStatement, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A change that is ready to be appended: its entries, its new revision and hash, and its effect on the store.

    `Directory.append` appends it, with the persons that it names.
    """

    people: People
    entries: tuple[bytes, ...]
    revision: int
    hash: bytes
    log: int
    change: Change

    def apply(self, connection: Any) -> None:
        """Store the change. Runs inside the transaction of the append."""
        added = (statement.text for statement in self.change.added)
        apply_change(connection, self.log, self.revision, self.hash, added, self.change.removed)


def replacement(revision: int, hash: bytes, stored: Sequence[StoredStatement], target: Sequence[Statement]) -> Change:
    """Return the change that makes `target` the whole policy. For acts of the operator; a server uses `planning`."""
    texts = {statement.text for statement in target}
    known = {statement.text for statement in stored}
    added = tuple(statement for statement in target if statement.text not in known)
    return Change(revision, hash, added, tuple(statement for statement in stored if statement.text not in texts))


async def record(
    directory: Directory,
    log_id: int,
    change: Change,
    now_us: int,
    caller: str,
    person: str = "",
    among: People = NO_PEOPLE,
    reason: str = "",
    work: Callable[[Callable[[], list[bytes]]], Awaitable[list[bytes]]] | None = None,
) -> Recorded:
    """Return the entries and the effect of a change.

    `person` is the name of the person who makes the change; it is empty for the operator, who may state a reason.
    The reason is sealed under the tenant's own key, because it may speak of persons. `among` are the persons of the
    decision that the change is appended with. `work` runs the encoding of many statements outside the event loop.

    Raises:
        PolicyInvalid: the change names more than MAX_NEW_PERSONS persons that the log does not know.
        PersonsTooFast, LogUnavailable: see `Directory.meet`.
    """
    names = dict.fromkeys(name for statement in change.added for name in persons_of(statement))
    most = MAX_NEW_PERSONS if person else None
    try:
        people = await directory.meet(
            log_id, (*names, TENANT_KEY_HOLDER, *([person] if person else ())), now_us, among, most
        )
    except PersonsTooMany as many:
        text = (
            f"the change names more than {many.limit} persons that the log does not know: add them in several changes"
        )
        raise PolicyInvalid((LineError(0, text),)) from many
    persons = people.persons
    revision = change.revision + 1
    frame: dict[str, Any] = {"caller": caller, "revision": revision}
    if person:
        frame["actor"] = {"sid": persons[person].sid}

    def encoded() -> list[bytes]:
        return list(_parts(change, persons, frame, now_us, reason))

    parts = await work(encoded) if work else encoded()
    hash = hashlib.sha256(change.hash + b"".join(map(leaf_hash, parts))).digest()
    return Recorded(people, tuple(parts), revision, hash, log_id, change)


def _parts(
    change: Change, persons: Mapping[str, Person], frame: dict[str, Any], now_us: int, reason: str
) -> Iterator[bytes]:
    tenant = persons[TENANT_KEY_HOLDER]
    sealed: _Sealed = {tenant: {"reason": reason}} if reason else {}
    removed = [statement.id for statement in change.removed]
    added: list[list[str]] = []
    size = 0
    for ordinal, statement in enumerate(paced(change.added), 1):
        id = f"{change.revision + 1}.{ordinal}"
        text, items = pseudonymous(statement, lambda name: f"sid:{persons[name].sid}")
        more = len(text.encode()) + sum(len(one.encode()) for one in items)
        keeper = persons[keeper_of(statement) or TENANT_KEY_HOLDER]
        if items and keeper not in sealed:
            more += _SEALED_BYTES
        if added and size + more > _PART_BYTES:
            yield _part(frame, added, [], sealed, now_us)
            added, sealed, size = [], {}, 0
        added.append([id, text])
        if items:
            sealed.setdefault(keeper, {}).update({f"added.{id}.item.{n}": item for n, item in enumerate(items)})
        size += more
    while len(removed) > 1_000:
        yield _part(frame, [], removed[:1_000], {}, now_us)
        removed = removed[1_000:]
    if len(removed) > 200 and added:
        yield _part(frame, added, [], sealed, now_us)
        added, sealed = [], {}
    yield _part(frame, added, removed, sealed, now_us)


def _part(
    frame: dict[str, Any],
    added: list[list[str]],
    removed: list[str],
    sealed: _Sealed,
    now_us: int,
) -> bytes:
    secrets = [keeper.seal(values, os.urandom(28)) for keeper, values in sealed.items()]
    return encode(POLICY_CHANGED, now_us, frame | {"added": added, "removed": removed}, secrets)

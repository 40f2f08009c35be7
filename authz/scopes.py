"""Scopes: the items of a type that a rule is about.

    any           every item
    own           items owned by the person who asks, or in which that person took part (see `took_part`)
    party         items whose owner, participant or party is the person who asks
    party:ROLE    items of which the person who asks is a participant in that role
    group:NAME    items whose owner, participant, party or queue has the role `role:NAME`
    id:X          the item with that id
    owner:X       items of that owner
    queue:X       items of that queue
    label:K=V     items that carry that label

A scope is an equality on one attribute. So it can be looked up, listed, and turned into a filter. The scopes of an item
(`Item.scopes`) are a few texts. Participants are persons here: addresses have been resolved to their holders.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from linewarden.authz.lexer import Malformed, spelled, too_long, words
from linewarden.authz.model import Participant, Resource, ResourceType, Role


class ScopeKind(StrEnum):
    """The kind of a scope: the text before its colon."""

    ANY = "any"
    OWN = "own"
    PARTY = "party"
    GROUP = "group"
    ID = "id"
    OWNER = "owner"
    QUEUE = "queue"
    LABEL = "label"


ANY = ScopeKind.ANY.value
OWN = ScopeKind.OWN.value
PARTY = ScopeKind.PARTY.value

#: A queue as the member of a binding begins with this, and so does no name of a person.
QUEUE = "queue:"

#: Returns the groups of a person or queue: the roles that it has, directly or not, without `role:`.
Groups = Callable[[str], Iterable[str]]

#: Roles in which a person took part in a call. A callee who did not answer only took part if no other person answered.
_TOOK_PART = frozenset(
    (
        *(Role.CALLER, Role.ANSWERED, Role.TRANSFERRED_TO, Role.TRANSFERRED_FROM),
        *(Role.CONFERENCE, Role.AGENT, Role.MAILBOX_HOLDER),
    )
)
_ANSWERING = frozenset((Role.ANSWERED, Role.TRANSFERRED_TO, Role.CONFERENCE, Role.AGENT, Role.MAILBOX_HOLDER))

_MAX_BYTES: Mapping[str, int] = MappingProxyType(
    {
        ScopeKind.PARTY: 64,
        ScopeKind.GROUP: 64,
        ScopeKind.ID: 512,
        ScopeKind.OWNER: 400,
        ScopeKind.QUEUE: 128,
        ScopeKind.LABEL: 193,
    }
)
_KNOWN = "any, own, party, party:ROLE, group:NAME, id:X, owner:X, queue:X or label:K=V"
#: The parser does not cache longer lists, because a cache of them would keep policies that are no longer in force.
_CACHED_LENGTH = 128

_LABEL = re.compile(r"[a-z0-9._-]{1,64}=.+", re.DOTALL)
_GROUP = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Item(NamedTuple):
    """A resource as one person sees it. `scopes` are the scopes that contain it."""

    type: ResourceType
    scopes: tuple[str, ...]
    resource: Resource


def item_of(resource: Resource, subject: str, groups: Groups | None = None) -> Item:
    """Return the resource with its scopes. Raises as `scopes_of` does."""
    return Item(resource.type, scopes_of(resource, subject, groups), resource)


def scopes_of(resource: Resource, subject: str, groups: Groups | None = None) -> tuple[str, ...]:
    """Return the scopes that contain a resource, as one person sees it. Without `groups`, those of groups are left out.

    Raises:
        ValueError: the key of a label has `=` in it, so that two labels could be confused.
    """
    _, id, owner, queue, _, labels, participants, parties, _ = resource
    scopes = [ANY, f"id:{id}"]
    if owner:
        scopes.append(f"owner:{owner}")
        if owner == subject:
            scopes += OWN, PARTY
    if participants or parties:
        scopes += _party_scopes(resource, subject)
    if queue:
        scopes.append(f"queue:{queue}")
    if labels:
        scopes += _label_scopes(labels)
    if groups is not None:
        scopes += _group_scopes(resource, groups)
    return tuple(scopes)


def names_group(scope: str) -> bool:
    """Return whether a scope is that of a group."""
    return scope.startswith("group:")


def took_part(participants: Sequence[Participant], subject: str) -> list[Participant]:
    """Return the participations that make an item a person's own.

    They are those as caller, answered, agent, conference, mailbox_holder, transferred_to and transferred_from. A person
    who was called, and did not answer, took part if no other participant answered: the call was this person's.
    """
    mine = [one for one in participants if subject in one.persons]
    own = [one for one in mine if one.role in _TOOK_PART]
    if own or not any(one.role is Role.CALLEE for one in mine) or any(one.role in _ANSWERING for one in participants):
        return own
    return [one for one in mine if one.role is Role.CALLEE]


def parse_scopes(field: str) -> tuple[str, ...]:
    """Parse the scopes of a rule; the result is sorted.

    Raises:
        Malformed: a scope is invalid, is too long, is given twice, or is redundant beside `any`.
    """
    return _parsed(field) if len(field) <= _CACHED_LENGTH else _parsed.__wrapped__(field)


@lru_cache(4096)
def _parsed(field: str) -> tuple[str, ...]:
    scopes = words(field)
    for scope in scopes:
        _check(scope)
    if len(set(scopes)) != len(scopes):
        raise Malformed("a scope is given twice: remove one")
    if ANY in scopes and len(scopes) > 1:
        raise Malformed("`any` includes the other scopes: remove it or them")
    return tuple(sorted(scopes))


def scopes_text(scopes: tuple[str, ...]) -> str:
    """Return the scopes as a policy file writes them."""
    return _text(scopes) if len(scopes) == 1 else _text.__wrapped__(scopes)


@lru_cache(4096)
def _text(scopes: tuple[str, ...]) -> str:
    return ",".join(map(spelled, scopes))


def _check(scope: str) -> None:
    if scope in (ANY, OWN, PARTY):
        return
    kind, _, value = scope.partition(":")
    if kind not in _MAX_BYTES:
        raise Malformed(f"unknown scope: write {_KNOWN}")
    if not value or too_long(value, _MAX_BYTES[kind]):
        raise Malformed(f"the value of a scope `{kind}:` is empty or longer than {_MAX_BYTES[kind]} bytes: change it")
    if kind == ScopeKind.PARTY and value not in Role.__members__.values():
        raise Malformed(f"unknown role of a participant: write party: with one of {', '.join(Role)}")
    if kind == ScopeKind.GROUP and not _GROUP.fullmatch(value):
        raise Malformed("the group is invalid: write group:NAME, where role:NAME is the role of its members")
    if kind == "label" and not _LABEL.fullmatch(value):
        raise Malformed("the label is invalid: write label:key=value, with a key of a-z, 0-9, `.`, `_` and `-`")


def _label_scopes(labels: Mapping[str, str]) -> list[str]:
    if any("=" in key for key in labels):
        raise ValueError("the key of a label has `=` in it: remove it from the key")
    return [f"label:{key}={value}" for key, value in labels.items() if value]


def _party_scopes(resource: Resource, subject: str) -> list[str]:
    """Return the scopes of participants and parties, without those that the owner has already."""
    participants, owned = resource.participants, resource.owner == subject
    roles = {one.role for one in participants if subject in one.persons}
    scopes = [] if owned or not (roles or subject in resource.parties) else [PARTY]
    if not owned and took_part(participants, subject):
        scopes.append(OWN)
    return scopes + [f"party:{role}" for role in sorted(roles)]


def _group_scopes(resource: Resource, groups: Groups) -> list[str]:
    """Return the scopes of all groups of the owner, the participants, the parties and the queue, sorted."""
    members = {person for one in resource.participants for person in one.persons}
    members.update(resource.parties)
    if resource.owner:
        members.add(resource.owner)
    if resource.queue:
        members.add(QUEUE + resource.queue)
    return [f"group:{name}" for name in sorted({name for member in members for name in groups(member)})]

"""Scopes: the items of a type that a rule is about.

    any           every item
    own           items owned by the person who asks; an item without owner is no person's own
    id:X          the item with that id
    owner:X       items of that owner
    queue:X       items of that queue
    label:K=V     items that carry that label

A scope is an equality on one attribute. So it can be looked up, listed, and turned into a filter. The scopes of an item
(`Item.scopes`) are a few texts.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from linewarden.authz.lexer import Malformed, spelled, too_long, words
from linewarden.authz.model import Resource, ResourceType


class ScopeKind(StrEnum):
    """The kind of a scope: the text before its colon."""

    ANY = "any"
    OWN = "own"
    ID = "id"
    OWNER = "owner"
    QUEUE = "queue"
    LABEL = "label"


ANY = ScopeKind.ANY.value
OWN = ScopeKind.OWN.value

_MAX_BYTES: Mapping[str, int] = MappingProxyType(
    {ScopeKind.ID: 512, ScopeKind.OWNER: 400, ScopeKind.QUEUE: 128, ScopeKind.LABEL: 193}
)
#: The parser does not cache longer lists, because a cache of them would keep policies that are no longer in force.
_CACHED_LENGTH = 128

_LABEL = re.compile(r"[a-z0-9._-]{1,64}=.+", re.DOTALL)


class Item(NamedTuple):
    """A resource as one person sees it. `scopes` are the scopes that contain it."""

    type: ResourceType
    scopes: tuple[str, ...]
    resource: Resource


def item_of(resource: Resource, subject: str) -> Item:
    """Return the resource with its scopes. Raises as `scopes_of` does."""
    return Item(resource.type, scopes_of(resource, subject), resource)


def scopes_of(resource: Resource, subject: str) -> tuple[str, ...]:
    """Return the scopes that contain a resource, as one person sees it.

    Raises:
        ValueError: the key of a label has `=` in it, so that two labels could be confused.
    """
    _, id, owner, queue, _, labels = resource
    scopes = [ANY, f"id:{id}"]
    if owner:
        scopes.append(f"owner:{owner}")
        if owner == subject:
            scopes.append(OWN)
    if queue:
        scopes.append(f"queue:{queue}")
    if labels:
        scopes += _label_scopes(labels)
    return tuple(scopes)


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
    if scope in (ANY, OWN):
        return
    kind, _, value = scope.partition(":")
    if kind not in _MAX_BYTES:
        raise Malformed("unknown scope: write any, own, id:X, owner:X, queue:X or label:K=V")
    if not value or too_long(value, _MAX_BYTES[kind]):
        raise Malformed(f"the value of a scope `{kind}:` is empty or longer than {_MAX_BYTES[kind]} bytes: change it")
    if kind == "label" and not _LABEL.fullmatch(value):
        raise Malformed("the label is invalid: write label:key=value, with a key of a-z, 0-9, `.`, `_` and `-`")


def _label_scopes(labels: Mapping[str, str]) -> list[str]:
    if any("=" in key for key in labels):
        raise ValueError("the key of a label has `=` in it: remove it from the key")
    return [f"label:{key}={value}" for key, value in labels.items() if value]

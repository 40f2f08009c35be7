"""Scopes: which items of a type a rule speaks of.

    any           every item
    own           items owned by the person who asks; an item without owner is nobody's own
    id:X          the item with that id
    owner:X       items of that owner
    queue:X       items of that queue
    label:K=V     items that carry that label

A scope is equality on one attribute. So it can be looked up, listed, and turned into a filter, and `Item.scopes`, the
scopes an item lies in, is a handful of texts.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from linewarden.authz.lexer import Malformed, spelled, too_long, words
from linewarden.authz.model import Resource, ResourceType

ANY = "any"
OWN = "own"

_MAX_BYTES: Mapping[str, int] = MappingProxyType({"id": 512, "owner": 400, "queue": 128, "label": 193})
#: Longer lists are not kept by the parser: a cache of them would hold what policies of long ago said.
_CACHED_LENGTH = 128

_LABEL = re.compile(r"[a-z0-9._-]{1,64}=.+", re.DOTALL)


class Item(NamedTuple):
    """A resource as one person sees it: `scopes` are the scopes it lies in."""

    type: ResourceType
    scopes: tuple[str, ...]
    resource: Resource


def item_of(resource: Resource, subject: str) -> Item:
    """The resource with its scopes.

    Raises:
        ValueError: a label's key holds `=`, so that two labels could be taken for each other.
    """
    scopes = [ANY, f"id:{resource.id}"]
    if resource.owner:
        scopes.append(f"owner:{resource.owner}")
        if resource.owner == subject:
            scopes.append(OWN)
    if resource.queue:
        scopes.append(f"queue:{resource.queue}")
    if resource.labels:
        scopes += _label_scopes(resource.labels)
    return Item(resource.type, tuple(scopes), resource)


def parse_scopes(field: str) -> tuple[str, ...]:
    """The scopes of a rule, sorted.

    Raises:
        Malformed: one of them is none, is too long, or stands beside another that says the same.
    """
    return _parsed(field) if len(field) <= _CACHED_LENGTH else _parsed.__wrapped__(field)


@lru_cache(4096)
def _parsed(field: str) -> tuple[str, ...]:
    found = words(field)
    for scope in found:
        _check(scope)
    if len(set(found)) != len(found):
        raise Malformed("a scope stands twice")
    if ANY in found and len(found) > 1:
        raise Malformed("`any` leaves nothing to the other scopes")
    return tuple(sorted(found))


def scopes_text(scopes: tuple[str, ...]) -> str:
    """The scopes as they are written in a policy file."""
    return _text(scopes) if len(scopes) == 1 else _text.__wrapped__(scopes)


@lru_cache(4096)
def _text(scopes: tuple[str, ...]) -> str:
    return ",".join(map(spelled, scopes))


def _check(scope: str) -> None:
    if scope in (ANY, OWN):
        return
    kind, _, value = scope.partition(":")
    if kind not in _MAX_BYTES:
        raise Malformed("not a scope: any, own, id:X, owner:X, queue:X or label:K=V")
    if not value or too_long(value, _MAX_BYTES[kind]):
        raise Malformed(f"the value of a scope `{kind}:` is empty or longer than {_MAX_BYTES[kind]} bytes")
    if kind == "label" and not _LABEL.fullmatch(value):
        raise Malformed("a label is written label:key=value, with a key of a-z, 0-9, `.`, `_` and `-`")


def _label_scopes(labels: Mapping[str, str]) -> list[str]:
    if any("=" in key for key in labels):
        raise ValueError("the key of a label holds `=`")
    return [f"label:{key}={value}" for key, value in labels.items() if value]

"""Statements: rules, role bindings and assignments, each with one canonical text.

    bind   WHO ROLE                                                   the person or role has that role
    allow  WHO VERBS TYPES SCOPES [if CONDITION]... [then DUTIES]     matching gives the permission, with duties
    deny   WHO VERBS TYPES SCOPES [if CONDITION]...                   matching refuses, even if another rule allows
    assign ADDRESS PERSON [from=T] [until=T]                          the person held the address (see `assignments`)

WHO is `role:NAME` or a person: a name of this tenant, or `//TENANT/NAME` of another. A rule that denies can be for
`everyone`: all persons, those of other tenants included. No rule allows something to everyone, because an access needs
an explicit permission. A binding can have a queue as its member, `queue:NAME`, so that items of the queue are items of
the group (see `scopes`). VERBS and TYPES are lists or `*`. A rule is about the pairings that are valid; a verb or type
without a valid pairing is an error. Several conditions must all hold.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from sys import intern
from typing import TypeVar

from linewarden.authz.assignments import Assignment, assignment_of
from linewarden.authz.conditions import Conditions, parse_conditions
from linewarden.authz.lexer import Malformed, spelled, too_long, words
from linewarden.authz.model import VERBS_OF, Effect, Obligation, ResourceType, Verb
from linewarden.authz.scopes import OWN, PARTY, QUEUE, parse_scopes, scopes_text

ROLE = "role:"
FOREIGN = "//"
#: The word for all persons.
EVERYONE = "everyone"

_MAX_PERSON_BYTES = 400
_ROLE = re.compile(r"role:[A-Za-z0-9._-]{1,64}")
_FOREIGN = re.compile(r"//[A-Za-z0-9._-]{1,128}/.+", re.DOTALL)

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Binding:
    """A role binding: the person or role `member` has the role `role` and every role that it has."""

    member: str
    role: str

    @property
    def text(self) -> str:
        """The canonical text."""
        return f"bind {spelled(self.member)} {self.role}"

    @property
    def id(self) -> str:
        """A stable name: 16 hexadecimal digits of SHA-256 of the text. Not for logs: it can be guessed back."""
        return _id(self.text)


@dataclass(frozen=True, slots=True)
class Reach:
    """The verbs and types that a rule names, and the valid pairings of them. Rules share it."""

    verbs: tuple[Verb, ...]
    types: tuple[ResourceType, ...]
    pairs: frozenset[tuple[ResourceType, Verb]] = field(compare=False, repr=False)
    text: str = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: holder, verbs, types and scopes of items, conditions, and the duties of a permission."""

    effect: Effect
    who: str
    reach: Reach
    scopes: tuple[str, ...]
    conditions: Conditions = ()
    obligations: tuple[Obligation, ...] = ()

    @property
    def text(self) -> str:
        """The canonical text."""
        text = f"{self.effect} {spelled(self.who)} {self.reach.text} {scopes_text(self.scopes)}"
        for condition in self.conditions:
            text += f" if {condition.text}"
        return f"{text} then {','.join(self.obligations)}" if self.obligations else text

    @property
    def id(self) -> str:
        """A stable name: 16 hexadecimal digits of SHA-256 of the text. Not for logs: it can be guessed back."""
        return _id(self.text)


#: A statement of the policy file. An assignment is a statement too, but in a file of its own.
Permission = Rule | Binding

Statement = Permission | Assignment


def statement_of(fields: Sequence[str], region: str = "") -> Statement:
    """Parse the fields of a line. `region` is that of national telephone numbers (see `canonical_address`).

    Raises:
        Malformed: the fields are not a valid statement.
    """
    match fields:
        case ("allow" | "deny" as effect, who, verbs, types, scopes, *rest):
            conditions, obligations = _extras(effect, rest) if rest else ((), ())
            reach = _reach(verbs, types)
            rule = Rule(Effect(effect), _holder(who), reach, parse_scopes(scopes), conditions, obligations)
            _check_rule(rule)
            return rule
        case ("bind", member, role):
            return Binding(_member(member), _role(role))
        case ("assign", address, person, *window):
            return assignment_of(address, _assignee(person), window, region)
        case ("bind", *_):
            raise Malformed("the binding is incomplete or too long: write bind WHO ROLE")
        case ("allow" | "deny", *_):
            raise Malformed(
                "the rule is incomplete: write allow|deny WHO VERBS TYPES SCOPES [if CONDITION]... [then DUTIES]"
            )
        case ("assign", *_):
            raise Malformed("the assignment is incomplete: write assign ADDRESS PERSON [from=T] [until=T]")
    raise Malformed("unknown statement: begin it with bind, allow, deny or assign")


def _check_rule(rule: Rule) -> None:
    if rule.who == EVERYONE and rule.effect is Effect.ALLOW:
        raise Malformed("everyone can only be denied something: bind persons to a role, and allow it to the role")
    if rule.who.startswith(QUEUE):
        raise Malformed("a queue has no rights: bind the queue to a role, and write group:NAME as the scope")
    if Obligation.PART in rule.obligations and not all(map(_names_participant, rule.scopes)):
        raise Malformed("the duty `part` needs a person who took part: write the scopes own, party or party:ROLE only")


def _names_participant(scope: str) -> bool:
    return scope in (OWN, PARTY) or scope.startswith(f"{PARTY}:")


def _member(field: str) -> str:
    name = _holder(field)
    if name == EVERYONE:
        raise Malformed("everyone has no roles: bind each person")
    return name


def _assignee(field: str) -> str:
    name = _holder(field)
    if name == EVERYONE or name.startswith((ROLE, QUEUE)):
        raise Malformed("an address is held by persons: write one assignment for each person")
    return name


def _holder(field: str) -> str:
    names = words(field)
    if len(names) != 1:
        raise Malformed("more than one person or role: write one statement for each, and quote a name with a comma")
    (name,) = names
    if name.startswith(ROLE):
        return _role(name)
    if name.startswith(FOREIGN) and not _FOREIGN.fullmatch(name):
        raise Malformed("the name of a person of another tenant is invalid: write //TENANT/NAME")
    if name == "*":
        raise Malformed("`*` is no person: write everyone in a rule that denies, or bind persons to a role")
    if ":" in name and name.lower().startswith(ROLE):
        raise Malformed("`role:` must be written in small letters")
    if too_long(name, _MAX_PERSON_BYTES):
        raise Malformed(f"the name of a person is longer than {_MAX_PERSON_BYTES} bytes: use a shorter one")
    return intern(name)


def _role(name: str) -> str:
    if not _ROLE.fullmatch(name):
        raise Malformed("the role is invalid: write role:NAME, with up to 64 letters, digits, `.`, `_` and `-`")
    return intern(name)


@lru_cache(512)
def _reach(verbs_field: str, types_field: str) -> Reach:
    verbs, types = _listed(verbs_field, Verb, "verb"), _listed(types_field, ResourceType, "type")
    pairs = frozenset((one, verb) for one in types for verb in verbs if verb in VERBS_OF[one])
    if verbs_field != "*" and len({verb for _, verb in pairs}) != len(verbs):
        raise Malformed("a verb is valid for none of the types: remove it or add a type")
    if types_field != "*" and len({one for one, _ in pairs}) != len(types):
        raise Malformed("none of the verbs is valid for one of the types: remove the type or add a verb")
    return Reach(verbs, types, pairs, f"{_list_text(verbs, Verb)} {_list_text(types, ResourceType)}")


def _extras(effect: str, rest: Sequence[str]) -> tuple[Conditions, tuple[Obligation, ...]]:
    obligations: tuple[Obligation, ...] = ()
    if len(rest) > 1 and rest[-2] == "then":
        obligations, rest = _listed(rest[-1], Obligation, "obligation"), rest[:-2]
        if effect == Effect.DENY:
            raise Malformed("a deny rule has no duties: remove `then` and the words after it")
    if len(rest) % 2 or any(word != "if" for word in rest[::2]):
        raise Malformed(
            "unexpected words after the scopes: write `if CONDITION`, as often as needed, and then `then DUTIES`"
        )
    return parse_conditions(tuple(rest[1::2])), obligations


@lru_cache(4096)
def _listed(field: str, kind: type[_Word], noun: str) -> tuple[_Word, ...]:
    if field == "*" and kind is not Obligation:
        return tuple(kind)
    listed = words(field)
    for word in listed:
        if word not in kind.__members__.values():
            close = get_close_matches(word[:64], kind, 1)
            advice = f"did you mean {close[0]}?" if close else f"write one of the {noun}s that the reference lists"
            raise Malformed(f"unknown {noun}: {advice}")
    if len(set(listed)) != len(listed):
        raise Malformed(f"{noun} given twice: remove one")
    return tuple(one for one in kind if one in listed)


def _list_text(listed: tuple[_Word, ...], kind: type[_Word]) -> str:
    return "*" if len(listed) == len(kind) else ",".join(listed)


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

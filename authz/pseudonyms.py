"""Statements as the log may state them: with pseudonyms for persons, and without ids of single items and addresses."""

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from linewarden.authz.assignments import Assignment
from linewarden.authz.rules import EVERYONE, ROLE, Binding, Rule, Statement
from linewarden.authz.scopes import QUEUE, ScopeKind

_OWNER = f"{ScopeKind.OWNER}:"


def is_person(holder: str) -> bool:
    """Return whether the holder of a statement is a person: not a role, a queue or everyone."""
    return holder != EVERYONE and not holder.startswith((ROLE, QUEUE))


def persons_of(statement: Statement) -> tuple[str, ...]:
    """Return the persons that a statement names, by their names in the policy."""
    if isinstance(statement, Assignment):
        return (statement.person,)
    holder = statement.member if isinstance(statement, Binding) else statement.who
    named = (holder,) if is_person(holder) else ()
    if isinstance(statement, Binding):
        return named
    return named + tuple(scope.removeprefix(_OWNER) for scope in statement.scopes if scope.startswith(_OWNER))


def keeper_of(statement: Statement) -> str:
    """Return the person under whose key the values of a statement are sealed; empty for the tenant's own key.

    An address is sealed for the person who held it, so that it cannot be read any more once that person is erased.
    """
    return statement.person if isinstance(statement, Assignment) else ""


def pseudonymous(statement: Statement, pseudonym: Callable[[str], str]) -> tuple[str, tuple[str, ...]]:
    """Return the text with pseudonyms for persons and numbers for items, and what the numbers stand for.

    That are ids of items or addresses, to be sealed under the key of `keeper_of`.
    """
    if isinstance(statement, Assignment):
        kind = statement.address.partition(":")[0]
        hidden = replace(statement, address=f"{kind}:0", person=pseudonym(statement.person))
        return hidden.text, (statement.address,)
    if isinstance(statement, Binding):
        return replace(statement, member=_holder(statement.member, pseudonym)).text, ()
    scopes: list[str] = []
    items: list[str] = []
    for scope in statement.scopes:
        prefix, _, value = scope.partition(":")
        # Each kind is named, so that a new kind cannot write a person's name into the log.
        match kind := ScopeKind(prefix):
            case ScopeKind.OWNER:
                scopes.append(f"{kind}:{pseudonym(value)}")
            case ScopeKind.ID:
                scopes.append(f"{kind}:{len(items)}")
                items.append(value)
            case ScopeKind.ANY | ScopeKind.OWN | ScopeKind.PARTY | ScopeKind.GROUP | ScopeKind.QUEUE | ScopeKind.LABEL:
                scopes.append(scope)
            case _:
                assert_never(kind)
    named: Rule = replace(statement, who=_holder(statement.who, pseudonym), scopes=tuple(scopes))
    return named.text, tuple(items)


def _holder(name: str, pseudonym: Callable[[str], str]) -> str:
    return pseudonym(name) if is_person(name) else name
